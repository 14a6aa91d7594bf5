//! An issuer on loopback. It serves discovery and a key set over plain HTTP, with contents and
//! faults that a test can change.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// The answer of a path.
#[derive(Clone, Debug)]
pub enum Page {
    /// 200 with that JSON.
    Json(Value),
    /// These bytes as they are, including header fields. Then the connection closes.
    Raw(Vec<u8>),
    /// Accepts the connection and never answers, until the issuer is dropped.
    Silence,
}

impl Page {
    /// An answer without a body.
    #[must_use]
    pub fn status(status: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes())
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self::Raw(
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes(),
        )
    }
}

#[derive(Default)]
struct State {
    pages: BTreeMap<String, Page>,
    /// Answers that are given once, in their order, before those of `pages`.
    once: BTreeMap<String, VecDeque<Page>>,
    asked: BTreeMap<String, usize>,
    requests: BTreeMap<String, Vec<String>>,
    held: bool,
    over: bool,
}

/// A running issuer. It stops when it is dropped.
pub struct FakeIssuer {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl std::fmt::Debug for FakeIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeIssuer").finish_non_exhaustive()
    }
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/keys";

impl FakeIssuer {
    /// Starts an issuer that publishes this key set.
    #[must_use]
    pub fn start(jwks: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Self { address, state: Arc::default() };
        issuer.discovery(Page::Json(json!({ "issuer": issuer.url(), "jwks_uri": issuer.jwks_url() })));
        issuer.jwks(Page::Json(jwks.clone()));
        let state = Arc::clone(&issuer.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if state.0.lock().unwrap().over {
                    break;
                }
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        issuer
    }

    /// Its `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of its keys.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("http://{}{JWKS}", self.address)
    }

    /// Replaces the discovery document.
    pub fn discovery(&self, page: Page) {
        self.page(DISCOVERY, page);
    }

    /// Replaces the key set.
    pub fn jwks(&self, page: Page) {
        self.page(JWKS, page);
    }

    /// Replaces the answer of any path.
    pub fn page(&self, path: &str, page: Page) {
        self.state.0.lock().unwrap().pages.insert(path.to_owned(), page);
    }

    /// Answers one request for a path in this way, after those for which this was said before, and
    /// the requests after it as ever.
    pub fn page_once(&self, path: &str, page: Page) {
        self.state.0.lock().unwrap().once.entry(path.to_owned()).or_default().push_back(page);
    }

    /// How often the discovery document was fetched.
    #[must_use]
    pub fn discoveries(&self) -> usize {
        self.asked(DISCOVERY)
    }

    /// How often the key set was fetched.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.asked(JWKS)
    }

    /// How often a path was fetched.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.state.0.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }

    /// The last request for a path, whatever its query: method, target, headers and body.
    #[must_use]
    pub fn last_request(&self, path: &str) -> Option<String> {
        self.requests(path).pop()
    }

    /// All requests for a path, like [`last_request`](Self::last_request).
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<String> {
        self.state.0.lock().unwrap().requests.get(path).cloned().unwrap_or_default()
    }

    /// Accepts requests, and answers none of them until [`release`](Self::release).
    pub fn hold(&self) {
        self.state.0.lock().unwrap().held = true;
    }

    /// Answers all held requests.
    pub fn release(&self) {
        self.state.0.lock().unwrap().held = false;
        self.state.1.notify_all();
    }
}

impl Drop for FakeIssuer {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.0.lock() {
            state.over = true;
            state.held = false;
        }
        self.state.1.notify_all();
        // Wakes the accepting thread, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut stream: TcpStream, state: &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let (mut line, mut length, mut request) = (String::new(), 0, first.clone());
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        request.push_str(&line);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    // A connection that is closed with unread bytes is reset, and the answer may be lost.
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut guard = state.0.lock().unwrap();
    request.push_str(&String::from_utf8_lossy(&body));
    guard.requests.entry(path.clone()).or_default().push(request);
    *guard.asked.entry(path.clone()).or_default() += 1;
    let mut guard = state.1.wait_while(guard, |state| state.held).unwrap();
    let page = guard.once.get_mut(&path).and_then(VecDeque::pop_front).or_else(|| guard.pages.get(&path).cloned());
    drop(guard);
    let bytes = match page {
        Some(Page::Raw(bytes)) => bytes,
        Some(Page::Json(value)) => {
            let body = value.to_string();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
        Some(Page::Silence) => {
            // Only the client can end this connection.
            let _ = reader.read(&mut [0]);
            return;
        }
        None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&bytes);
}
