//! The admin listener, and the commands that speak to it.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Request, Response, Server, free_address, send};

fn admin(request: Request) -> Response {
    send(WORLD.admin(), &request)
}

#[test]
fn metrics_and_readiness_are_open_and_everything_else_is_not() {
    let ready = admin(Request::get("/readyz"));
    assert_eq!(ready.status, 200);
    assert!(ready.json().is_object());
    let metrics = admin(Request::get("/metrics"));
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for path in
        ["/admin/v1/tokens", "/admin/v1/keys", "/admin/v1/issuers", "/admin/v1/issuers/plain", "/admin/v1/nothing"]
    {
        let response = admin(Request::get(path));
        assert_eq!(response.status, 401, "{path}");
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer") && !challenge.contains("error="), "{challenge}");
    }
}

#[test]
fn c126_metrics_count_exchanges_by_entry_and_reason_and_never_by_what_a_token_says() {
    let server = Server::start_in(STS, world_site(&world()));
    granted(&server.exchange(&token("svc:octo"), &[]));
    granted(&server.exchange(&token("svc:octo"), &[]));
    invalid(&server.exchange(&token("svc:canary-subject"), &[]), "not_authorized");
    invalid(&server.exchange(&forge("svc:octo").claim("iss", "https://canary.example").sign(), &[]), "issuer_unknown");
    invalid(&server.exchange(&forge("svc:octo").header("kid", "canary-kid").sign(), &[]), "key_unknown");
    let text = send(server.admin(), &Request::get("/metrics")).text();
    assert!(!text.contains("canary"), "{text}");
    let count = |parts: &[&str]| {
        let line = text.lines().find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
        line.unwrap_or_else(|| panic!("no {parts:?} in {text}")).rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((count(&["plain", "granted"]) - 2.0).abs() < 0.1);
    assert!((count(&["plain", "not_authorized"]) - 1.0).abs() < 0.1);
    assert!((count(&["issuer_unknown"]) - 1.0).abs() < 0.1);
}

#[test]
fn br01_c112_c157_the_bearer_is_the_admin_token_or_a_token_of_ours_with_the_right() {
    let token_file = WORLD.admin_token();
    let keys = |bearer: &str| admin(Request::get("/admin/v1/keys").bearer(bearer)).status;
    let rotate = |server: &Server, bearer: &str| {
        send(server.admin(), &Request::post_json("/admin/v1/keys/rotate", &json!({})).bearer(bearer)).status
    };
    assert_eq!(keys(&token_file), 200);
    assert_eq!(keys(&token_file[..token_file.len() - 1]), 401);
    assert_eq!(keys(&token_file.to_ascii_uppercase()), 401);
    assert_eq!(keys("x"), 401);
    let server = Server::start_in(STS, world_site(&world()));
    let own = |subject: &str| server.token(&token(subject), &[]);
    let (reader, root, introspector, octo) =
        (own("svc:reader"), own("svc:root"), own("svc:introspector"), own("svc:octo"));
    let read = |bearer: &str| send(server.admin(), &Request::get("/admin/v1/tokens").bearer(bearer)).status;
    assert_eq!((read(&reader), read(&root)), (200, 200));
    assert_eq!((rotate(&server, &reader), rotate(&server, &root)), (403, 200));
    let response = send(server.admin(), &Request::get("/admin/v1/tokens").bearer(&introspector));
    assert_eq!(response.status, 403);
    assert!(response.header("www-authenticate").unwrap().contains("insufficient_scope"));
    // A token for another API, or a subject token.
    assert_eq!((read(&octo), read(&token("svc:root"))), (401, 401));
    let response = send(server.admin(), &Request::get("/admin/v1/tokens").bearer("a.b.c"));
    assert!(response.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
}

#[test]
fn c163_the_admin_token_has_256_bits_and_is_for_its_owner_only_and_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start_in(STS, world_site(&world()));
    let token = server.admin_token();
    assert!(token.len() >= 43, "43 characters of base64url are 256 bits");
    let mode = std::fs::metadata(server.site().path("data/admin.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = Server::start_in(STS, world_site(&world()));
    assert_ne!(other.admin_token(), token);
    assert_eq!(server.crash_and_restart().admin_token(), token);
}

#[test]
fn the_host_is_an_ip_literal_localhost_or_listed() {
    let config = world().with("admin/hosts", json!(["sts-admin.internal"]));
    let server = Server::start_in(STS, world_site(&config));
    let port = server.admin().port();
    let with = |host: &str| send(server.admin(), &Request::get("/readyz").header("Host", host)).status;
    for fine in ["127.0.0.1", "localhost", "[::1]", "10.1.2.3:1", "sts-admin.internal", "LOCALHOST"] {
        assert_eq!(with(fine), 200, "{fine}");
    }
    assert_eq!(with(&format!("sts-admin.internal:{port}")), 200);
    for wrong in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "127.0.0.1:evil.example",
        "sts-admin.internal.evil.example",
        "127.0.0.1\r\nHost: evil.example",
        "evil.example\r\nHost: 127.0.0.1",
        "x",
        "",
    ] {
        assert_ne!(with(wrong), 200, "{wrong}");
    }
    // The request target may name another host than `Host` does. Some servers believe it.
    let at = |target: &str| send(server.admin(), &Request::get(target)).status;
    assert_eq!((at("http://localhost/readyz"), at("http://evil.example/readyz")), (200, 400));
}

#[test]
fn c153_bodies_are_json_only() {
    let token = WORLD.admin_token();
    let post = |media: &str, body: &str| {
        admin(Request::new("POST", "/admin/v1/revocations").body(media, body).bearer(&token)).status
    };
    let body = r#"{"jti":"unknown"}"#;
    assert_eq!(post("application/json", body), 404);
    let others = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""];
    for media in
        others.into_iter().chain(["application/json; charset=utf-7", "application/json\r\nContent-Encoding: gzip"])
    {
        assert_eq!(post(media, body), 415, "{media}");
    }
    for (first, second) in [("text/plain", "application/json"), ("application/json", "text/plain")] {
        assert_eq!(post(&format!("{first}\r\nContent-Type: {second}"), body), 415, "{first}, {second}");
    }
    for wrong in ["", "[]", "x", r#"{"jti":"a","jti":"b"}"#] {
        assert_eq!(post("application/json", wrong), 400, "{wrong}");
    }
}

#[test]
fn c117_c119_admin_paths_have_one_normal_form_and_their_methods() {
    let token = WORLD.admin_token();
    let status = |method: &str, path: &str| admin(Request::new(method, path).bearer(&token)).status;
    assert_eq!(status("GET", "//admin//v1/keys/"), 200);
    for nowhere in [
        "/Admin/v1/keys",
        "/admin/v1/keys;x",
        "/admin/v2/keys",
        "/admin/v1/keys/x/y",
        "/admin",
        "/token",
        "/admin/../metrics",
    ] {
        assert_eq!(status("GET", nowhere), 404, "{nowhere}");
    }
    assert_eq!(status("DELETE", "/admin/v1/keys"), 405);
    assert_eq!(status("GET", "/admin/v1/revocations"), 405);
    assert_eq!(status("GET", "/admin/v1/keys/rotate"), 405);
    // A path needs the token in every spelling.
    for spelt in ["//admin/v1/keys", "/admin//v1/keys/", "/metrics/../admin/v1/keys", "/readyz/../admin/v1/keys"] {
        assert_ne!(admin(Request::get(spelt)).status, 200, "{spelt}");
    }
    let response = admin(Request::get("/admin/v1/keys").bearer(&token));
    assert!(response.header("access-control-allow-origin").is_none());
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn tokens_are_listed_newest_first_by_account_and_shown_without_the_token() {
    let server = Server::start_in(STS, world_site(&world()));
    let octo = server.token(&token("svc:octo"), &[]);
    let two = server.token(&token("svc:two"), &[("audience", "billing")]);
    let again = server.token(&token("svc:octo"), &[]);
    let jti = |token: &str| -> Value {
        let payload = sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()["jti"].clone()
    };
    let list = |arguments: &[&str]| {
        let mut all = vec!["tokens", "list", "--json"];
        all.extend_from_slice(arguments);
        let document = server.cli(&all).ended(0).json();
        document["tokens"].as_array().unwrap().clone()
    };
    let jtis = |tokens: &[Value]| tokens.iter().map(|token| token["jti"].clone()).collect::<Vec<_>>();
    let all = list(&[]);
    assert_eq!(all.len(), 3);
    for name in ["octo", OCTO_ID] {
        let mut own = jtis(&list(&["--account", name]));
        own.sort_by_key(Value::to_string);
        let mut expected = vec![jti(&octo), jti(&again)];
        expected.sort_by_key(Value::to_string);
        assert_eq!(own, expected);
    }
    assert_eq!(jtis(&list(&["--account", "two"])), [jti(&two)]);
    assert_eq!(list(&["--account", "nobody"]), Vec::<Value>::new());
    let shown = server.cli(&["tokens", "show", jti(&two).as_str().unwrap(), "--json"]).ended(0).json();
    for (name, value) in [
        ("account", json!("two")),
        ("identity", json!("plain")),
        ("issuer", json!(PLAIN)),
        ("subject", json!("svc:two")),
        ("subject_kid", json!("es")),
        ("audience", json!(BILLING)),
        ("state", json!("active")),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
    }
    let signature = two.rsplit('.').next().unwrap();
    assert!(!shown.to_string().contains(signature));
    let page = list(&["--limit", "1"]);
    assert_eq!(page.len(), 1);
    let rest = list(&["--after", page[0]["jti"].as_str().unwrap()]);
    assert_eq!(rest.len(), 2);
    for query in ["limit=1&limit=2", "account=octo&account=two", "limit=-1", "limit=x", "jti=x"] {
        assert_eq!(server.send_admin(Request::get(&format!("/admin/v1/tokens?{query}"))).status, 400, "{query}");
    }
    server.cli(&["tokens", "show", "unknown"]).ended(1);
    let table = server.cli(&["tokens", "list"]).ended(0);
    assert!(table.stdout.contains(jti(&octo).as_str().unwrap()));
}

#[test]
fn issuers_are_listed_and_shown_and_keys_too() {
    let issuers = WORLD.cli(&["issuers", "list", "--json"]).ended(0).json();
    let names: Vec<&str> =
        issuers["issuers"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    for name in ["plain", "other", "wide", "once"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let shown = WORLD.cli(&["issuers", "show", "plain", "--json"]).ended(0).json();
    assert_eq!(shown["issuer"], PLAIN);
    WORLD.cli(&["issuers", "show", "nobody"]).ended(1);
    let keys = WORLD.cli(&["keys", "list", "--json"]).ended(0).json();
    let kids: Vec<&Value> = keys["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    let published = WORLD.jwks();
    for key in published["keys"].as_array().unwrap() {
        assert!(kids.contains(&&key["kid"]));
    }
    assert!(!keys.to_string().contains("\"d\""));
    for arguments in [["keys", "list"], ["issuers", "list"]] {
        assert!(!WORLD.cli(&arguments).ended(0).stdout.is_empty());
    }
}

#[test]
fn without_a_server_the_commands_open_the_store_and_beside_one_they_ask_it() {
    let config = world();
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    let (code, site) = server.terminate();
    assert_eq!(code, Some(0));
    let list = STS.run(site.root(), &["tokens", "list", "--json", "--config", "sts.yaml"]).ended(0).json();
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1);
    STS.run(site.root(), &["tokens", "revoke", "--account", "octo", "--config", "sts.yaml"]).ended(0);
    let keys = STS.run(site.root(), &["keys", "list", "--json", "--config", "sts.yaml"]).ended(0).json();
    assert!(!keys["keys"].as_array().unwrap().is_empty());
    let server = Server::start_in(STS, site);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
}

#[test]
fn the_commands_find_the_running_server_by_its_configuration() {
    let config = world().with("admin/listen", free_address().to_string());
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    let run = |arguments: &[&str]| STS.run(server.site().root(), arguments);
    let list = run(&["tokens", "list", "--json", "--config", "sts.yaml"]).ended(0).json();
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1);
    run(&["tokens", "revoke", "--account", "octo", "--config", "sts.yaml"]).ended(0);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
}

#[test]
fn usage_errors_end_with_2() {
    let site = sts_testkit::Site::new();
    for arguments in
        [&["nonsense"][..], &["tokens"], &["tokens", "list", "--nonsense"], &["explain"], &["tokens", "show"]]
    {
        let finished = STS.run(site.root(), arguments).ended(2);
        assert!(!finished.stderr.is_empty());
    }
    STS.run(site.root(), &["--help"]).ended(0);
    let version = STS.run(site.root(), &["--version"]).ended(0).stdout;
    assert!(version.starts_with(&format!("sts {}", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[test]
fn every_command_is_in_the_completions_of_each_shell_and_in_the_manual() {
    let site = sts_testkit::Site::new();
    let help = STS.run(site.root(), &["--help"]).ended(0).stdout;
    let (_, commands) = help.split_once("Commands:").unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let is_command = |name: &&str| !name.is_empty() && *name != "help" && !name.starts_with('-');
    let commands: Vec<&str> = commands.into_iter().filter(is_command).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"tokens"), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = STS.run(site.root(), &["completions", shell]).ended(0).stdout;
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let bash = STS.run(site.root(), &["completions", "bash"]).ended(0).stdout;
    site.write("sts.bash", bash);
    let asked = "source ./sts.bash; COMP_WORDS=(sts tok); COMP_CWORD=1; _sts sts tok sts; echo \"${COMPREPLY[@]}\"";
    let completed = std::process::Command::new("bash").args(["-c", asked]).current_dir(site.root()).output().unwrap();
    assert_eq!(String::from_utf8(completed.stdout).unwrap().trim(), "tokens");

    std::fs::create_dir(site.path("man")).unwrap();
    STS.run(site.root(), &["man", "man"]).ended(0);
    for command in commands {
        let page = String::from_utf8(site.read(&format!("man/sts-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
    assert!(site.path("man/sts.1").exists());
    let finished = STS.run(site.root(), &["man", "missing"]).ended(1);
    assert!(finished.stderr.contains("missing"), "{}", finished.stderr);
}
