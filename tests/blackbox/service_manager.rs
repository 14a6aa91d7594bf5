//! What the server tells the service manager that started it (`sd_notify`), and the health check of
//! a container.

use crate::support::*;
use serde_json::json;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use sts_testkit::{Server, Site};

/// A stand-in for systemd's end of `NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    /// The next message, as its lines.
    fn told(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    fn is_told(&self, state: &str, status: &str) {
        let lines = self.told();
        assert_eq!(lines.first().map(String::as_str), Some(state), "{lines:?}");
        assert!(lines.get(1).is_some_and(|line| line.starts_with("STATUS=") && line.contains(status)), "{lines:?}");
    }
}

/// A server that was started with that `NOTIFY_SOCKET`.
fn start_told(address: &str, site: Site) -> Server {
    let mut command = STS.command(site.root());
    command.env("NOTIFY_SOCKET", address);
    Server::try_start_by(STS, site, command).unwrap_or_else(|(_, finished)| panic!("no start: {}", finished.text()))
}

#[test]
fn the_service_manager_is_told_of_start_reload_refusal_and_stop() {
    let site = world_site(&world());
    let manager = Manager::of(UnixDatagram::bind(site.path("notify")).unwrap());
    let address = site.path("notify").display().to_string();
    let server = start_told(&address, site);
    manager.is_told("READY=1", &server.public().to_string());

    server.signal("HUP");
    assert_eq!(manager.told(), ["RELOADING=1"]);
    manager.is_told("READY=1", "is in force");

    let sound = server.site().read("sts.yaml");
    server.site().write("sts.yaml", "issuer: [");
    manager.is_told("READY=1", "do not load");
    server.signal("HUP");
    let mut told = manager.told();
    // The refused files may have been tried again just before.
    while told != ["RELOADING=1"] {
        told = manager.told();
    }
    manager.is_told("READY=1", "do not load");
    server.site().write("sts.yaml", sound);
    while !told.last().is_some_and(|line| line.contains("is in force")) {
        told = manager.told();
    }

    server.signal("TERM");
    manager.is_told("STOPPING=1", "draining");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_service_manager_may_have_an_abstract_address_and_may_be_gone() {
    let name = format!("sts-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    let server = start_told(&format!("@{name}"), world_site(&world()));
    manager.is_told("READY=1", &server.public().to_string());
    drop(manager);
    server.signal("HUP");
    server.lines().wait("a warning", |line| line.contains("NOTIFY_SOCKET").then_some(()));
    assert_eq!(server.send(&sts_testkit::Request::get("/healthz")).status, 200);
}

#[test]
fn the_health_check_says_whether_the_server_is_ready() {
    let server = Server::start_in(STS, world_site(&world()));
    let admin = json!({ "listen": server.admin().to_string() });
    // The server has ports of its own; the file of the check names them.
    server.site().write("check.yaml", json!({ "admin": admin }).to_string());
    let check = || STS.run(server.site().root(), &["healthcheck", "--config", "check.yaml"]);
    assert_eq!(check().ended(0).stdout, "ready\n");

    server.limit_files(Some(0));
    refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
    let sick = check().ended(1).stderr;
    assert!(sick.contains("503") && sick.contains("; store: "), "{sick}");

    let root = server.site().root().to_owned();
    let site = server.kill();
    let gone = STS.run(&root, &["healthcheck", "--config", "check.yaml"]).ended(1).stderr;
    assert!(gone.contains("nothing listens there"), "{gone}");
    let nowhere = STS.run(site.root(), &["healthcheck", "--config", "missing.yaml"]).ended(2).stderr;
    assert!(nowhere.contains("missing.yaml"), "{nowhere}");
}
