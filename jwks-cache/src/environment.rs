//! What the cache takes from its surroundings.

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sts_jose::OsEntropy;
use sts_types::{Clock, Entropy};

use crate::observer::KeyObserver;

/// Clock, randomness, disk and name resolution, passed in as parameters.
#[derive(Clone)]
pub struct Environment {
    /// Wall time for reports and files, monotonic time for freshness and cool-downs.
    pub clock: Arc<dyn Clock>,
    /// Randomness that spreads the refreshes of several replicas and names temporary files.
    pub entropy: Arc<dyn Entropy>,
    /// Directory of the last good sets and of the histories. It is created if missing; its parent
    /// has to exist. `None` keeps nothing on disk.
    pub state_dir: Option<PathBuf>,
    /// Resolver of host names; `None` is the system's resolver. The address guard checks its
    /// answers either way.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// The `User-Agent` of fetches.
    pub user_agent: String,
    /// Environment variables that name a proxy. They are not used, but errors mention them, because
    /// a missing proxy may be why a connection fails.
    pub ignored_proxies: Vec<String>,
    /// Told when the keys of an entry change.
    pub observer: Option<Arc<dyn KeyObserver>>,
}

impl Environment {
    /// The system's clock, randomness and resolver, without a directory.
    #[must_use]
    pub fn system(user_agent: &str) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
            state_dir: None,
            resolver: None,
            user_agent: user_agent.to_owned(),
            ignored_proxies: Vec::new(),
            observer: None,
        }
    }
}

struct SystemClock(Instant);

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "callers pass this clock in as a parameter")]
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "callers pass this clock in as a parameter")]
    fn now_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("state_dir", &self.state_dir)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// Resolves to the addresses of a host.
pub type ResolveFuture = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Name resolution as a parameter.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `host`.
    fn resolve(&self, host: &str) -> ResolveFuture;
}

/// The system's resolver, which uses `/etc/hosts` and `nsswitch.conf`.
pub(crate) struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str) -> ResolveFuture {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}
