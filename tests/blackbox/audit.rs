//! The audit trail: who did what, in a file whose chain shows any change.

use crate::support::*;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use std::io::Read as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use sts_testkit::{Finished, Request, Server, Site, free_address, send, until};

const AUDIT: &str = "/admin/v1/audit";
const ACCOUNTS: &str = "/admin/v1/service-accounts";

fn with_file() -> sts_testkit::Config {
    world().with("audit", json!({ "file": { "path": "audit.log" } }))
}

fn verify(site: &Site, arguments: &[&str]) -> Finished {
    STS.run(site.root(), &[&["audit", "verify"], arguments].concat())
}

/// The lines of the file.
fn lines(site: &Site) -> Vec<Value> {
    let text = String::from_utf8(site.read("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events that the admin API lists, newest first.
fn listed(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.send_admin(Request::get(&format!("{AUDIT}?{query}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

fn schema() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/schema/decision-event.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn is_by_schema(event: &Value) {
    // The schema of its own type tells what is wrong.
    let name = event["event"].as_str().unwrap();
    let own = schema()["$defs"][name].clone();
    assert!(own.is_object(), "no schema for {event}");
    let errors: Vec<String> =
        jsonschema::validator_for(&own).unwrap().iter_errors(event).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {event}");
    assert!(jsonschema::validator_for(&schema()).unwrap().is_valid(event), "{event}");
}

#[test]
fn c162_the_file_of_a_server_verifies_and_any_edit_of_it_is_told() {
    let server = Server::start_in(STS, world_site(&with_file()));
    std::fs::write(server.site().path("jwks.json"), server.jwks().to_string()).unwrap();
    for subject in ["svc:octo", "svc:nobody", "svc:octo"] {
        let _ = server.exchange(&token(subject), &[]);
    }
    let (code, site) = server.terminate();
    assert_eq!(code, Some(0));
    let sound = verify(&site, &["audit.log", "--jwks", "jwks.json"]).ended(0);
    assert!(sound.stdout.starts_with("sound: "), "{}", sound.text());
    assert!(sound.stdout.contains("a known key signed the chain up to line"), "{}", sound.text());
    let events = lines(&site);
    assert_eq!(events.first().unwrap()["event"], "audit_file_begun");
    assert_eq!(events.last().unwrap()["event"], "checkpoint");
    events.iter().for_each(is_by_schema);
    let text = String::from_utf8(site.read("audit.log")).unwrap();
    let put = |text: String| std::fs::write(site.path("edited.log"), text).unwrap();
    let refused = text.lines().position(|line| line.contains("\"not_authorized\"")).unwrap();
    put(text.replace("\"reason\":\"not_authorized\"", "\"reason\":\"token_expired\""));
    let told = verify(&site, &["edited.log"]).ended(1);
    assert!(told.stdout.contains(&format!("line {} of `edited.log`: it was changed", refused + 1)), "{}", told.text());
    let without: Vec<&str> =
        text.lines().enumerate().filter(|(index, _)| *index != refused).map(|(_, line)| line).collect();
    put(without.join("\n") + "\n");
    let told = verify(&site, &["edited.log"]).ended(1);
    assert!(told.stdout.contains("are missing before it"), "{}", told.text());
    put(text.lines().take(refused + 1).map(|line| format!("{line}\n")).collect());
    let told = verify(&site, &["edited.log"]).ended(1);
    assert!(told.stdout.contains("does not end in a checkpoint"), "{}", told.text());
    let json = verify(&site, &["edited.log", "--json"]).ended(1).json();
    assert_eq!(json["sound"], false);
    // Keys of another server prove nothing.
    let other = Server::start_in(STS, world_site(&world()));
    std::fs::write(site.path("other.json"), other.jwks().to_string()).unwrap();
    let told = verify(&site, &["audit.log", "--jwks", "other.json"]).ended(1);
    assert!(told.stdout.contains("no checkpoint is signed by a key of --jwks"), "{}", told.text());
    let json = verify(&site, &["audit.log", "--jwks", "other.json", "--json"]).ended(1).json();
    let own: Value = serde_json::from_slice(&site.read("jwks.json")).unwrap();
    let kids: Vec<&Value> = own["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&json["unknown_key"]), "{json}");
    verify(&site, &["away.log"]).ended(2);
}

#[test]
fn c162_a_file_that_is_being_written_verifies_and_says_so() {
    let server = Server::start_in(STS, world_site(&with_file()));
    let _ = server.exchange(&token("svc:octo"), &[]);
    until("the decision", || lines(server.site()).iter().any(|line| line["event"] == "decision"));
    let told = verify(server.site(), &["audit.log"]).ended(0);
    assert!(told.stdout.contains("the file is being written"), "{}", told.text());
}

#[test]
fn c162_the_chain_goes_on_after_a_crash_and_over_full_files() {
    let config = world().with("audit", json!({ "file": { "path": "audit.log", "max_size": "8KiB", "max_files": 50 } }));
    let mut server = Server::start_in(STS, world_site(&config));
    for _ in 0..2 {
        for _ in 0..15 {
            let _ = server.exchange(&token("svc:octo"), &[]);
        }
        server = server.crash_and_restart();
    }
    // A crash within a write.
    let site = server.kill();
    let torn = [site.read("audit.log"), b"{\"event\":\"deci".to_vec()].concat();
    std::fs::write(site.path("audit.log"), torn).unwrap();
    let server = Server::start_in(STS, site);
    let _ = server.exchange(&token("svc:octo"), &[]);
    let jwks = server.jwks().to_string();
    let (_, site) = server.terminate();
    std::fs::write(site.path("jwks.json"), jwks).unwrap();
    let files: Vec<String> = std::fs::read_dir(site.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("audit.log"))
        .collect();
    assert!(files.len() > 2, "{files:?}");
    let mut arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    arguments.extend(["--jwks", "jwks.json"]);
    verify(&site, &arguments).ended(0);
    let all: String = files.iter().map(|file| String::from_utf8(site.read(file)).unwrap()).collect();
    assert!(all.lines().any(|line| line.contains("audit_file_healed") && line.contains("\"torn_bytes\":14,")), "{all}");
}

#[test]
fn every_admin_action_and_every_refusal_names_who_what_and_where() {
    let config = world().with("audit", json!({ "file": { "path": "audit.log" } }));
    let server = Server::start_in(STS, world_site(&config));
    let ids = [
        ("object_changed", server.send_admin(Request::post_json(ACCOUNTS, &json!({ "name": "made", "spec": {} })))),
        (
            "api_key_created",
            server.send_admin(Request::post_json(&format!("{ACCOUNTS}/octo/api-keys"), &json!({ "name": "k" }))),
        ),
        (
            "revocation",
            server.send_admin(Request::post_json(
                "/admin/v1/revocations",
                &json!({ "account": "octo", "reason": "drill" }),
            )),
        ),
        ("signing_keys_rotated", server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})))),
        ("request_refused", server.send_admin(Request::post_json(ACCOUNTS, &json!({ "name": "made", "spec": {} })))),
        ("request_refused", sts_testkit::send(server.admin(), &Request::get("/admin/v1/tokens").bearer("wrong"))),
        ("request_refused", sts_testkit::send(server.admin(), &Request::get("/admin/v1/tokens"))),
        ("request_refused", server.send(&Request::post_form("/revoke", &[("token", "x")]).basic("nobody", "x"))),
        ("request_refused", server.send(&Request::post_form("/introspect", &[("token", "x")]))),
        ("revocation", server.revoke(&server.token(&token("svc:two"), &[("audience", DEPLOY)]))),
    ];
    for (event, answer) in &ids {
        let id = answer.header("x-request-id").unwrap();
        let found = listed(&server, &format!("object={id}"));
        let [own] = found.as_slice() else { panic!("{event} {}: {found:?} {}", answer.status, answer.text()) };
        assert_eq!(own["event"], *event, "{own}");
        assert_eq!((own["source"].as_str(), own["request_id"].as_str()), (Some("127.0.0.1"), Some(id)), "{own}");
        assert_eq!(own["outcome"], if *event == "request_refused" { "refused" } else { "done" }, "{own}");
        is_by_schema(own);
    }
    let made = &listed(&server, "type=object_changed")[0];
    assert_eq!((&made["object"], &made["change"]), (&json!("service-accounts/made"), &json!("created")), "{made}");
    assert_eq!((&made["actor_kind"], &made["after"]), (&json!("admin_token"), &json!({})), "{made}");
    let kinds: Vec<Value> =
        listed(&server, "type=request_refused").iter().map(|event| event["actor_kind"].clone()).collect();
    assert_eq!(kinds, ["caller", "caller", "caller", "caller", "admin_token"]);
    let refused = &listed(&server, "type=request_refused")[0];
    assert_eq!((&refused["path"], &refused["status"]), (&json!("/introspect"), &json!(401)), "{refused}");
    for filter in
        ["actor=admin_token", "type=server_started,configuration_loaded", "since=2020-01-01T00:00:00Z&limit=3"]
    {
        assert!(!listed(&server, filter).is_empty(), "{filter}");
    }
    assert!(listed(&server, "until=2020-01-01T00:00:00Z").is_empty());
    let wrong = server.send_admin(Request::get(&format!("{AUDIT}?type=object_chnged")));
    assert!(wrong.status == 400 && wrong.text().contains("did you mean `object_changed`?"), "{}", wrong.text());
    let page = server.send_admin(Request::get(&format!("{AUDIT}?limit=1"))).json();
    assert!(page["next"].is_string(), "{page}");
    // Neither the key nor any token is anywhere.
    let key = ids[1].1.json()["key"].as_str().unwrap().to_owned();
    let secrets = [key, server.admin_token(), token("svc:two")];
    let tail = server.cli(&["audit", "tail", "--limit", "1000"]).ended(0);
    assert!(tail.stdout.contains("object_changed done admin_token"), "{}", tail.text());
    let (_, site) = server.terminate();
    let written = String::from_utf8(site.read("audit.log")).unwrap();
    for secret in &secrets {
        assert!(!written.contains(secret.as_str()) && !tail.stdout.contains(secret.as_str()));
    }
    assert!(written.contains("\"server_stopped\""));
}

#[test]
fn reads_need_a_right_and_a_token_of_ours_is_named() {
    let config = world().with(
        "service_accounts/reader",
        json!({
            "grants": { "sts": ["sts:read"] },
            "identities": [{ "name": "plain", "issuer": "plain", "subject": "svc:reader" }],
        }),
    );
    let server = Server::start_in(STS, world_site(&config));
    let reader = server.token(&token("svc:reader"), &[]);
    let list = sts_testkit::send(server.admin(), &Request::get(AUDIT).bearer(&reader));
    assert_eq!(list.status, 200, "{}", list.text());
    let write = Request::post_json(ACCOUNTS, &json!({ "name": "made", "spec": {} })).bearer(&reader);
    assert_eq!(sts_testkit::send(server.admin(), &write).status, 403);
    let refused = &listed(&server, "type=request_refused")[0];
    assert_eq!((&refused["actor_kind"], &refused["actor"]), (&json!("token"), &json!("reader")), "{refused}");
    assert_eq!(refused["reason"], "insufficient_scope");
}

#[test]
fn a_configuration_that_is_loaded_or_refused_is_told_with_what_changed() {
    let server = Server::start_in(STS, world_site(&world()));
    let text = String::from_utf8(server.site().read("sts.yaml")).unwrap();
    server.site().replace("sts.yaml", "issuer: [");
    server.signal("HUP");
    until("the refusal", || !listed(&server, "type=configuration_refused").is_empty());
    let refused = &listed(&server, "type=configuration_refused")[0];
    assert!(refused["findings"][0]["place"].as_str().unwrap().contains("sts.yaml:"), "{refused}");
    is_by_schema(refused);
    server.site().replace("sts.yaml", text.replace("svc:octo", "svc:octopus"));
    server.signal("HUP");
    until("the load", || listed(&server, "type=configuration_loaded").len() > 1);
    let loaded = &listed(&server, "type=configuration_loaded")[0];
    assert!(loaded["changes"]["accounts"]["changed"].as_array().unwrap().contains(&json!("octo")), "{loaded}");
    assert_ne!(loaded["generation"], loaded["previous"]);
    is_by_schema(loaded);
}

#[test]
fn a_disk_that_is_full_ends_nothing_and_the_chain_goes_on_when_there_is_room() {
    let server = Server::start_in(STS, world_site(&with_file()));
    let sink = || {
        let detail = sts_testkit::send(server.admin(), &Request::get("/readyz")).json();
        detail["sinks"].as_array().unwrap().iter().find(|sink| sink["name"] == "audit_file").unwrap().clone()
    };
    let _ = server.exchange(&token("svc:octo"), &[]);
    until("the decision", || lines(server.site()).iter().any(|line| line["event"] == "decision"));
    let size = std::fs::metadata(server.site().path("audit.log")).unwrap().len();
    // The store's file is larger, so it is full too, and an exchange is refused. Its event is an event.
    server.limit_files(Some(size + 10));
    let refused = server.exchange("x", &[]);
    assert_eq!(refused.status, 400);
    until("the loss", || sink()["ok"] == false && sink()["lost"].as_u64().unwrap() > 0);
    assert!(sink()["error"].as_str().unwrap().contains("audit.log"), "{}", sink());
    server.limit_files(None);
    until("the recovery", || sink()["ok"] == true);
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    let (_, site) = server.terminate();
    verify(&site, &["audit.log"]).ended(0);
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_the_server_serves() {
    let server = Server::start_in(
        STS,
        world_site(&world().with("audit", json!({ "file": { "path": "no/such/folder/audit.log" } }))),
    );
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    let metrics = || sts_testkit::send(server.admin(), &Request::get("/metrics")).text().to_owned();
    until("the fault", || metrics().contains("sts_sink_up{sink=\"audit_file\"} 0"));
    std::fs::create_dir_all(server.site().path("no/such/folder")).unwrap();
    until("the file", || server.site().path("no/such/folder/audit.log").exists());
    until("the recovery", || metrics().contains("sts_sink_up{sink=\"audit_file\"} 1"));
}

#[test]
fn a_command_without_a_server_writes_to_the_file_or_says_that_it_did_not() {
    let server = Server::start_in(STS, world_site(&with_file()));
    let (_, site) = server.terminate();
    let revoke = ["tokens", "revoke", "--account", "octo", "--reason", "drill", "--config", "sts.yaml"];
    STS.run(site.root(), &revoke).ended(0);
    let event = lines(&site).into_iter().rfind(|line| line["event"] == "revocation").unwrap();
    assert_eq!((&event["actor_kind"], &event["reason"]), (&json!("command_line"), &json!("drill")), "{event}");
    verify(&site, &["audit.log"]).ended(0);
    // Somebody else holds the file.
    let held = std::fs::File::open(site.path("audit.log")).unwrap();
    held.try_lock().unwrap();
    let told = STS.run(site.root(), &revoke).ended(0);
    assert!(told.stderr.contains("the audit trail has no event of this command"), "{}", told.text());
    drop(held);
}

#[test]
fn standard_output_has_the_same_events_whatever_the_format_and_the_level_of_the_log() {
    let config = world().with("log", json!({ "format": "text", "level": "error" }));
    let site = world_site(&config);
    // Without the log nobody says when it is ready, so its own readiness does.
    let (public, admin) = (free_address(), free_address());
    let config = config.with("listen", public.to_string()).with("admin/listen", admin.to_string());
    let site = {
        drop(site);
        world_site(&config)
    };
    let mut command = Command::new(STS.0);
    command.args(["serve", "--config", "sts.yaml"]).current_dir(site.root()).env_clear();
    let output = std::fs::File::create(site.path("events")).unwrap();
    let mut child = command.stdout(output).stderr(std::process::Stdio::null()).spawn().unwrap();
    until("a server", || {
        sts_testkit::try_send(public, &Request::get("/readyz")).is_some_and(|answer| answer.status == 200)
    });
    let answer = sts_testkit::send(public, &sts_testkit::exchange_request(&token("svc:octo"), &[]));
    assert_eq!(answer.status, 200);
    let events = || -> Vec<Value> {
        let text = String::from_utf8(site.read("events")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    until("the decision", || events().iter().any(|event| event["event"] == "decision"));
    child.kill().unwrap();
    child.wait().unwrap();
    let names: Vec<Value> = events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names[..2], ["configuration_loaded", "server_started"], "{names:?}");
    events().iter().for_each(is_by_schema);
}

/// The next message at a syslog receiver, as its words and its event.
fn message(receiver: &UnixDatagram) -> (String, Value) {
    let mut buffer = vec![0; 65_536];
    let count = receiver.recv(&mut buffer).unwrap();
    let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
    let (head, event) = text.split_once(" - {").unwrap();
    (head.to_owned(), serde_json::from_str(&format!("{{{event}")).unwrap())
}

#[test]
fn a_syslog_receiver_gets_every_event_and_is_found_again() {
    let site = Site::new();
    let path = site.path("log.socket");
    let config = world().with("audit", json!({ "syslog": format!("unix:{}", path.display()) }));
    let receiver = UnixDatagram::bind(&path).unwrap();
    let server = Server::start_in(STS, world_site(&config));
    let decision = |receiver: &UnixDatagram, request: &str| loop {
        let (head, event) = message(receiver);
        if event["event"] == "decision" && event["request_id"] == request {
            return (head, event);
        }
    };
    let granted = server.exchange(&token("svc:octo"), &[]);
    let (head, event) = decision(&receiver, granted.header("x-request-id").unwrap());
    assert!(head.starts_with("<110>1 20") && head.ends_with(" decision"), "{head}");
    is_by_schema(&event);

    // The receiver is gone, and nobody waits for it.
    drop(receiver);
    std::fs::remove_file(&path).unwrap();
    let sink = || send(server.admin(), &Request::get("/metrics")).text();
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    until("the fault", || sink().contains("sts_sink_up{sink=\"syslog\"} 0"));
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    let receiver = UnixDatagram::bind(&path).unwrap();
    until("the recovery", || sink().contains("sts_sink_up{sink=\"syslog\"} 1"));
    let granted = server.exchange(&token("svc:octo"), &[]);
    decision(&receiver, granted.header("x-request-id").unwrap());
}

#[test]
fn a_syslog_receiver_that_does_not_read_holds_no_exchange_up() {
    let site = Site::new();
    let path = site.path("log.socket");
    let config = world().with("audit", json!({ "syslog": format!("unix:{}", path.display()) }));
    let _silent = UnixDatagram::bind(&path).unwrap();
    let server = Server::start_in(STS, world_site(&config));
    for _ in 0..500 {
        assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    }
    let waits = || send(server.admin(), &Request::get("/metrics")).text();
    assert!(
        !waits().contains("sts_sink_waiting_bytes{sink=\"syslog\"} 0\n")
            || waits().contains("sts_sink_up{sink=\"syslog\"} 0")
    );
    assert_eq!(server.terminate().0, Some(0), "nor the end of the server");
}

/// A syslog receiver over TLS for one connection after the other.
struct TlsReceiver {
    port: u16,
    /// The plain text of all that came so far.
    came: Arc<Mutex<String>>,
    /// The connection.
    socket: Arc<Mutex<Option<TcpStream>>>,
}

fn tls_receiver(site: &Site) -> TlsReceiver {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    site.write("receiver.crt", certificate.pem());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind(("localhost", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(Mutex::new(String::new()));
    let (text, socket) = (Arc::clone(&came), Arc::new(Mutex::new(None)));
    let current = Arc::clone(&socket);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            *current.lock().unwrap() = socket.as_ref().ok().and_then(|socket| socket.try_clone().ok());
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, socket.unwrap());
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                text.lock().unwrap().push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
        }
    });
    TlsReceiver { port, came, socket }
}

#[test]
fn a_syslog_receiver_that_has_closed_its_connection_is_noticed_before_an_event_is_lost() {
    let site = Site::new();
    let receiver = tls_receiver(&site);
    let config = world().with("audit", json!({ "syslog": format!("tls://localhost:{}", receiver.port) }));
    let trusted = format!("export SSL_CERT_FILE='{}'", site.path("receiver.crt").display());
    let server = Server::start_under(STS, world_site(&config), &trusted);
    for _ in 0..3 {
        let granted = server.exchange(&token("svc:octo"), &[]);
        let request = granted.header("x-request-id").unwrap().to_owned();
        until("the event", || receiver.came.lock().unwrap().contains(&request));
        receiver.socket.lock().unwrap().take().unwrap().shutdown(Shutdown::Both).unwrap();
    }
}

#[test]
fn a_syslog_receiver_over_tls_gets_every_event_if_its_certificate_is_trusted() {
    let site = Site::new();
    let TlsReceiver { port, came, .. } = tls_receiver(&site);
    let config = world().with("audit", json!({ "syslog": format!("tls://localhost:{port}") }));
    let trusted = format!("export SSL_CERT_FILE='{}'", site.path("receiver.crt").display());
    let server = Server::start_under(STS, world_site(&config), &trusted);
    let granted = server.exchange(&token("svc:octo"), &[]);
    let request = granted.header("x-request-id").unwrap().to_owned();
    until("the event", || came.lock().unwrap().contains(&request));
    let text = came.lock().unwrap().clone();
    let (length, rest) = text.split_once(' ').unwrap();
    assert!(rest.starts_with("<110>1 ") && rest[..length.parse().unwrap()].ends_with('}'), "{text}");
    drop(server);

    let before = came.lock().unwrap().len();
    let server = Server::start_in(STS, world_site(&config));
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
    let metrics = || send(server.admin(), &Request::get("/metrics")).text();
    until("the fault", || metrics().contains("sts_sink_up{sink=\"syslog\"} 0"));
    assert_eq!(came.lock().unwrap().len(), before, "no event goes to a receiver that nobody vouches for");
}
