//! Access to secret files and to our folders, and the behaviour of a server whose files others can
//! access.

use crate::support::*;
use serde_json::json;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use sts_testkit::{Config, Finished, Request, Server, Site, send};

/// A user and a group that do not exist here.
const USER: u32 = 4711;
const GROUP: u32 = 4712;
const STRANGER: u32 = 4713;

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn refused_start(site: Site, parts: &[&str]) -> (Site, Finished) {
    let Err((site, finished)) = Server::try_start(STS, site) else { panic!("a server started") };
    assert_eq!(finished.code, Some(2), "{}", finished.text());
    for part in parts {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
    }
    // `check` refuses what `serve` refuses.
    let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2);
    for part in parts {
        assert!(checked.stderr.contains(part), "check: {part}: {}", checked.stderr);
    }
    (site, finished)
}

/// A directory in which a server has created its files.
fn used_site() -> Site {
    Server::start_in(STS, world_site(&world())).terminate().1
}

#[test]
fn f8_a_secret_that_others_have_access_to_stops_the_start_whichever_it_is() {
    for name in ["data/admin.token", "deploy.secret", "data/keys/seal.key"] {
        for mode in [0o644, 0o666, 0o604, 0o602] {
            let site = used_site();
            set_mode(site.path(name), mode);
            let shown = format!("{mode:04o}");
            let (site, _) = refused_start(site, &[name, &shown, "chmod 600"]);
            set_mode(site.path(name), 0o600);
            drop(Server::start_in(STS, site));
        }
    }
}

#[test]
fn f8_a_secret_of_another_user_stops_the_start() {
    for name in ["data/admin.token", "deploy.secret", "data/keys/seal.key"] {
        let site = used_site();
        chown(site.path(name), Some(STRANGER), None).unwrap();
        refused_start(site, &[name, "4713", "chown 0"]);
    }
}

#[test]
fn f8_the_tls_key_and_the_redis_password_are_secrets_too() {
    let tls = world()
        .with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" }))
        .with("issuer", "https://localhost");
    let redis = world().with("store", json!({ "url": "redis://127.0.0.1:1", "password_file": "redis.password" }));
    for (config, name) in [(tls, "tls.key"), (redis, "redis.password")] {
        let site = world_site(&config);
        for file in ["crt", "key"] {
            site.write(
                &format!("tls.{file}"),
                std::fs::read(sts_testkit::corpus_file(&format!("tls/server.{file}"))).unwrap(),
            );
        }
        site.write("redis.password", "correct horse battery staple");
        set_mode(site.path(name), 0o640);
        chown(site.path(name), None, Some(STRANGER)).unwrap();
        refused_start(site, &[name, "0640", "4713"]);
    }
}

#[test]
fn f8_a_folder_of_ours_that_others_can_write_to_stops_the_start() {
    for folder in ["data", "data/keys"] {
        for mode in [0o777, 0o1777, 0o702, 0o2777] {
            let site = used_site();
            set_mode(site.path(folder), mode);
            refused_start(site, &[folder, &format!("{mode:04o}"), "chmod o-w"]);
        }
        let site = used_site();
        chown(site.path(folder), Some(STRANGER), None).unwrap();
        refused_start(site, &[folder, "4713"]);
    }
    // A file that exists before the first start is checked like any other.
    let site = world_site(&world());
    std::fs::create_dir(site.path("data")).unwrap();
    set_mode(site.path("data"), 0o777);
    let (site, _) = refused_start(site, &["data", "0777"]);
    assert_eq!(std::fs::read_dir(site.path("data")).unwrap().count(), 0, "nothing was made in it");
}

#[test]
fn f8_what_is_written_here_is_not_read_through_a_link_and_a_fifo_holds_nobody_up() {
    let site = used_site();
    std::fs::rename(site.path("data/admin.token"), site.path("elsewhere")).unwrap();
    symlink(site.path("elsewhere"), site.path("data/admin.token")).unwrap();
    let (site, _) = refused_start(site, &["data/admin.token", "symbolic link"]);
    for name in ["data/admin.token", "deploy.secret", "data/keys/seal.key"] {
        std::fs::remove_file(site.path(name)).unwrap();
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(site.path(name)).status().unwrap().success());
    }
    let (site, _) = refused_start(site, &["deploy.secret", "not a regular file"]);
    site.replace("deploy.secret", DEPLOY_SECRET);
    refused_start(site, &["not a regular file"]);
}

#[test]
fn f8_a_changed_admin_token_takes_effect_at_once() {
    let server = Server::start_in(STS, world_site(&world()));
    let status = |token: &str| send(server.admin(), &Request::get("/admin/v1/keys").bearer(token)).status;
    let first = server.admin_token();
    let second = "second-token-0123456789abcdef0123456789abcdef";
    assert_eq!(status(&first), 200);
    server.site().replace("data/admin.token", format!("{second}\n"));
    assert_eq!((status(&first), status(second)), (401, 200));
    // The token is not accepted while others can read its file.
    set_mode(server.site().path("data/admin.token"), 0o644);
    assert_eq!(status(second), 401);
    server.lines().wait("a word on the cause", |line| {
        (line.contains("admin.token") && line.contains("0644") && line.contains("ERROR")).then_some(())
    });
    set_mode(server.site().path("data/admin.token"), 0o600);
    assert_eq!(status(second), 200);
    std::fs::remove_file(server.site().path("data/admin.token")).unwrap();
    assert_eq!(status(second), 401);
}

/// Starts a server as `user` in `groups`.
fn start_as(site: Site, user: u32, groups: &str) -> Result<Server, (Site, Finished)> {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), &format!("--groups={groups}")]);
    command.args(["--no-new-privs", "--inh-caps=-all", STS.0]);
    command.current_dir(site.root()).env_clear();
    Server::try_start_by(STS, site, command)
}

/// Gives everything below `path` to `user` and `group`, and adds at least the bits of `mode` to
/// folders and files.
fn give(path: &Path, (user, group): (u32, u32), (folder_mode, file_mode): (u32, u32)) {
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        set_mode(path, folder_mode);
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), (user, group), (folder_mode, file_mode));
        }
    } else {
        set_mode(path, file_mode);
    }
}

#[test]
fn fld14_f8_volumes_as_fs_group_leaves_them_serve_the_first_start_and_every_later_one() {
    let config = world().with("signing/keys_dir", "keys");
    let site = world_site(&config);
    set_mode(site.root(), 0o755);
    for name in ["data", "keys"] {
        std::fs::create_dir(site.path(name)).unwrap();
    }
    // What kubelet does at each mount: the group and its bits on everything, setgid on folders;
    // root owns a fresh volume.
    let mount = |site: &Site, owner: u32| {
        for name in ["data", "keys"] {
            give(&site.path(name), (owner, GROUP), (0o2770, 0o660));
            chown(site.path(name), Some(0), Some(GROUP)).unwrap();
        }
        for name in ["sts.yaml", "deploy.secret", "billing.secret"] {
            chown(site.path(name), Some(0), Some(GROUP)).unwrap();
            set_mode(site.path(name), 0o440);
        }
    };
    let mut site = site;
    let mut kid = None;
    for _ in 0..3 {
        mount(&site, USER);
        let server =
            start_as(site, USER, &GROUP.to_string()).unwrap_or_else(|(_, finished)| panic!("{}", finished.text()));
        assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
        server.lines().wait("a warning", |line| (line.contains("WARN") && line.contains("4712")).then_some(()));
        let now = server.jwks()["keys"][0]["kid"].clone();
        assert_eq!(*kid.get_or_insert(now.clone()), now);
        site = server.terminate().1;
    }
    // The same files, but the process is not in the group.
    mount(&site, USER);
    for name in ["sts.yaml", "deploy.secret", "billing.secret"] {
        chown(site.path(name), Some(USER), Some(GROUP)).unwrap();
    }
    let (_, finished) = start_as(site, USER, "4799").expect_err("no start");
    assert!(finished.stderr.contains("4712") && finished.stderr.contains("not in that group"), "{}", finished.text());
}

#[test]
fn f8_an_unprivileged_server_takes_secrets_of_root_and_refuses_those_of_strangers() {
    let site = world_site(&world());
    set_mode(site.root(), 0o755);
    std::fs::create_dir(site.path("data")).unwrap();
    chown(site.path("data"), Some(USER), Some(USER)).unwrap();
    for name in ["sts.yaml", "deploy.secret", "billing.secret"] {
        chown(site.path(name), Some(0), Some(USER)).unwrap();
        set_mode(site.path(name), 0o640);
    }
    let server = start_as(site, USER, "4799").unwrap_or_else(|(_, finished)| panic!("{}", finished.text()));
    let site = server.terminate().1;
    chown(site.path("deploy.secret"), Some(STRANGER), None).unwrap();
    let (_, finished) = start_as(site, USER, "4799").expect_err("no start");
    for part in ["deploy.secret", "4713", "4711", "chown 4711"] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.text());
    }
}

#[test]
fn f8_configured_secrets_are_links_in_kubernetes_and_nobody_elses() {
    let config: Config = world().with("apis/deploy/introspection_secret_file", "mount/deploy.secret");
    let site = world_site(&config);
    site.write("mount/..2026/deploy.secret", DEPLOY_SECRET);
    symlink("..2026", site.path("mount/..data")).unwrap();
    symlink("..data/deploy.secret", site.path("mount/deploy.secret")).unwrap();
    set_mode(site.path("mount"), 0o1777);
    let server = Server::start_in(STS, site);
    let site = server.terminate().1;
    set_mode(site.path("mount"), 0o777);
    refused_start(site, &["deploy.secret", "symbolic link", "0777"]);
}
