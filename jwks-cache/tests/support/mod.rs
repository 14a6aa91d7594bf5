//! A fake issuer on a loopback socket, a clock that tests move, and keys.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of the support")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

pub mod secure;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwks_cache::{CacheAnswer, Candidates, EntrySpec, Environment, JwksCache, KeySource, LookupError, NetworkRule};
use serde_json::{Value, json};
use sts_jose::{Signer as _, SigningKey};
use sts_types::{Algorithm, Clock, Entropy, EntryName, Issuer, Kid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Wall and monotonic time that only a test moves. The cache can be used without the rest of the
/// workspace, so its tests use none of the workspace's test tools.
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_millis(&self) -> u64 {
        1_780_000_000_000 + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that count up: unique, and no test depends on more.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (byte, count) in bytes.iter_mut().rev().zip(count.iter().rev().cycle()) {
            *byte = *count;
        }
    }
}

/// A clock and what a cache takes from outside.
pub struct Outside {
    pub clock: Arc<TestClock>,
    pub environment: Environment,
}

impl Outside {
    pub fn new() -> Self {
        Self::with_state_dir(None)
    }

    pub fn with_state_dir(state_dir: Option<PathBuf>) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(0)));
        let environment = Environment {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(Counting::default()),
            state_dir,
            resolver: None,
            user_agent: "jwks-cache-tests/1".to_owned(),
            ignored_proxies: Vec::new(),
            observer: None,
        };
        Self { clock, environment }
    }

    pub fn cache(&self, specs: impl IntoIterator<Item = EntrySpec>) -> JwksCache {
        JwksCache::new(specs.into_iter().collect::<Vec<_>>(), self.environment.clone()).unwrap()
    }
}

pub fn name(text: &str) -> EntryName {
    EntryName::new(text).unwrap()
}

pub fn kid(text: &str) -> Kid {
    Kid::new(text).unwrap()
}

/// An entry with the defaults of the configuration, allowed to reach the fakes.
pub fn spec(entry: &str, issuer: &str, source: KeySource) -> EntrySpec {
    EntrySpec {
        name: name(entry),
        issuer: Issuer::new(issuer).unwrap(),
        source,
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        max_stale: Duration::from_secs(24 * 3600),
        refresh_cooldown: Duration::from_secs(30),
        kid_reuse: false,
        network: NetworkRule { allow_private_network: false, allow_http: true },
        ca_file: None,
        bearer_token_file: None,
        proxy: None,
    }
}

/// A public ES256 JWK under that kid.
pub fn jwk(kid: &str) -> Value {
    jwk_of(Algorithm::ES256, kid)
}

pub fn jwk_of(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = SigningKey::generate(algorithm).unwrap().public_jwk().clone();
    jwk["kid"] = kid.into();
    jwk
}

pub fn jwks(keys: impl IntoIterator<Item = Value>) -> Value {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() })
}

/// The kids of candidates, in order.
pub fn kids(candidates: &Candidates) -> Vec<&str> {
    candidates.iter().filter_map(|key| key.kid()).map(Kid::as_str).collect()
}

/// Finds an ES256 key.
pub async fn find(cache: &JwksCache, entry: &str, text: &str) -> Result<Candidates, LookupError> {
    cache.find(&name(entry), Some(&kid(text)), Algorithm::ES256).await
}

/// Whether the current set has that ES256 key.
pub fn has(cache: &JwksCache, entry: &str, text: &str) -> bool {
    matches!(cache.find_cached(&name(entry), Some(&kid(text)), Algorithm::ES256), CacheAnswer::Hit(_))
}

/// Spawns the futures, and returns when each has run up to its first wait.
pub async fn together<F>(futures: impl IntoIterator<Item = F>) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let started = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = futures
        .into_iter()
        .map(|future| {
            let started = Arc::clone(&started);
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::SeqCst);
                future.await
            })
        })
        .collect();
    while started.load(Ordering::SeqCst) < tasks.len() {
        tokio::task::yield_now().await;
    }
    tasks
}

/// How the fake answers a path.
#[derive(Clone)]
pub enum Reply {
    /// A status with headers and a body of the right `Content-Length`.
    Full { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// These bytes as they are; then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and nothing more for ever.
    Stall(Vec<u8>),
    /// A head, and one space each second for ever.
    Drip,
    /// A head, and chunks of spaces for ever.
    Endless,
}

impl Reply {
    pub fn json(document: &Value) -> Self {
        Self::body("application/json", document.to_string())
    }

    pub fn body(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Full { status: 200, headers: vec![("Content-Type", content_type.to_owned())], body: body.into() }
    }

    pub fn status(status: u16) -> Self {
        Self::Full { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((header, value.into()));
        }
        self
    }
}

/// An issuer that serves what a test tells it, over plain http.
pub struct FakeIssuer {
    pub url: String,
    state: Arc<State>,
}

struct State {
    replies: Mutex<HashMap<String, Reply>>,
    /// Path and head of each request, in the order of arrival.
    requests: Mutex<Vec<(String, String)>>,
    arrived: watch::Sender<usize>,
    /// Requests with a number from here on are answered only when it grows.
    open: watch::Sender<usize>,
    connections: AtomicUsize,
    closes: AtomicBool,
}

pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const KEYS: &str = "/keys";

impl FakeIssuer {
    /// An issuer with a discovery document and these keys.
    pub async fn start(keys: impl IntoIterator<Item = Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            replies: Mutex::default(),
            requests: Mutex::default(),
            arrived: watch::channel(0).0,
            open: watch::channel(usize::MAX).0,
            connections: AtomicUsize::new(0),
            closes: AtomicBool::new(false),
        });
        let issuer = Self { url, state };
        issuer.reply(
            DISCOVERY,
            Reply::json(&json!({ "issuer": issuer.url, "jwks_uri": format!("{}{KEYS}", issuer.url) })),
        );
        issuer.publish(keys);
        let state = Arc::clone(&issuer.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                state.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    // A client that goes away ends its connection, no more.
                    let _ = serve(stream, &state).await;
                });
            }
        });
        issuer
    }

    pub fn reply(&self, path: &str, reply: Reply) {
        self.state.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    pub fn publish(&self, keys: impl IntoIterator<Item = Value>) {
        self.reply(KEYS, Reply::json(&jwks(keys)));
    }

    /// An entry that discovers this issuer.
    pub fn discovered(&self, entry: &str) -> EntrySpec {
        spec(entry, &self.url, KeySource::Discovery)
    }

    /// An entry that has this issuer's key set by URL.
    pub fn by_url(&self, entry: &str) -> EntrySpec {
        spec(entry, "https://issuer.example", KeySource::Url(format!("{}{KEYS}", self.url)))
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.state.requests.lock().unwrap().len()
    }

    /// Its discovery document names another issuer, or another place for the keys.
    pub fn discovers(&self, issuer: &str, jwks_uri: &str) {
        self.reply(DISCOVERY, Reply::json(&json!({ "issuer": issuer, "jwks_uri": jwks_uri })));
    }

    /// The number of requests for the key set so far.
    pub fn key_fetches(&self) -> usize {
        self.state.requests.lock().unwrap().iter().filter(|(path, _)| path == KEYS).count()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Closes each connection after one answer from now on, without a word.
    pub fn closes_after_each_answer(&self) {
        self.state.closes.store(true, Ordering::SeqCst);
    }

    /// The head of the last request.
    pub fn last_head(&self) -> String {
        self.state.requests.lock().unwrap().last().unwrap().1.clone()
    }

    /// Holds back every answer from now on.
    pub fn hold(&self) {
        self.state.open.send_replace(0);
    }

    /// Lets every answer go.
    pub fn release(&self) {
        self.state.open.send_replace(usize::MAX);
    }

    /// Waits until there were `count` requests.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.state.arrived.subscribe();
        let wait = arrived.wait_for(|arrived| *arrived >= count);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the request does not come").unwrap();
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    loop {
        let Some(head) = read_head(&mut stream).await? else { return Ok(()) };
        let target = head.split(' ').nth(1).unwrap_or("").to_owned();
        let path = target.split('?').next().unwrap_or("").to_owned();
        state.requests.lock().unwrap().push((path.clone(), head));
        state.arrived.send_modify(|arrived| *arrived += 1);
        let mut open = state.open.subscribe();
        if open.wait_for(|open| *open > 0).await.is_err() {
            return Ok(());
        }
        let reply = state.replies.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Reply::status(404));
        match reply {
            Reply::Full { status, headers, body } => {
                let mut answer = format!("HTTP/1.1 {status} Fake\r\n");
                for (name, value) in headers {
                    answer.push_str(&format!("{name}: {value}\r\n"));
                }
                if status != 204 && status != 304 {
                    answer.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                answer.push_str("\r\n");
                stream.write_all(answer.as_bytes()).await?;
                stream.write_all(&body).await?;
                if state.closes.load(Ordering::SeqCst) {
                    // Only once the next request is there: one that is not sent yet would find out by itself.
                    let _ = read_head(&mut stream).await?;
                    return Ok(());
                }
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                std::future::pending::<()>().await;
            }
            Reply::Drip => {
                stream.write_all(b"HTTP/1.1 200 Fake\r\nContent-Length: 1000\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 Fake\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes()).await?;
                }
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
        // A TLS handshake: not spoken here.
        if head == [0x16] {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}
