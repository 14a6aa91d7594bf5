//! Traces over OTLP/HTTP: what a collector gets, and that nobody waits for it.

use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sts_testkit::{
    Exposition, FakeIssuer, Forge, Key, RedisServer, Request, Response, Server, exchange_request, free_address, send,
    timed, until,
};

/// A collector of traces. It keeps the bodies that it gets.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let held = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), spans) = (stream, Arc::clone(&held)) else { continue };
                std::thread::spawn(move || take(stream, &spans));
            }
        });
        Self { address, spans }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn spans(&self) -> Vec<Value> {
        self.spans.lock().unwrap().clone()
    }

    /// The spans of a trace by name, once they hold one of each of these names.
    fn trace(&self, trace: &str, names: &[&str]) -> BTreeMap<String, Value> {
        let of_trace = || -> BTreeMap<String, Value> {
            let spans = self.spans().into_iter().filter(|span| span["traceId"] == trace);
            spans.map(|span| (span["name"].as_str().unwrap().to_owned(), span)).collect()
        };
        until("the spans of a request", || names.iter().all(|name| of_trace().contains_key(*name)));
        of_trace()
    }
}

/// Answers requests on one connection.
fn take(mut stream: TcpStream, spans: &Mutex<Vec<Value>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let whole = head.and_then(|end| {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
            assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
            assert!(head.contains("content-type: application/json"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let end = end + 4 + length.parse::<usize>().unwrap();
            (bytes.len() >= end).then_some(end)
        });
        match whole {
            Some(end) => {
                let start = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                let body: Value = serde_json::from_slice(&bytes[start..end]).unwrap();
                let resource = &body["resourceSpans"][0];
                assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "sts");
                let new = resource["scopeSpans"][0]["spans"].as_array().unwrap();
                spans.lock().unwrap().extend(new.iter().cloned());
                bytes.drain(..end);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
            None => match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            },
        }
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traced(request: Request, trace: &str, flags: &str) -> Request {
    request.header("traceparent", &format!("00-{trace}-{PARENT}-{flags}"))
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == name);
    found.map_or(&Value::Null, |attribute| {
        let value = &attribute["value"];
        if value["stringValue"].is_null() { &value["intValue"] } else { &value["stringValue"] }
    })
}

fn nanos(span: &Value, name: &str) -> u64 {
    span[name].as_str().unwrap().parse().unwrap()
}

#[test]
fn an_exchange_is_a_span_with_a_child_for_each_phase_and_call_and_nothing_of_the_token() {
    let (collector, redis) = (Collector::start(), RedisServer::start());
    let issuer = FakeIssuer::start(&Key::set(&[&KEYS.es256]));
    let config = world()
        .with("telemetry/otlp", collector.url())
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("issuers/live", json!({ "issuer": issuer.url(), "allow_http": true }))
        .with(
            "service_accounts/live",
            json!({ "teams": ["deployers"], "identities": [identity("live", "svc:live-canary")] }),
        );
    let server = Server::start_in(STS, world_site(&config));
    let presented = Forge::new(&KEYS.es256, &claims("svc:live-canary")).claim("iss", issuer.url()).sign();
    let answer = send(server.public(), &traced(exchange_request(&presented, &[]), TRACE, "01"));
    let access = granted(&answer)["access_token"].as_str().unwrap().to_owned();
    let names = ["POST /token", "prove", "authorize", "mint", "record", "issuer.keys", "store.issue"];
    let spans = collector.trace(TRACE, &names);
    let root = &spans["POST /token"];
    assert_eq!((&root["parentSpanId"], &root["kind"]), (&json!(PARENT), &json!(2)));
    assert_eq!(attribute(root, "http.response.status_code"), "200");
    assert_eq!(attribute(root, "sts.request_id"), answer.header("x-request-id").unwrap());
    for name in &names[1..] {
        let span = &spans[*name];
        assert_eq!(span["parentSpanId"], root["spanId"], "{name}");
        assert!(nanos(span, "startTimeUnixNano") <= nanos(span, "endTimeUnixNano"), "{name}");
        assert!(nanos(span, "startTimeUnixNano") >= nanos(root, "startTimeUnixNano"), "{name}");
    }
    assert_eq!(attribute(&spans["issuer.keys"], "sts.issuer_entry"), "live");
    assert_eq!(attribute(&spans["store.issue"], "db.system.name"), "redis");
    assert_eq!(attribute(&spans["authorize"], "sts.outcome"), "granted");
    assert_eq!(spans["verify"]["parentSpanId"], spans["prove"]["spanId"]);
    // Neither tokens, nor claims, nor secrets.
    let told = json!(collector.spans()).to_string();
    for secret in ["canary", presented.as_str(), access.as_str(), "svc:", DEPLOY_SECRET, "127.0.0.1"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    // A refused one.
    let other = "0af7651916cd43dd8448eb211c80319c";
    let refusal = send(server.public(), &traced(exchange_request(&token("svc:nobody"), &[]), other, "01"));
    refused(&refusal, 400, "invalid_request", "not_authorized");
    let spans = collector.trace(other, &["POST /token", "authorize"]);
    assert_eq!(attribute(&spans["authorize"], "sts.reason"), "not_authorized");
    assert!(!spans.contains_key("mint"));
    assert_eq!(spans["POST /token"]["status"], json!({}), "a refusal is no fault");
}

#[test]
fn only_a_post_to_the_token_route_is_an_exchange_and_a_route_is_named_whatever_form_its_path_has() {
    let collector = Collector::start();
    let config = world().with("telemetry/otlp", collector.url()).with("issuer", "https://sts.example.com/t1");
    let server = Server::start_in(STS, world_site(&config));
    let id = |number: u8| format!("{number:02x}").repeat(16);
    let exchange = Request::post_form("/t1//token/", &[("grant_type", "nonsense")]);
    assert_eq!(send(server.public(), &traced(exchange, &id(1), "01")).status, 400);
    assert!(collector.trace(&id(1), &["POST /token", "prove"]).len() > 2);
    for (number, request, name) in [
        (2, Request::get("/token"), "GET /token"),
        (3, Request::post_form("/elsewhere/token", &[]), "POST"),
        (4, Request::get("/elsewhere/healthz"), "GET"),
    ] {
        assert!(send(server.public(), &traced(request, &id(number), "01")).status >= 400, "{name}");
        let spans = collector.trace(&id(number), &[name]);
        assert_eq!(spans.len(), 1, "{spans:?}");
    }
    assert_eq!(send(server.public(), &traced(Request::get("/t1/healthz"), &id(5), "01")).status, 200);
    assert_eq!(send(server.public(), &traced(Request::get("/t1/token"), &id(6), "01")).status, 405);
    collector.trace(&id(6), &["GET /token"]);
    assert!(collector.spans().iter().all(|span| span["traceId"] != id(5)), "{:?}", collector.spans());
}

#[test]
fn a_caller_that_does_not_sample_is_not_traced_and_a_broken_header_begins_a_trace() {
    let collector = Collector::start();
    let server =
        Server::start_in(STS, world_site(&world().with("telemetry/otlp", format!("{}/v1/traces", collector.url()))));
    let request = || Request::get("/.well-known/jwks.json");
    let unsampled = "11111111111111111111111111111111";
    assert_eq!(send(server.public(), &traced(request(), unsampled, "00")).status, 200);
    assert_eq!(send(server.public(), &request().header("traceparent", "00-nonsense")).status, 200);
    let access = server.token(&token("svc:octo"), &[]);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    assert_eq!(server.send(&Request::get("/readyz")).status, 200);
    let names =
        || -> Vec<String> { collector.spans().iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect() };
    until("the spans", || names().iter().any(|name| name == "POST /introspect"));
    assert!(names().iter().any(|name| name.starts_with("GET /.well-known/jwks")), "{:?}", names());
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span["traceId"] != unsampled), "{spans:?}");
    // A trace that begins here has no parent.
    let root = spans.iter().find(|span| span["name"].as_str().unwrap().starts_with("GET /.well-known/jwks")).unwrap();
    assert_eq!(root["parentSpanId"], Value::Null);
    assert!(names().iter().all(|name| !name.contains("readyz")), "{:?}", names());
    // The last spans are sent before the server ends.
    let last = "22222222222222222222222222222222";
    assert_eq!(send(server.public(), &traced(request(), last, "01")).status, 200);
    let (code, _) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(collector.spans().iter().any(|span| span["traceId"] == last));
}

fn lost(server: &Server) -> f64 {
    let text = send(server.admin(), &Request::get("/metrics")).text();
    Exposition::parse(&text).value("sts_trace_spans_total", &[("outcome", "lost")]).unwrap()
}

#[test]
fn a_collector_that_is_away_or_silent_delays_nobody_and_what_it_loses_is_counted() {
    // Nobody listens there.
    let free = free_address();
    let server = Server::start_in(STS, world_site(&world().with("telemetry/otlp", format!("http://{free}"))));
    let answer: Response = server.exchange(&token("svc:octo"), &[]);
    granted(&answer);
    until("lost spans", || lost(&server) >= 5.0);
    // Somebody takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = Server::start_in(STS, world_site(&world().with("telemetry/otlp", url)));
    // The exporter gives the collector five seconds. All of these together take less.
    let ((), took) = timed(|| {
        for _ in 0..50 {
            granted(&server.exchange(&token("svc:octo"), &[]));
        }
    });
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(server.send(&Request::get("/readyz")).status, 200);
    let ((code, _), took) = timed(|| server.terminate());
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(silent);
}

#[test]
fn the_url_of_a_collector_has_no_credentials_and_no_query() {
    for url in ["ftp://c.example", "http://user:secret@c.example", "https://c.example?key=secret", "collector"] {
        let site = world_site(&world().with("telemetry/otlp", url));
        let told = STS.run(site.root(), &["check"]).ended(2);
        assert!(told.stderr.contains("telemetry") || told.stderr.contains("collector"), "{}", told.stderr);
    }
}
