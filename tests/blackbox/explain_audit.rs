//! `sts explain --audit`: an old decision is judged again from its audit event.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Finished, Server, Site};

/// An account whose identity has a condition on a claim.
fn with_condition() -> Config {
    with_identity("svc:staged", "production")
}

fn with_identity(subject: &str, environment: &str) -> Config {
    let identity =
        json!({ "name": "stage", "issuer": "plain", "subject": subject, "claims": { "environment": environment } });
    world()
        .with("audit", json!({ "file": { "path": "audit.log" } }))
        .with("service_accounts/staged", json!({ "teams": ["deployers"], "identities": [identity] }))
}

fn staged(environment: &str) -> String {
    forge("svc:staged").claim("environment", environment).sign()
}

/// A site whose `audit.log` has the decisions on these tokens, with their request ids.
fn decided(config: &Config, tokens: &[String]) -> (Site, Vec<String>) {
    let server = Server::start_in(STS, world_site(config));
    let ids =
        tokens.iter().map(|token| server.exchange(token, &[]).header("x-request-id").unwrap().to_owned()).collect();
    (server.terminate().1, ids)
}

/// Writes a configuration into a folder of its own.
fn put(site: &Site, folder: &str, config: &Config) {
    std::fs::create_dir_all(site.path(folder)).unwrap();
    let other = world_site(config);
    for name in ["sts.yaml", "deploy.secret", "billing.secret"] {
        std::fs::copy(other.path(name), site.path(&format!("{folder}/{name}"))).unwrap();
    }
}

fn explain(site: &Site, id: &str, config: &str, more: &[&str]) -> Finished {
    let arguments = ["explain", "--audit", "audit.log", "--event", id, "--config", config];
    STS.run(site.root(), &[&arguments[..], more].concat())
}

#[test]
fn an_old_decision_is_judged_again_under_another_configuration() {
    let config = with_condition().with("log/claims", true);
    let (site, ids) = decided(&config, &[staged("production"), staged("test"), token("svc:nobody")]);
    let [grant, refusal, stranger] = ids.as_slice() else { panic!() };
    let same = explain(&site, grant, "sts.yaml", &[]).ended(0);
    assert!(same.first_line().starts_with("was: granted, account staged, identity"), "{}", same.text());
    for part in ["now: granted", "change: unchanged", "this is the configuration that the decision was made under"] {
        assert!(same.stdout.contains(part), "{part}: {}", same.text());
    }
    let told = explain(&site, refusal, "sts.yaml", &[]).ended(1);
    assert!(told.first_line().starts_with("was: refused, reason not_authorized"), "{}", told.text());
    assert!(told.stdout.contains("environment") && told.stdout.contains("change: unchanged"), "{}", told.text());

    // The folder has another configuration.
    put(&site, "new", &with_identity("svc:staged", "test"));
    let json = explain(&site, grant, "new", &["--json"]).ended(1).json();
    assert_eq!((&json["change"], &json["was"]["outcome"]), (&json!("newly_denied"), &json!("granted")), "{json}");
    assert_eq!((&json["now"]["verdict"], &json["now"]["claim"]), (&json!("refused"), &json!("environment")), "{json}");
    assert_eq!(json["was"]["request_id"], grant.as_str());
    let json = explain(&site, refusal, "new", &["--json"]).ended(0).json();
    assert_eq!((&json["change"], &json["now"]["verdict"]), (&json!("newly_allowed"), &json!("granted")), "{json}");
    let json = explain(&site, stranger, "new", &["--json"]).ended(1).json();
    assert_eq!(json["change"], "unchanged", "{json}");

    // Fewer scopes: the request named none, so it is granted less.
    put(&site, "less", &config.with("teams/deployers/grants/deploy", json!(["releases:read"])));
    let json = explain(&site, grant, "less", &["--json"]).ended(0).json();
    assert_eq!(
        (&json["change"], &json["now"]["grant"]["scope"]),
        (&json!("changed"), &json!("releases:read")),
        "{json}"
    );
}

#[test]
fn an_event_is_found_by_its_jti_in_a_document_or_on_standard_input() {
    let config = with_condition().with("log/claims", true);
    let (site, _) = decided(&config, &[staged("production"), staged("test")]);
    let text = String::from_utf8(site.read("audit.log")).unwrap();
    let line = text.lines().find(|line| line.contains("\"granted\"")).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    explain(&site, event["jti"].as_str().unwrap(), "sts.yaml", &[]).ended(0);
    // One jti in 64 begins with a hyphen. It is no option.
    let mut hyphened = event.clone();
    hyphened["jti"] = json!("-Ekx0tTAsvFWPZ1J3y6cRzq2bH8");
    site.write("two.json", json!({ "items": [event, hyphened], "next": null }).to_string());
    let by_jti = ["explain", "--audit", "two.json", "--event", "-Ekx0tTAsvFWPZ1J3y6cRzq2bH8", "--config", "sts.yaml"];
    STS.run(site.root(), &by_jti).ended(0);
    site.write("event.json", format!("{event:#}"));
    site.write("page.json", json!({ "items": [{ "event": "server_started" }, event], "next": null }).to_string());
    for file in ["event.json", "page.json"] {
        STS.run(site.root(), &["explain", "--audit", file, "--config", "sts.yaml"]).ended(0);
    }
    let mut child = STS
        .command(site.root())
        .args(["explain", "--audit", "-", "--config", "sts.yaml"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let several = STS.run(site.root(), &["explain", "--audit", "audit.log", "--config", "sts.yaml"]).ended(2);
    assert!(several.stderr.contains("2 decisions: name one"), "{}", several.text());
    assert!(explain(&site, "nobody", "sts.yaml", &[]).ended(2).stderr.contains("no decision event with"));
    site.write("other.json", "{\"event\":\"revocation\"}\n");
    site.write("text.log", "eyJhbGciOiJFUzI1NiJ9.secret");
    for (file, part) in
        [("other.json", "has no decision event"), ("text.log", "is no JSON at line 1"), ("away.log", "cannot read")]
    {
        let told = STS.run(site.root(), &["explain", "--audit", file, "--config", "sts.yaml"]).ended(2);
        assert!(told.stderr.contains(part) && !told.stderr.contains("secret"), "{file}: {}", told.text());
    }
}

#[test]
fn without_claims_the_certain_is_judged_and_the_rest_is_named() {
    let config = with_condition();
    let (site, ids) = decided(&config, &[staged("production"), token("svc:two")]);
    let open = explain(&site, &ids[0], "sts.yaml", &[]).ended(2);
    for part in
        ["now: cannot be judged", "staged/stage", "environment must be", "change: unknown", "the event has no claims"]
    {
        assert!(open.stdout.contains(part), "{part}: {}", open.text());
    }
    let json = explain(&site, &ids[0], "sts.yaml", &["--json"]).ended(2).json();
    assert_eq!(json["now"]["verdict"], "unknown", "{json}");
    assert!(
        json["now"]["unknown"].as_array().unwrap().iter().any(|open| open.as_str().unwrap().contains("environment"))
    );

    // What is refused whatever the claims are.
    for (folder, changed, part) in [
        ("disabled", config.clone().with("service_accounts/staged/enabled", false), "disabled"),
        ("subject", with_identity("svc:moved", "production"), "svc:moved"),
        ("gone", config.without("service_accounts/staged"), "no such account"),
    ] {
        put(&site, folder, &changed);
        let told = explain(&site, &ids[0], folder, &[]).ended(1);
        assert!(
            told.stdout.contains("now: refused: not_authorized") && told.stdout.contains(part),
            "{folder}: {}",
            told.text()
        );
        assert!(told.stdout.contains("change: newly_denied"), "{folder}: {}", told.text());
    }
}

#[test]
fn a_decision_on_an_api_key_is_judged_by_its_account() {
    let config = world().with("audit", json!({ "file": { "path": "audit.log" } })).with("api_keys/enabled", true);
    let server = Server::start_in(STS, world_site(&config));
    let made = server.send_admin(sts_testkit::Request::post_json(
        "/admin/v1/service-accounts/octo/api-keys",
        &json!({ "name": "k" }),
    ));
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let asked = sts_testkit::Request::post_form("/token", &[("grant_type", "client_credentials")]).basic("octo", &key);
    let answer = server.send(&asked);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("x-request-id").unwrap().to_owned();
    let (_, site) = server.terminate();
    let open = explain(&site, &id, "sts.yaml", &[]).ended(2);
    assert!(open.stdout.contains("whether the API key"), "{}", open.text());
    put(&site, "disabled", &config.with("service_accounts/octo/enabled", false));
    let told = explain(&site, &id, "disabled", &[]).ended(1);
    assert!(told.stdout.contains("the account `octo` is disabled"), "{}", told.text());
}
