//! An administrator who adds an issuer does not reach into the network of the server with it.

use crate::support::*;
use serde_json::json;
use std::net::TcpListener;
use sts_testkit::{Request, Server};

#[test]
fn c164_c089_an_issuer_that_is_added_at_an_internal_address_is_never_called() {
    let config = world().with("manage/kinds", json!(["issuers", "service_accounts", "teams"]));
    let server = Server::start_in(STS, world_site(&config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut created_count = 0;
    for (at, spec) in [
        json!({ "issuer": format!("https://127.0.0.1:{port}") }),
        json!({ "issuer": format!("https://localhost:{port}") }),
        json!({ "issuer": format!("https://[::ffff:127.0.0.1]:{port}") }),
        json!({ "issuer": format!("https://2130706433:{port}") }),
        json!({ "issuer": "https://a.example", "jwks_url": format!("https://127.0.0.1:{port}/keys") }),
        json!({ "issuer": "https://b.example", "jwks_url": format!("https://127.1:{port}/keys") }),
        // Link-local addresses are not reached even by who allows private ones.
        json!({ "issuer": "https://169.254.169.254", "allow_private_network": true }),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("probe-{at}");
        let created =
            server.send_admin(Request::post_json("/admin/v1/issuers", &json!({ "name": name, "spec": spec })));
        if created.status == 422 {
            continue;
        }
        assert_eq!(created.status, 201, "{spec}: {}", created.text());
        created_count += 1;
        let refresh = Request::post_json(&format!("/admin/v1/issuers/{name}/refresh"), &json!({}));
        let refreshed = server.send_admin(refresh);
        assert!(refreshed.status >= 400 || refreshed.json()["keys"] == 0, "{spec}: {}", refreshed.text());
        let iss = spec["issuer"].as_str().unwrap();
        assert_ne!(server.exchange(&forge("svc:octo").claim("iss", iss).sign(), &[]).status, 200);
    }
    assert!(created_count >= 3, "{created_count}");
    assert!(listener.accept().is_err(), "nobody connects");
    // Who says that it may be private is believed.
    let spec = json!({ "issuer": format!("https://127.0.0.1:{port}"), "allow_private_network": true });
    let private = json!({ "name": "private", "spec": spec });
    assert_eq!(server.send_admin(Request::post_json("/admin/v1/issuers", &private)).status, 201);
    sts_testkit::until("somebody connects", || listener.accept().is_ok());
}
