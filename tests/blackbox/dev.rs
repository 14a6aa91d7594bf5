//! `sts dev` and `sts exchange`: the first five minutes, and the client.

use crate::support::*;
use serde_json::Value;
use sts_testkit::{Finished, Server, Site, WebClient, now};

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
    let nobody = STS.run_in(
        server.site().root(),
        &["exchange", "--url", "http://127.0.0.1:1", "--timeout", "1"],
        &[("STS_ID_TOKEN", "x")],
    );
    nobody.ended(1);
}

/// A running `sts dev`. It is ended when it is dropped.
struct Dev(std::process::Child, sts_testkit::Lines);

impl Dev {
    fn start(site: &Site) -> Self {
        let mut command = STS.command(site.root());
        let streams = command.arg("dev").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = streams.spawn().unwrap();
        let lines = sts_testkit::Lines::default();
        lines.read(child.stdout.take().unwrap());
        lines.read(child.stderr.take().unwrap());
        lines.wait("the end of the walk", |line| line.contains("Serving until").then_some(()));
        Self(child, lines)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn fld54_the_lines_that_dev_prints_work_for_every_platform_and_show_a_refusal_with_its_cause() {
    let site = Site::new();
    let dev = Dev::start(&site);
    let printed = dev.1.text();
    let script = printed.split("Try it yourself:").nth(1).unwrap().split("\nServing until").next().unwrap();
    let run = std::process::Command::new("sh").args(["-c", script]).current_dir(site.root()).output().unwrap();
    let output = String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap();
    assert!(output.contains("\"active\":true"), "{output}");
    assert!(output.contains("not_authorized") && output.contains("event_name"), "{output}");
    // The last line prints another link into the console.
    assert!(output.trim_end().lines().last().unwrap().contains("/console/link?code="), "{output}");
    // Each of the three platforms' clients printed one of our access tokens.
    assert_eq!(
        output.lines().filter(|line| line.starts_with("ey") && line.matches('.').count() == 2).count(),
        3,
        "{output}"
    );
    let once = STS.run(site.root(), &["dev", "--once"]).ended(0);
    assert!(!once.stdout.contains("Try it yourself") && !once.stdout.contains("curl"), "{}", once.stdout);
}

#[test]
fn dev_prints_a_link_into_a_console_that_has_something_to_show() {
    let site = Site::new();
    let dev = Dev::start(&site);
    let printed = dev.1.text();
    let link = printed.lines().find_map(|line| line.strip_prefix("#   ").filter(|rest| rest.contains("/console/link")));
    let link = link.unwrap_or_else(|| panic!("{printed}"));
    let (origin, _) = link.split_once("/console/").unwrap();
    let mut person = WebClient::new(origin.strip_prefix("http://").unwrap().parse().unwrap());
    assert_eq!(person.open_link(link).status, 303);
    assert_eq!(person.get("/console/").status, 200);
    // The decisions of the samples were printed before the lines to try, not among them.
    let (before, after) = printed.split_once("Try it yourself").unwrap();
    assert!(before.contains("octo-pod") && !after.contains("\"decision\""), "{printed}");
}

#[test]
fn fld59_dev_prints_each_reload_and_what_changed() {
    let site = Site::new();
    let dev = Dev::start(&site);
    let accounts =
        dev.1.wait("the account file", |line| line.trim().ends_with("accounts.yaml").then(|| line.trim().to_owned()));
    let text = std::fs::read_to_string(&accounts).unwrap();
    std::fs::write(&accounts, text.replace("ttl: 5m", "ttl: 6m")).unwrap();
    dev.1.wait("the reload", |line| (line.contains("reloaded") && line.contains("octo-pod")).then_some(()));
    std::fs::write(&accounts, "teams: [").unwrap();
    dev.1.wait("the refusal", |line| line.contains("not reloaded").then_some(()));
}
