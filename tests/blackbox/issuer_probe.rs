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
    let create = |name: &str, spec: serde_json::Value| {
        server.send_admin(Request::post_json("/admin/v1/issuers", &json!({ "name": name, "spec": spec })))
    };
    // An address is refused as the load of a file refuses it.
    for spec in [
        json!({ "issuer": format!("https://127.0.0.1:{port}") }),
        json!({ "issuer": format!("https://[::ffff:127.0.0.1]:{port}") }),
        json!({ "issuer": format!("https://2130706433:{port}") }),
        json!({ "issuer": "https://a.example", "jwks_url": format!("https://127.0.0.1:{port}/keys") }),
        json!({ "issuer": "https://a.example", "jwks_url": format!("https://127.1:{port}/keys") }),
        json!({ "issuer": "https://169.254.169.254", "allow_private_network": true }),
    ] {
        let response = create("address", spec);
        refused(&response, 422, "invalid_request", "invalid_object");
        assert_eq!(response.json()["findings"][0]["code"], "address-not-allowed", "{}", response.text());
    }
    // A name is judged by what it resolves to, when it is called.
    for (name, iss, spec) in [
        ("issuer", format!("https://localhost:{port}"), json!({ "issuer": format!("https://localhost:{port}") })),
        (
            "keys",
            "https://b.example".to_owned(),
            json!({ "issuer": "https://b.example", "jwks_url": format!("https://localhost:{port}/keys") }),
        ),
    ] {
        let created = create(name, spec);
        assert_eq!(created.status, 201, "{}", created.text());
        let refresh = Request::post_json(&format!("/admin/v1/issuers/{name}/refresh"), &json!({}));
        let refreshed = server.send_admin(refresh);
        assert!(refreshed.status >= 400 || refreshed.json()["keys"] == 0, "{}", refreshed.text());
        let answer = server.exchange(&forge("svc:octo").claim("iss", iss).sign(), &[]);
        refused(&answer, 503, "temporarily_unavailable", "issuer_unavailable");
    }
    assert!(listener.accept().is_err(), "nobody connects");
    // An issuer that may be private is called.
    let spec = json!({ "issuer": format!("https://localhost:{port}"), "allow_private_network": true });
    let allowed = server.send_admin(
        Request::new("PUT", "/admin/v1/issuers/issuer")
            .body("application/json", json!({ "name": "issuer", "spec": spec }).to_string())
            .header("If-Match", "*"),
    );
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    sts_testkit::until("somebody connects", || listener.accept().is_ok());
}
