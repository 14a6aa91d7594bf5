//! `sts dev` and `sts exchange`: the first five minutes, and the client (DESIGN section 8).

use crate::support::*;
use serde_json::Value;
use sts_testkit::{Finished, Server, Site, now};

#[test]
fn dev_once_shows_one_worked_exchange_without_any_configuration() {
    let site = Site::new();
    let finished = STS.run(site.root(), &["dev", "--once"]).ended(0);
    for part in ["repo:octo-org/octo-repo", "granted", "POST /token", "access_token", "/.well-known/jwks.json"] {
        assert!(finished.stdout.contains(part), "{part}: {}", finished.stdout);
    }
    assert_eq!(std::fs::read_dir(site.root()).unwrap().count(), 0, "it leaves nothing behind");
}

fn client(server: &Server, more: &[&str], environment: &[(&str, &str)]) -> Finished {
    let url = format!("http://{}", server.public());
    let mut arguments = vec!["exchange", "--url", &url];
    arguments.extend_from_slice(more);
    STS.run_in(server.site().root(), &arguments, environment)
}

#[test]
fn the_client_finds_the_token_and_prints_the_access_token() {
    let server = Server::start_in(STS, world_site(&world()));
    let subject = token("svc:two");
    server.site().write("id.token", format!("{subject}\n"));
    let ask = ["--account", "two", "--audience", "billing"];
    let with_file = [&["--token-file", "id.token"], &ask[..]].concat();
    let active = |access: &str| server.introspect("billing", BILLING_SECRET, access)["active"] == true;
    assert!(active(client(&server, &with_file, &[]).ended(0).stdout.trim()));
    assert!(active(client(&server, &ask, &[("STS_ID_TOKEN", &subject)]).ended(0).stdout.trim()));
    assert!(active(client(&server, &ask, &[("STS_ID_TOKEN_FILE", "id.token")]).ended(0).stdout.trim()));

    let output =
        |kind: &str, more: &[&str]| client(&server, &[&with_file, more, &["--output", kind]].concat(), &[]).ended(0);
    let json: Value = output("json", &["--expires-in", "60"]).json();
    assert_eq!(json["expires_in"], 60);
    assert!(active(json["access_token"].as_str().unwrap()));
    let env = output("env", &[]).stdout;
    assert!(active(env.trim().strip_prefix("STS_ACCESS_TOKEN=").unwrap()));
    let credential = output("exec-credential", &[]).json();
    assert_eq!(credential["kind"], "ExecCredential");
    assert!(active(credential["status"]["token"].as_str().unwrap()));
    assert!(credential["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_client_fails_with_1_when_refused_and_2_on_usage_and_prints_no_token() {
    let server = Server::start_in(STS, world_site(&world()));
    let expired = forge("svc:octo").claim("iat", now() - 900).claim("exp", now() - 600).sign();
    let refused = client(&server, &[], &[("STS_ID_TOKEN", &expired)]).ended(1);
    assert!(refused.stderr.contains("token_expired") && refused.stdout.is_empty());
    assert!(!refused.text().contains(expired.rsplit('.').next().unwrap()));
    client(&server, &[], &[]).ended(2);
    client(&server, &["--token-file", "missing"], &[]).ended(2);
    let plain =
        STS.run_in(server.site().root(), &["exchange", "--url", "http://sts.example.com"], &[("STS_ID_TOKEN", "x")]);
    plain.ended(2);
    let nobody =
        STS.run_in(server.site().root(), &["exchange", "--url", "http://127.0.0.1:1"], &[("STS_ID_TOKEN", "x")]);
    nobody.ended(1);
}
