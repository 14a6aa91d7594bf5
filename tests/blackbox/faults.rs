//! Too few files, too little memory, and a signal in the middle of work.

use crate::support::*;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;
use sts_testkit::{Request, Server, exchange_request, send, try_send, until};

/// A connection with a request that never ends. `None` if the server does not let it in.
fn begin(server: &Server, body: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server.public(), Duration::from_millis(200)).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let begun = format!("{head}Content-Length: 65000\r\n\r\n{}", "x".repeat(body));
    stream.write_all(begun.as_bytes()).ok().map(|()| stream)
}

#[test]
fn c151_few_files_and_64_mib_of_memory_shed_load_and_end_nothing() {
    let site = world_site(&world());
    let server = Server::start_under(STS, site, "ulimit -n 64 && ulimit -d 65536");
    server.lines().wait("a word on the limit", |line| line.contains("limits.connections").then_some(()));
    // As many connections as the limit allows send almost the largest body. The rest wait in the
    // backlog.
    let held: Vec<TcpStream> = (0..100).map_while(|_| begin(&server, 60_000)).collect();
    assert!(held.len() >= 16, "{}", held.len());
    // The admin listener still answers, and the store still has its file descriptors.
    assert_eq!(send(server.admin(), &Request::get("/readyz")).status, 200);
    drop(held);
    until("service as before", || {
        try_send(server.public(), &exchange_request(&token("svc:octo"), &[])).is_some_and(|answer| answer.status == 200)
    });
    assert!(server.is_alive());
    assert!(!server.lines().text().contains("Too many open files"));
}

#[test]
fn c151_little_memory_alone_sheds_load_too() {
    let server = Server::start_under(STS, world_site(&world()), "ulimit -d 65536");
    server.lines().wait("a word on the limit", |line| line.contains("limits.connections").then_some(()));
    let head = format!("POST /token HTTP/1.1\r\nHost: x\r\nX: {}\r\n", "y".repeat(100_000));
    for _ in 0..3 {
        let held: Vec<TcpStream> = (0..400)
            .map_while(|_| {
                let mut stream = TcpStream::connect_timeout(&server.public(), Duration::from_millis(200)).ok()?;
                stream.set_write_timeout(Some(Duration::from_millis(50))).ok()?;
                let media = "Content-Type: application/x-www-form-urlencoded";
                let begun = format!("{head}{media}\r\nContent-Length: 65000\r\n\r\n{}", "x".repeat(64_000));
                // Fails for a connection that still waits: the system buffers only a part of the body.
                let _ = stream.write_all(begun.as_bytes());
                Some(stream)
            })
            .collect();
        assert!(held.len() >= 64, "{}", held.len());
        assert_eq!(send(server.admin(), &Request::get("/readyz")).status, 200);
        drop(held);
        until("service as before", || {
            let answer = try_send(server.public(), &exchange_request(&token("svc:octo"), &[]));
            answer.is_some_and(|answer| answer.status == 200)
        });
    }
    assert!(server.is_alive());
}

#[test]
fn c114_no_more_connections_than_the_limit_are_served_at_once() {
    let config = world().with("limits/connections", 4);
    let server = Server::start_in(STS, world_site(&config));
    let held: Vec<TcpStream> = (0..4).map(|_| begin(&server, 1).expect("a connection")).collect();
    let mut late = TcpStream::connect(server.public()).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = [0; 12];
    assert!(late.read(&mut answer).is_err(), "the fifth is served beside the other four");
    assert_eq!(send(server.admin(), &Request::get("/healthz")).status, 200);
    drop(held);
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    late.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn c114_nobody_keeps_a_connection_by_being_slow_at_any_time_of_it() {
    let server = Server::start_in(STS, world_site(&world().with("limits/connections", 4)));
    let ask = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let answered = || {
        let mut stream = TcpStream::connect(server.public()).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.write_all(ask.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    };
    // A second head that does not end, one that does not begin, one that comes byte by byte, and
    // answers that nobody reads.
    let mut held: Vec<TcpStream> = (0..4).map(|_| answered()).collect();
    let mut unread = held.pop().unwrap();
    let mut dripping = held.pop().unwrap();
    held[0].write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
    held[1].write_all(b"\r\n").unwrap();
    let mut late = TcpStream::connect(server.public()).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (dripped, filled) = std::thread::scope(|scope| {
        let dripped = scope.spawn(move || {
            dripping.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            dripping.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            // The rest of the first answer, then the end of the connection.
            (0..200).position(|_| {
                dripping.read(&mut [0; 4096]).is_ok_and(|count| count == 0) || dripping.write_all(b"X: y\r\n").is_err()
            })
        });
        let filled = scope.spawn(move || {
            let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            // Each stall takes half a second.
            let mut stalls = 0;
            while stalls < 40 {
                match unread.write_all(ask.repeat(100).as_bytes()) {
                    Ok(()) => {}
                    Err(error) if full(&error) => stalls += 1,
                    Err(_) => return true,
                }
            }
            false
        });
        (dripped.join().unwrap(), filled.join().unwrap())
    });
    assert!(dripped.is_some() && filled, "{dripped:?} {filled}");
    for mut stream in held {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).is_ok(), "it is closed");
    }
    // The waiting connections are served.
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 12];
    late.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn c150_under_load_readiness_goes_first_and_nothing_that_was_answered_is_lost() {
    let server = Server::start_in(STS, world_site(&world()));
    let (public, admin) = (server.public(), server.admin());
    let answered = Mutex::new(Vec::new());
    let ready = |address| try_send(address, &Request::get("/readyz")).map(|answer| answer.status);
    let (code, site, order) = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let request = exchange_request(&token("svc:octo"), &[]);
                while let Some(answer) = try_send(public, &request) {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.lock().unwrap().push(answer.json()["access_token"].as_str().unwrap().to_owned());
                }
            });
        }
        until("work", || answered.lock().unwrap().len() > 20);
        server.signal("TERM");
        // Both listeners report unready while they still serve.
        let mut seen = Vec::new();
        until("the end of readiness", || {
            seen.push((ready(public), ready(admin)));
            seen.last() == Some(&(Some(503), Some(503)))
        });
        let still_served = send(public, &exchange_request(&token("svc:octo"), &[])).status;
        assert_eq!(send(public, &Request::get("/healthz")).status, 200);
        let (code, site) = server.wait();
        (code, site, (seen, still_served))
    });
    assert_eq!(code, Some(0));
    assert_eq!(order.1, 200, "{:?}", order.0);
    let server = Server::start_in(STS, site);
    for access in answered.into_inner().unwrap() {
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], json!(true));
    }
}

#[test]
fn c150_a_second_signal_ends_the_time_for_leaving() {
    let server = Server::start_in(STS, world_site(&world()));
    server.signal("TERM");
    until("the end of readiness", || {
        try_send(server.public(), &Request::get("/readyz")).is_some_and(|answer| answer.status == 503)
    });
    server.signal("TERM");
    let (code, _) = server.wait();
    assert_eq!(code, Some(0));
}
