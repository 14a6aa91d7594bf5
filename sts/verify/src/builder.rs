//! Settings of a verifier.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntryError, EntrySpec, Environment, JwksCache, KeySource, NetworkRule};
use sts_jose::Algorithm;
use sts_types::{Clock, EntryName, Issuer, NameError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use url::Url;

use crate::Verifier;
use crate::http_client::client;
use crate::introspection::{Introspection, IntrospectionClient};
use crate::issuer_keys::IssuerKeys;
use crate::proofs::ProofCheck;
use crate::status_lists::StatusLists;
use crate::verifier::Inner;

const ENTRY: &str = "issuer";
const USER_AGENT: &str = concat!("sts-verify/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`Verifier`]. Made by [`Verifier::builder`].
#[derive(Clone)]
#[must_use]
pub struct VerifierBuilder {
    issuer: String,
    audiences: Vec<String>,
    key_source: KeySource,
    algorithms: Option<Vec<Algorithm>>,
    network: NetworkRule,
    ca_file: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    clock: Option<Arc<dyn Clock>>,
    clock_skew: Duration,
    max_lifetime: Option<Duration>,
    status_list_max_age: Option<Duration>,
    introspection: Option<Introspection>,
    dpop_origin: Option<String>,
}

/// Why a verifier cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The issuer is not an issuer identifier.
    #[error("the issuer cannot be used: {0}")]
    Issuer(NameError),
    /// There is no audience. A token for any other service would be accepted.
    #[error("no audience: name this service's own with `audience`")]
    NoAudience,
    /// The keys cannot be had in this way.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Keys(Vec<EntryError>),
    /// A URL is not an absolute one, or not https.
    #[error("`{setting}` is not an absolute https URL: `{url}`")]
    Url {
        /// The setting.
        setting: &'static str,
        /// Its value.
        url: String,
    },
    /// The certificates cannot be used.
    #[error("{0}")]
    Certificates(String),
    /// [`VerifierBuilder::build`] was called outside a tokio runtime.
    #[error("there is no tokio runtime here: build the verifier inside one, which must live as long")]
    NoRuntime,
}

impl VerifierBuilder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Vec::new(),
            key_source: KeySource::Discovery,
            algorithms: None,
            network: NetworkRule::default(),
            ca_file: None,
            state_dir: None,
            clock: None,
            clock_skew: Duration::from_secs(60),
            max_lifetime: None,
            status_list_max_age: None,
            introspection: None,
            dpop_origin: None,
        }
    }

    /// An audience of this service, compared byte for byte with the values of `aud`. With several,
    /// one of them is enough.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Where the issuer's keys are. Default: discovery under the issuer.
    pub fn keys(mut self, source: KeySource) -> Self {
        self.key_source = source;
        self
    }

    /// The accepted algorithms. Default: RS256, ES256 and EdDSA.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Allows an issuer on a private network (RFC 1918, ULA, CGNAT, loopback).
    pub fn allow_private_network(mut self) -> Self {
        self.network.allow_private_network = true;
        self
    }

    /// Allows plain http, for tests on one machine. Anybody on the way can then replace the keys.
    pub fn allow_http(mut self) -> Self {
        self.network.allow_http = true;
        self
    }

    /// PEM bundle of the only trusted certificate authorities, in place of the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Folder that keeps the issuer's last keys over a restart while the issuer is down. Its parent
    /// has to exist.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How far `iat` and `nbf` may be ahead of the clock. Default: one minute. `exp` has no
    /// tolerance.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Refuses tokens that live longer, from `iat` to `exp`.
    pub fn max_lifetime(mut self, longest: Duration) -> Self {
        self.max_lifetime = Some(longest);
        self
    }

    /// Checks each token in the status list that it names. `max_age` is how old that information may
    /// be: a revoked token is refused at most this long after the list has it. While no list that
    /// young can be had, tokens are refused with `Unavailable`. A cache on the way that leaves out
    /// `Age` adds the time for which it kept the list. A token that names no list is refused, unless
    /// [`introspection`](Self::introspection) tells.
    pub fn status_list_max_age(mut self, max_age: Duration) -> Self {
        self.status_list_max_age = Some(max_age);
        self
    }

    /// Asks the issuer whether a token is active where no status list tells: without
    /// [`status_list_max_age`](Self::status_list_max_age) for each token, and with it for tokens that
    /// name no list or whose list cannot be had.
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.introspection = Some(introspection);
        self
    }

    /// Accepts tokens that are bound to a key (DPoP). `origin` is the URL of this service as its
    /// callers see it, such as `https://deploy.example.com`: each proof must be made for it and the
    /// request's path.
    pub fn dpop_origin(mut self, origin: impl Into<String>) -> Self {
        self.dpop_origin = Some(origin.into());
        self
    }

    /// Builds the verifier and starts the refresh of keys in the background. No connection is opened
    /// before this returns. Blocks for a moment: it reads the system's certificates.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<Verifier, BuildError> {
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if self.audiences.iter().all(String::is_empty) {
            return Err(BuildError::NoAudience);
        }
        let issuer = Issuer::new(&self.issuer).map_err(BuildError::Issuer)?;
        let mut environment = Environment::system(USER_AGENT);
        environment.state_dir.clone_from(&self.state_dir);
        if let Some(clock) = &self.clock {
            environment.clock = Arc::clone(clock);
        }
        let clock = Arc::clone(&environment.clock);
        let keys = Arc::new(self.issuer_keys(environment)?);
        let status_lists = self.status_lists(&issuer, &keys, &clock)?;
        let introspection = self.introspection_client(&clock)?;
        let proofs = self.dpop_origin.as_deref().map(|origin| self.url("dpop_origin", origin)).transpose()?;

        let (refresh, dropped) = oneshot::channel::<()>();
        let cache = keys.cache.clone();
        runtime.spawn(async move {
            // The sender sends nothing: it is dropped with the verifier.
            cache.run(async { drop(dropped.await) }).await;
        });
        Ok(Verifier::of(Inner {
            issuer,
            audiences: self.audiences,
            keys,
            clock,
            clock_skew: self.clock_skew,
            max_lifetime: self.max_lifetime,
            status_lists,
            introspection,
            proofs: proofs.map(ProofCheck::new),
            _refresh: refresh,
        }))
    }

    fn issuer_keys(&self, environment: Environment) -> Result<IssuerKeys, BuildError> {
        let mut spec = EntrySpec::new(ENTRY, &self.issuer, self.key_source.clone()).map_err(BuildError::Issuer)?;
        spec.network = self.network;
        spec.ca_file.clone_from(&self.ca_file);
        if let Some(algorithms) = &self.algorithms {
            spec.algorithms.clone_from(algorithms);
        }
        let cache = JwksCache::new(vec![spec], environment).map_err(BuildError::Keys)?;
        Ok(IssuerKeys { cache, entry: EntryName::new(ENTRY).map_err(BuildError::Issuer)? })
    }

    fn status_lists(
        &self,
        issuer: &Issuer,
        keys: &Arc<IssuerKeys>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Arc<StatusLists>>, BuildError> {
        let Some(max_age) = self.status_list_max_age else { return Ok(None) };
        let lists = StatusLists {
            client: self.http_client()?,
            clock: Arc::clone(clock),
            keys: Arc::clone(keys),
            issuer: issuer.clone(),
            origin: self.url("issuer", &self.issuer)?.origin(),
            max_age,
            lists: arc_swap::ArcSwap::default(),
        };
        Ok(Some(Arc::new(lists)))
    }

    fn introspection_client(&self, clock: &Arc<dyn Clock>) -> Result<Option<IntrospectionClient>, BuildError> {
        let Some(settings) = &self.introspection else { return Ok(None) };
        let endpoint = self.url("introspection", &settings.endpoint)?;
        let client = self.http_client()?;
        Ok(Some(IntrospectionClient::new(settings.clone(), endpoint, client, Arc::clone(clock))))
    }

    fn http_client(&self) -> Result<reqwest::Client, BuildError> {
        let pem = self.ca_file.as_ref().map(|path| {
            std::fs::read(path).map_err(|error| BuildError::Certificates(format!("{}: {error}", path.display())))
        });
        client(pem.transpose()?.as_deref(), USER_AGENT).map_err(BuildError::Certificates)
    }

    fn url(&self, setting: &'static str, url: &str) -> Result<Url, BuildError> {
        let is_allowed = |url: &Url| url.scheme() == "https" || self.network.allow_http && url.scheme() == "http";
        let parsed = Url::parse(url).ok().filter(|url| is_allowed(url) && url.has_host());
        parsed.ok_or_else(|| BuildError::Url { setting, url: url.to_owned() })
    }
}

impl std::fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("status_list_max_age", &self.status_list_max_age)
            .field("introspection", &self.introspection)
            .field("dpop_origin", &self.dpop_origin)
            .finish_non_exhaustive()
    }
}
