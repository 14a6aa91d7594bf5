//! Every kind of credential at every operation of the admin listener. The operations are those that
//! the served OpenAPI document has, so a new one is tested without a change here.

use crate::grants_support::*;
use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{Algorithm, Forge, Key, Request, Response, Server, base64url, exchange_request, now, send};

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::ES256, "holder"));

/// A method and a path whose names nobody has.
struct Operation {
    method: String,
    path: String,
    is_read: bool,
}

/// The operations that take a credential, and the open ones.
fn operations(server: &Server) -> (Vec<Operation>, Vec<Operation>) {
    let document = send(server.admin(), &Request::get("/openapi.json")).json();
    let mut found = (Vec::new(), Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let filled = path.split('/').map(|part| if part.starts_with('{') { "nobody-there" } else { part });
            let operation_found = Operation {
                method: method.to_uppercase(),
                path: filled.collect::<Vec<_>>().join("/"),
                is_read: method == "get" || path.ends_with("/evaluate") || path.ends_with("/admissions"),
            };
            if operation["security"].to_string().contains("admin") {
                found.0.push(operation_found);
            } else {
                found.1.push(operation_found);
            }
        }
    }
    found
}

impl Operation {
    /// A request that no handler carries out: its body is of a type that nothing reads.
    fn request(&self) -> Request {
        let request = Request::new(&self.method, &self.path);
        match self.method.as_str() {
            "GET" | "DELETE" => request,
            _ => request.body("text/plain", "x"),
        }
    }

    fn ask(&self, server: &Server, authorization: &[&str]) -> Response {
        let add = |request: Request, value: &&str| request.header("Authorization", value);
        send(server.admin(), &authorization.iter().fold(self.request(), add))
    }
}

/// Values of the header `Authorization` that are neither the admin token nor a live token of ours for
/// administration.
fn strangers(server: &Server) -> Vec<(String, String)> {
    let own = |subject: &str| server.token(&token(subject), &[]);
    let (admin, root, reader) = (server.admin_token(), own("svc:root"), own("svc:reader"));
    let signing = server.signing_key();
    let copy = || Forge::new(&signing, &payload(&root)).header("typ", "at+jwt");
    let bound = bound_token(server, "svc:root");
    let revoked = own("svc:root");
    assert_eq!(server.revoke(&revoked).status, 200);
    let key = api_key(server, "root", &json!({ "name": "kinds" }));
    let signed = Request::post_form("/introspect", &[("token", &root)])
        .header("Accept", "application/token-introspection+jwt")
        .basic("deploy", DEPLOY_SECRET);
    let list = payload(&root)["status"]["status_list"]["uri"].as_str().unwrap().strip_prefix(US).unwrap().to_owned();
    let list = server.send(&Request::get(&list));
    assert_eq!(list.status, 200);
    let mut found: Vec<(String, String)> = [
        ("an ID token", token("svc:root")),
        ("an ID token of the type of our tokens", forge("svc:root").header("typ", "at+jwt").sign()),
        ("an ID token for us as an API", forge("svc:root").claim("scope", "sts:admin").claim("aud", US).sign()),
        ("a token for another API", own("svc:octo")),
        ("a token to introspect with", own("svc:introspector")),
        ("a token to revoke with", server.token(&token("svc:root"), &[("scope", "sts:revoke")])),
        ("a revoked token", revoked),
        ("an expired token", copy().claim("exp", now() - 1).sign()),
        ("a copy under our key", copy().sign()),
        ("a bound token without its proof", bound.clone()),
        ("an API key", key.clone()),
        ("an API's secret", DEPLOY_SECRET.to_owned()),
        ("a proof of possession", proof(&KEY).sign()),
        ("an answer of introspection", server.send(&signed).text()),
        ("a status list", list.text()),
        ("our key set", base64url(server.jwks().to_string().as_bytes())),
        ("the admin token in capitals", admin.to_uppercase()),
        ("a part of the admin token", admin[..admin.len() - 1].to_owned()),
        ("the admin token and more", format!("{admin}0")),
        ("a word", "nobody-made-this".to_owned()),
    ]
    .into_iter()
    .map(|(kind, token)| (kind.to_owned(), format!("Bearer {token}")))
    .collect();
    for typ in
        ["JWT", "dpop+jwt", "logout+jwt", "client-authentication+jwt", "token-introspection+jwt", "statuslist+jwt"]
    {
        found.push((format!("{typ} under our key"), format!("Bearer {}", copy().header("typ", typ).sign())));
        found.push((format!("an issuer's {typ}"), format!("Bearer {}", forge("svc:root").header("typ", typ).sign())));
    }
    let basic = |name: &str, secret: &str| format!("Basic {}", sts_testkit::basic(name, secret));
    for (kind, value) in [
        ("the admin token as a password", basic("admin", &admin)),
        ("a reader's token as a password", basic("reader", &reader)),
        ("an API key as a password", basic("root", &key)),
        ("an API's secret as a password", basic("deploy", DEPLOY_SECRET)),
        ("the admin token as a bound token", format!("DPoP {admin}")),
        ("a bearer token as a bound token", format!("DPoP {root}")),
        ("a bound token with its scheme alone", format!("DPoP {bound}")),
        ("another scheme", format!("Token {admin}")),
    ] {
        found.push((kind.to_owned(), value));
    }
    found
}

fn bound_token(server: &Server, subject: &str) -> String {
    let request = exchange_request(&token(subject), &[]).header("DPoP", &proof(&KEY).sign());
    access_token(&server.send(&request))
}

fn start() -> Server {
    Server::start_in(STS, world_site(&grants_world().with("status_list", true)))
}

#[test]
fn bc07_c026_c157_no_other_kind_of_credential_opens_any_operation_of_administrators() {
    let server = start();
    let (operations, open) = operations(&server);
    assert!(operations.len() >= 50 && open.iter().any(|open| open.path == "/metrics"), "{}", operations.len());
    let strangers = strangers(&server);
    for operation in &operations {
        let Operation { method, path, .. } = operation;
        let none = operation.ask(&server, &[]);
        assert_eq!(none.status, 401, "{method} {path}");
        assert!(!none.header("www-authenticate").unwrap().contains("error"), "nothing was wrong but missing");
        for (kind, value) in &strangers {
            let response = operation.ask(&server, &[value]);
            let is_refused =
                response.status == 401 || (response.status == 403 && reason_of(&response) == "insufficient_scope");
            assert!(is_refused, "{method} {path} with {kind}: {} {}", response.status, response.text());
            assert!(response.status == 401 || is_of_ours(kind), "{method} {path} with {kind}");
            assert!(!response.text().contains(&value[10..]), "{kind} is repeated");
        }
        let admin = format!("Bearer {}", server.admin_token());
        let two = operation.ask(&server, &[&admin, &admin]);
        assert_eq!((two.status, reason_of(&two).as_str()), (400, "request_malformed"), "{method} {path}");
    }
    assert_eq!(nothing_changed(&server), json!([1, []]));
}

/// Whether the credential is a live token of ours, which lacks the scope alone.
fn is_of_ours(kind: &str) -> bool {
    ["a token for another API", "a token to introspect with", "a token to revoke with"].contains(&kind)
}

/// The number of signing keys, and the revocation rules.
fn nothing_changed(server: &Server) -> Value {
    let admin = |path: &str| server.send_admin(Request::get(path)).json();
    json!([
        admin("/admin/v1/keys")["keys"].as_array().unwrap().len(),
        admin("/admin/v1/revocation-rules")["revocation_rules"]
    ])
}

#[test]
fn c157_br01_a_reader_reads_every_operation_and_changes_nothing_and_an_administrator_is_let_in() {
    let server = start();
    let reader = format!("Bearer {}", server.token(&token("svc:reader"), &[]));
    let root = format!("Bearer {}", server.token(&token("svc:root"), &[("scope", "sts:admin")]));
    let admin = format!("Bearer {}", server.admin_token());
    for operation in &operations(&server).0 {
        let Operation { method, path, is_read } = operation;
        let response = operation.ask(&server, &[&reader]);
        if *is_read {
            assert!(![401, 403].contains(&response.status), "{method} {path}: {}", response.text());
        } else {
            assert_eq!(
                (response.status, reason_of(&response).as_str()),
                (403, "insufficient_scope"),
                "{method} {path}"
            );
            let challenge = response.header("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
        }
        for value in [&root, &admin] {
            let response = operation.ask(&server, &[value]);
            let is_let_in = response.status != 401 && reason_of(&response) != "insufficient_scope";
            assert!(is_let_in, "{method} {path}: {}", response.text());
            // The request was none that could be carried out.
            assert!(*is_read || (400..500).contains(&response.status), "{method} {path}: {}", response.status);
        }
    }
    assert_eq!(nothing_changed(&server), json!([1, []]));
}

#[test]
fn dp02_bc07_a_bound_token_opens_the_operation_that_its_proof_is_for_and_no_other() {
    let server = start();
    let (access, other) = (bound_token(&server, "svc:root"), bound_token(&server, "svc:root"));
    let url = |path: &str| format!("http://{}{path}", server.admin());
    for Operation { method, path, .. } in &operations(&server).0 {
        let fresh =
            |key, token: &str| proof_for(key, "/x", token).claim("htm", method.as_str()).claim("htu", url(path));
        let operation = Operation { method: method.clone(), path: path.clone(), is_read: false };
        let ask = |proof: String| {
            let request = operation.request().header("Authorization", &format!("DPoP {access}")).header("DPoP", &proof);
            send(server.admin(), &request)
        };
        let elsewhere = if path.ends_with("/keys") { "/admin/v1/tokens" } else { "/admin/v1/keys" };
        for (what, proof) in [
            ("another path", fresh(&KEY, &access).claim("htu", url(elsewhere)).sign()),
            ("another method", fresh(&KEY, &access).claim("htm", "HEAD").sign()),
            ("another token", fresh(&KEY, &other).sign()),
            ("another key", fresh(&KEYS.es256, &access).sign()),
            ("no digest", fresh(&KEY, &access).no_claim("ath").sign()),
            ("the public listener", fresh(&KEY, &access).claim("htu", format!("{US}{path}")).sign()),
        ] {
            let response = ask(proof);
            assert_eq!(
                (response.status, reason_of(&response).as_str()),
                (401, "proof_invalid"),
                "{method} {path}: {what}"
            );
        }
        let response = ask(fresh(&KEY, &access).sign());
        assert!(response.status != 401, "{method} {path}: {}", response.text());
    }
    assert_eq!(nothing_changed(&server), json!([1, []]));
}
