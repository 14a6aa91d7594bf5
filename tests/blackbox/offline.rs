//! Commands with a stopped server and a configuration that does not load. They can still list, show
//! and revoke tokens, and files keep their owner.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::json;
use std::path::Path;
use sts_testkit::{Config, Finished, RedisServer, Server, Site};

/// `octo` has its own id, so that only the configuration knows its username.
fn split_world() -> Config {
    world().without("service_accounts/octo").with("accounts", "accounts/*.yaml")
}

fn octo_file() -> String {
    let octo = json!({ "id": OCTO_ID, "teams": ["deployers"], "identities": [identity("plain", "svc:octo")] });
    json!({ "service_accounts": { "octo": octo } }).to_string()
}

fn run(site: &Site, arguments: &[&str]) -> Finished {
    let mut all = arguments.to_vec();
    all.extend(["--config", "sts.yaml"]);
    STS.run(site.root(), &all)
}

fn every_path(root: &Path, visit: &mut dyn FnMut(&Path)) {
    visit(root);
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() { every_path(&entry.path(), visit) } else { visit(&entry.path()) }
    }
}

#[test]
fn fld22_without_a_server_a_configuration_that_does_not_load_is_no_obstacle_to_revoking() {
    let config = split_world();
    let mut site = world_site(&config);
    site.write("accounts/octo.yaml", octo_file());
    type Break = fn(&Config, &Site);
    let breaks: [(&str, Break); 6] = [
        ("another account file is broken", |_, site| site.write("accounts/z.yaml", "service_accounts: [\n")),
        ("a secret is missing", |_, site| std::fs::remove_file(site.path("deploy.secret")).unwrap()),
        ("a key is unknown and a value is wrong", |config, site| {
            site.replace("sts.yaml", config.clone().with("nonsense", 1).with("tokens/ttl", "soon").text());
        }),
        ("the rules do not compile", |config, site| {
            site.replace("sts.yaml", config.clone().with("service_accounts/two/teams", json!(["nobody"])).text());
        }),
        ("the YAML is broken at its end", |config, site| site.replace("sts.yaml", format!("{}\n}} [", config.text()))),
        ("`issuer` is not there", |config, site| {
            site.replace("sts.yaml", config.clone().without("issuer").text());
        }),
    ];
    for (what, break_it) in breaks {
        let server = Server::start_in(STS, site);
        let access = server.token(&token("svc:octo"), &[]);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        site = server.kill();
        break_it(&config, &site);
        assert_ne!(run(&site, &["check"]).code, Some(0), "{what}: this is to be a configuration that does not load");
        let listed = run(&site, &["tokens", "list", "--account", "octo", "--state", "active", "--json"]).ended(0);
        assert!(listed.stderr.contains("does not load") && listed.stderr.contains("sts check"), "{}", listed.stderr);
        let listed = listed.json();
        assert!(listed["notes"].to_string().contains("does not load"), "{what}: {listed}");
        let jti = listed["tokens"][0]["jti"].as_str().unwrap_or_else(|| panic!("{what}: {listed}")).to_owned();
        run(&site, &["tokens", "show", &jti]).ended(0);
        for command in [["keys", "list"], ["denials", "list"]] {
            run(&site, &command).ended(0);
        }
        // Make a rule, undo it, and make it again.
        let made = run(&site, &["tokens", "revoke", "--account", "octo"]).ended(0);
        assert!(made.stdout.contains("revoked 1 live token"), "{what}: {}", made.text());
        let rules = run(&site, &["tokens", "rules", "list", "--json"]).ended(0).json();
        let rules: Vec<_> =
            rules["revocation_rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        run(&site, &["tokens", "rules", "undo", rules.last().unwrap()]).ended(0);
        let again = run(&site, &["tokens", "revoke", "--jti", &jti]).ended(0);
        assert!(again.stdout.contains("revoked 1 live token"), "{what}: {}", again.text());
        // A name that cannot be checked is an error with its reason, and makes no rule.
        let unknown = run(&site, &["tokens", "revoke", "--account", "nobody-at-all"]).ended(1);
        assert!(unknown.stderr.contains("does not load") && unknown.stderr.contains("id"), "{}", unknown.stderr);
        // Commands about the configuration need one that loads.
        let issuers = run(&site, &["issuers", "list"]).ended(2);
        assert!(issuers.stderr.contains("nothing was listed"), "{}", issuers.stderr);
        let _ = std::fs::remove_file(site.path("accounts/z.yaml"));
        site.write("deploy.secret", DEPLOY_SECRET);
        site.replace("sts.yaml", config.text());
        let server = Server::start_in(STS, site);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }), "{what}");
        site = server.kill();
    }
}

#[test]
fn fld22_which_store_it_is_is_never_guessed_and_what_is_missing_is_said() {
    let site = world_site(&world());
    let server = Server::start_in(STS, site);
    let _ = server.token(&token("svc:octo"), &[]);
    let site = server.kill();
    for (config, wanted) in [
        (world().with("store", "${NOT_SET}").text(), "NOT_SET"),
        (world().with("store", "nowhere").text(), "embedded"),
        (world().with("signing/keys_dir", "${NOT_SET}").text(), "NOT_SET"),
        (format!("{}\nstore: [\n", world().text()), "sts.yaml"),
    ] {
        site.replace("sts.yaml", config);
        let failed = run(&site, &["tokens", "revoke", "--account", "octo"]).ended(2);
        assert!(failed.stderr.contains(wanted), "{wanted}: {}", failed.stderr);
        assert!(failed.stderr.contains("nothing was revoked"), "{}", failed.stderr);
    }
    // A missing store is not created.
    site.replace("sts.yaml", world().with("data_dir", "elsewhere").with("nonsense", 1).text());
    let failed = run(&site, &["tokens", "list"]).ended(1);
    assert!(failed.stderr.contains("sts.redb") && !site.path("elsewhere").exists(), "{}", failed.stderr);
}

#[test]
fn fld22_a_store_without_the_key_of_its_seal_is_not_opened_and_no_key_is_made() {
    let config = split_world();
    let site = world_site(&config);
    site.write("accounts/octo.yaml", octo_file());
    let server = Server::start_in(STS, site);
    let _ = server.token(&token("svc:octo"), &[]);
    let site = server.kill();
    let mut seals = Vec::new();
    every_path(site.root(), &mut |path| {
        if path.ends_with("seal.key") {
            seals.push(path.to_owned());
        }
    });
    let [seal] = &seals[..] else { panic!("{seals:?}") };
    let key = std::fs::read(seal).unwrap();
    std::fs::remove_file(seal).unwrap();
    let refused = run(&site, &["tokens", "list"]).ended(1);
    assert!(refused.stderr.contains("seal.key` is not there"), "{}", refused.text());
    assert!(!seal.exists(), "a new seal would make every record look forged");
    std::fs::write(seal, key).unwrap();
    std::fs::set_permissions(seal, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(run(&site, &["tokens", "list"]).ended(0).stdout.contains("octo"));
}

#[test]
fn fld22_fld15_what_root_does_so_leaves_files_to_the_owner_of_their_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const OWNER: u32 = 12_346;
    let server = Server::start_in(STS, world_site(&world()));
    if std::fs::metadata(server.site().path("data")).unwrap().uid() != 0 {
        // Only root can change the owner of a file, so there is nothing to test.
        return;
    }
    let _ = server.token(&token("svc:octo"), &[]);
    let site = server.kill();
    let data = site.path("data");
    every_path(&data, &mut |path| chown(path, Some(OWNER), Some(OWNER)).unwrap());
    site.replace("sts.yaml", world().with("nonsense", 1).text());
    for command in [["tokens", "revoke", "--account", "octo"].as_slice(), &["tokens", "list"], &["keys", "rotate"]] {
        run(&site, command).ended(0);
    }
    every_path(&data, &mut |path| {
        assert_eq!(std::fs::symlink_metadata(path).unwrap().uid(), OWNER, "{}", path.display());
    });
}

#[test]
fn fld22_a_redis_is_opened_so_as_well() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    let site = server.kill();
    site.replace("sts.yaml", config.clone().with("nonsense", 1).text());
    let made = run(&site, &["tokens", "revoke", "--account", "octo"]).ended(0);
    assert!(made.stdout.contains("revoked 1 live token"), "{}", made.text());
    site.replace("sts.yaml", config.clone().with("store/url", "redis:/nowhere").text());
    let failed = run(&site, &["tokens", "list"]).ended(2);
    assert!(failed.stderr.contains("url") && failed.stderr.contains("redis://"), "{}", failed.stderr);
    site.replace("sts.yaml", config.text());
    let server = Server::start_in(STS, site);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
}
