//! Settings to a working service: the only place where the implementations meet.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use jwks_cache::{Environment, JwksCache};
use sts_config::{Diagnostics, Settings};
use sts_jose::OsEntropy;
use sts_keyring::Keyring;
use sts_service::{ApiKeyLimits, ApiSecret, EventSink, Service, ServiceDependencies, Snapshot, TrustTable};
use sts_store::spec::StoreSpec;
use sts_store::{Alert, Alerts, Ledger, ObjectStore, RefusalStore};
use sts_store_embedded::EmbeddedLedger;
use sts_store_redis::{RedisLedger, RedisParts};
use sts_types::{Clock, Entropy, Seal};
use tokio::sync::watch;

use crate::app_state::AppState;
use crate::compile::Compiled;
use crate::issuer_keys::CachedKeys;
use crate::metrics::Metrics;
use crate::start_error::StartError;

/// Everything that runs behind the listeners.
pub(crate) struct Components {
    pub(crate) state: Arc<AppState>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    /// The store of managed objects. A ledger from elsewhere has none.
    pub(crate) objects: Option<Arc<dyn ObjectStore>>,
}

impl Components {
    /// Opens keys and store, and puts `compiled` in force; `ledger` takes the place of the store that they name. It wants to be called
    /// within a runtime.
    pub(crate) fn open(
        compiled: &Compiled,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        metrics: Arc<Metrics>,
        ledger: Option<Arc<dyn Ledger>>,
    ) -> Result<Self, StartError> {
        let settings = &compiled.settings;
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        make_data_dir(settings)?;
        let keyring = Arc::new(Keyring::open(settings.keyring.clone(), &*entropy, clock.now())?);
        let counted = Arc::clone(&metrics);
        let alerts = move |alert: Alert| {
            counted.alert(alert);
            tracing::error!(place = alert.place.name(), fault = alert.fault.name(), "{alert}");
        };
        let (ledger, refusals, objects) = match ledger {
            Some(ledger) => (ledger, None, None),
            None => open_store(
                settings,
                Arc::new(keyring.seal()),
                Arc::clone(&clock),
                Arc::clone(&entropy),
                Arc::new(alerts),
            )?,
        };
        let issuers = issuer_cache(compiled, Arc::clone(&clock), Some(settings.data_dir.join("issuers")))?;
        metrics.put_entries(compiled.trust.iter().map(|trust| &trust.entry));
        let service = Service::new(ServiceDependencies {
            snapshot: snapshot(compiled, issuers.clone()),
            ledger: Arc::clone(&ledger),
            keyring: Arc::clone(&keyring),
            clock,
            entropy,
            refusals,
            events,
        });
        let state = AppState {
            service: Arc::new(service),
            issuers: watch::Sender::new(issuers),
            metrics,
            store: Arc::default(),
            managed: RwLock::default(),
            rules: OnceLock::new(),
        };
        Ok(Self { state: Arc::new(state), ledger, keyring, objects })
    }
}

/// A store, by what it is used for; a ledger from elsewhere remembers no refusals.
type Stores = (Arc<dyn Ledger>, Option<Arc<dyn RefusalStore>>, Option<Arc<dyn ObjectStore>>);

/// The store that `settings` name.
fn open_store(
    settings: &Settings,
    seal: Arc<dyn Seal>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    alerts: Arc<dyn Alerts>,
) -> Result<Stores, StartError> {
    match &settings.store {
        StoreSpec::Embedded => {
            let store = Arc::new(EmbeddedLedger::open(&store_path(settings), seal, clock, alerts)?);
            Ok((Arc::clone(&store) as _, Some(Arc::clone(&store) as _), Some(store)))
        }
        StoreSpec::Redis(redis) => {
            let watermark = settings.data_dir.join("store-epoch.json");
            let runtime = tokio::runtime::Handle::current();
            let parts = RedisParts { seal, clock, entropy, alerts, runtime, watermark };
            let store = Arc::new(RedisLedger::open((**redis).clone(), parts)?);
            Ok((Arc::clone(&store) as _, Some(Arc::clone(&store) as _), Some(store)))
        }
    }
}

/// The embedded store's file.
fn store_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join("sts.redb")
}

/// The first file that is missing to open the store without a server. Opening would create it, and so show an empty store, or
/// judge a full one by a new seal.
pub(crate) fn missing_to_open(settings: &Settings) -> Option<PathBuf> {
    let store = match settings.store {
        StoreSpec::Embedded => Some(store_path(settings)),
        StoreSpec::Redis(_) => None,
    };
    store.into_iter().chain([settings.keyring.seal_file()]).find(|path| !path.exists())
}

/// The issuers' keys; nothing is fetched yet.
pub(crate) fn issuer_cache(
    compiled: &Compiled,
    clock: Arc<dyn Clock>,
    state_dir: Option<PathBuf>,
) -> Result<JwksCache, StartError> {
    let environment = Environment {
        clock,
        entropy: Arc::new(OsEntropy),
        state_dir,
        resolver: None,
        user_agent: concat!("sts/", env!("CARGO_PKG_VERSION")).to_owned(),
        ignored_proxies: crate::environment::proxy_variables(),
    };
    JwksCache::new(compiled.keys.clone(), environment)
        .map_err(|errors| StartError::Configuration(Diagnostics::of_entries(errors)))
}

/// The snapshot of `compiled`, with the keys of its entries.
pub(crate) fn snapshot(compiled: &Compiled, issuers: JwksCache) -> Snapshot {
    let settings = &compiled.settings;
    Snapshot {
        generation: compiled.generation.clone(),
        issuer: settings.issuer.clone(),
        rules: Arc::clone(&compiled.rules),
        has_rules: compiled.has_rules,
        trust: Arc::new(TrustTable::new(compiled.trust.clone())),
        keys: Arc::new(CachedKeys(issuers)),
        remembered: Arc::default(),
        cap_to_subject: settings.cap_to_subject,
        status_list: settings.status_list,
        max_ttl: settings.keyring.max_ttl,
        signing: compiled.api_signing.iter().map(|(api, algorithm)| (api.clone(), *algorithm)).collect(),
        secrets: compiled
            .api_secrets
            .iter()
            .map(|(api, secret)| (api.clone(), ApiSecret::new(secret.expose().as_bytes())))
            .collect(),
        log_claims: settings.log.claims,
        api_keys: Arc::default(),
        api_keys_enabled: settings.api_keys.enabled,
        api_key_limits: ApiKeyLimits { default_ttl: settings.api_keys.default_ttl, max_ttl: settings.api_keys.max_ttl },
    }
}

/// Makes `data_dir`, and shows that files can be made in it before anything else is tried.
fn make_data_dir(settings: &Settings) -> Result<(), StartError> {
    let path = &settings.data_dir;
    let failed = |error| StartError::DataDir { path: path.clone(), error };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)?;
    let probe = path.join(".writable");
    std::fs::write(&probe, b"").map_err(failed)?;
    std::fs::remove_file(&probe).map_err(failed)
}
