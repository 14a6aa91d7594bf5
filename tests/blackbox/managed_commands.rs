//! Managed objects by the command line: `apply`, `get`, `delete`, `enable` and `disable`.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Finished, Request, Server};

const FILE: &str = "\
teams:
  readers:
    display_name: Readers
    grants: { deploy: [\"releases:read\"] }
service_accounts:
  bot:
    display_name: A bot
    teams: [readers]
    identities:
      - name: main
        issuer: plain
        subject: svc:bot
";

fn server() -> Server {
    Server::start_in(STS, world_site(&world()))
}

fn apply(server: &Server, text: &str, more: &[&str]) -> Finished {
    server.site().replace("objects.yaml", text);
    server.cli(&[&["apply", "-f", "objects.yaml"], more].concat())
}

fn names(server: &Server, kind: &str) -> Vec<String> {
    let listed = server.cli(&["get", kind, "--source", "managed", "-o", "json"]).ended(0).json();
    listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn is_granted(server: &Server, subject: &str) -> bool {
    server.exchange(&token(subject), &[("audience", "bot")]).status == 200
}

#[test]
fn files_are_applied_once_and_again_and_what_get_prints_can_be_applied() {
    let server = server();
    let dry = apply(&server, FILE, &["--dry-run"]).ended(0);
    assert!(dry.stdout.contains("2 created; nothing was changed (dry run)"), "{}", dry.stdout);
    assert!(names(&server, "teams").is_empty());
    let done = apply(&server, FILE, &[]).ended(0);
    for line in ["teams/readers created", "service-accounts/bot created", "2 created"] {
        assert!(done.stdout.contains(line), "{}", done.stdout);
    }
    assert!(is_granted(&server, "svc:bot"));
    let again = apply(&server, FILE, &["--json"]).ended(0).json();
    assert!(again["items"].as_array().unwrap().iter().all(|item| item["outcome"] == "unchanged"), "{again}");
    // Round: what is in force, by source, is taken back and changes nothing.
    for kind in ["service-accounts", "teams", "apis", "issuers"] {
        let printed = server.cli(&["get", kind, "-o", "yaml"]).ended(0).stdout;
        let round = apply(&server, &printed, &["--json"]).ended(0).json();
        let changed = |item: &&Value| !matches!(item["outcome"].as_str(), Some("unchanged" | "in_file"));
        assert!(round["items"].as_array().unwrap().iter().find(changed).is_none(), "{kind}: {round}\n{printed}");
    }
    let one = server.cli(&["get", "account", "bot"]).ended(0).stdout;
    assert!(one.starts_with("service_accounts:\n  # managed, changed ") && one.contains("subject: svc:bot"), "{one}");
    let table = server.cli(&["get", "service-accounts"]).ended(0).stdout;
    assert!(table.lines().next().unwrap().starts_with("NAME"), "{table}");
    assert!(table.contains("octo") && table.contains("sts.yaml") && table.contains("managed"), "{table}");
    let shown = server.cli(&["get", "teams", "readers", "-o", "json"]).ended(0).json();
    assert_eq!((&shown["spec"]["display_name"], &shown["source"]), (&json!("Readers"), &json!("managed")));
}

#[test]
fn one_wrong_object_changes_nothing_and_is_shown_in_its_file() {
    let server = server();
    let wrong = FILE.replace("teams: [readers]", "teams: [raeders]");
    let misspelt = FILE.replace("issuer: plain", "isuer: plain");
    for (text, parts) in [
        (&wrong, ["objects.yaml:8:13", "^^^^^^^", "write `readers`", "nothing was changed"]),
        (&misspelt, ["objects.yaml:11:9", "^^^^^", "did you mean `issuer`?", "nothing was changed"]),
    ] {
        let refused = apply(&server, text, &[]).ended(1);
        for part in parts {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
    assert!(names(&server, "teams").is_empty() && names(&server, "service-accounts").is_empty());
    let told = apply(&server, &wrong, &["--json"]).ended(1).json();
    let finding = &told["findings"][0];
    assert!(told["error"].is_string() && finding["line"].is_u64() && finding["file"] == "objects.yaml", "{told}");
    // A file that is no YAML is not sent.
    let broken = apply(&server, "teams: [", &[]).ended(2);
    assert!(broken.stderr.contains("nothing was changed"), "{}", broken.stderr);
    let unknown = apply(&server, "team: {}\n", &[]).ended(2);
    assert!(unknown.stderr.contains("did you mean `teams`?"), "{}", unknown.stderr);
}

#[test]
fn an_object_that_a_file_of_the_server_declares_differently_refuses_everything() {
    let server = server();
    let refused = apply(&server, &format!("{FILE}  octo: {{ enabled: false }}\n"), &[]).ended(1);
    assert!(refused.stderr.contains("octo") && refused.stderr.contains("sts.yaml"), "{}", refused.stderr);
    assert!(names(&server, "teams").is_empty());
}

#[test]
fn pruning_deletes_what_the_files_do_not_declare_and_nothing_else() {
    let server = server();
    apply(&server, FILE, &[]).ended(0);
    let only_team = FILE.split("service_accounts:").next().unwrap();
    let kept = apply(&server, only_team, &[]).ended(0);
    assert!(kept.stdout.contains("1 unchanged"), "{}", kept.stdout);
    assert_eq!(names(&server, "service-accounts"), ["bot"]);
    let pruned = apply(&server, only_team, &["--prune"]).ended(0);
    assert!(pruned.stdout.contains("service-accounts/bot deleted"), "{}", pruned.stdout);
    assert!(names(&server, "service-accounts").is_empty());
    assert_eq!(names(&server, "teams"), ["readers"]);
    let everything = apply(&server, "", &["--prune"]).ended(2);
    assert!(everything.stderr.contains("nothing was changed"), "{}", everything.stderr);
    assert_eq!(names(&server, "teams"), ["readers"]);
}

#[test]
fn an_account_is_disabled_enabled_and_deleted_and_its_tokens_follow_at_once() {
    let server = server();
    apply(&server, FILE, &[]).ended(0);
    let access = server.token(&token("svc:bot"), &[("audience", "bot")]);
    let active = || server.introspect("deploy", DEPLOY_SECRET, &access)["active"] == true;
    assert!(active());
    let disabled = server.cli(&["disable", "bot"]).ended(0);
    assert!(disabled.stdout.contains("service-accounts/bot disabled"), "{}", disabled.stdout);
    assert!(!active() && !is_granted(&server, "svc:bot"));
    assert!(server.cli(&["disable", "bot"]).ended(0).stdout.contains("already disabled"));
    server.cli(&["enable", "bot"]).ended(0);
    assert!(active());
    let of_file = server.cli(&["disable", "octo"]).ended(1);
    assert!(of_file.stderr.contains("sts.yaml"), "{}", of_file.stderr);
    let unknown = server.cli(&["disable", "bto"]).ended(1);
    assert!(unknown.stderr.contains("did you mean `bot`?"), "{}", unknown.stderr);

    let in_use = server.cli(&["delete", "teams", "readers"]).ended(1);
    assert!(in_use.stderr.contains("service-accounts/bot"), "an account is in the team: {}", in_use.stderr);
    let dry = server.cli(&["delete", "account", "bot", "--dry-run"]).ended(0);
    assert!(dry.stdout.contains("nothing was changed (dry run)"), "{}", dry.stdout);
    assert!(active());
    server.cli(&["delete", "account", "bot"]).ended(0);
    assert!(!active());
    server.cli(&["delete", "team", "readers"]).ended(0);
    let gone = server.cli(&["delete", "team", "readers"]).ended(1);
    assert!(gone.stderr.contains("readers"), "{}", gone.stderr);
    let usage = server.cli(&["delete", "taems", "readers"]).ended(2);
    assert!(usage.stderr.contains("did you mean `teams`?"), "{}", usage.stderr);
}

#[test]
fn objects_are_read_from_standard_input_and_without_a_server_from_the_store() {
    let server = server();
    apply(&server, FILE, &[]).ended(0);
    let (_, site) = server.terminate();
    let listed = STS.run(site.root(), &["get", "teams", "--source", "managed", "-o", "json"]).ended(0).json();
    assert_eq!(listed["items"][0]["name"], "readers", "{listed}");
    site.replace("objects.yaml", FILE.replace("A bot", "Another bot"));
    STS.run(site.root(), &["apply", "-f", "objects.yaml"]).ended(0);
    let server = Server::start_in(STS, site);
    let account = server.send_admin(Request::get("/admin/v1/service-accounts/bot")).json();
    assert_eq!(account["spec"]["display_name"], "Another bot");
    assert_eq!(account["updated_by"], "command line");
}
