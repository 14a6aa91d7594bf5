//! Settings to a working service: the only place where the implementations meet.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use arc_swap::ArcSwapOption;
use jwks_cache::{Environment, JwksCache};
use sts_audit::Trail;
use sts_config::{Diagnostics, Settings};
use sts_console::Sessions;
use sts_jose::OsEntropy;
use sts_keyring::Keyring;
use sts_service::{ApiKeyLimits, ApiSecret, IssuerKeys, Service, ServiceDependencies, Snapshot, TrustTable};
use sts_store::spec::{ShardCount, StoreSpec};
use sts_store::{Alert, Alerts, Ledger, ObjectStore, RefusalStore, SessionStore};
use sts_store_embedded::EmbeddedLedger;
use sts_store_redis::{RedisLedger, RedisParts};
use sts_types::{Clock, Entropy, Seal};
use tokio::sync::watch;

use crate::admin_token::{self, VouchingToken};
use crate::app_state::AppState;
use crate::audit::{AuditEvents, TrailOwner, open_trail};
use crate::backups::StoreBackups;
use crate::compile::Compiled;
use crate::directories::{self, KnownMemberships};
use crate::issuer_keys::{CachedKeys, KeyEvents};
use crate::last_uses::LastUses;
use crate::metrics::Metrics;
use crate::openid_provider::ConsoleSignIn;
use crate::signing_keys;
use crate::start_error::StartError;
use crate::store_health::StoreHealth;
use crate::traces::{Exporter, TracedKeys, TracedLedger, Traces};

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
        owner: TrailOwner,
        metrics: Arc<Metrics>,
        ledger: Option<Arc<dyn Ledger>>,
    ) -> Result<Self, StartError> {
        let settings = &compiled.settings;
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        make_data_dir(settings)?;
        let keyring = Arc::new(signing_keys::open(settings, owner, &*entropy, clock.now())?);
        let counted = Arc::clone(&metrics);
        let alerts = move |alert: Alert| {
            counted.alert(alert);
            tracing::error!(place = alert.place.name(), fault = alert.fault.name(), "{alert}");
        };
        let Stores { ledger, refusals, objects, sessions, backups } = match ledger {
            Some(ledger) => Stores { ledger, refusals: None, objects: None, sessions: None, backups: None },
            None => open_store(
                settings,
                Arc::new(keyring.seal()),
                Arc::clone(&clock),
                Arc::clone(&entropy),
                Arc::new(alerts),
            )?,
        };
        let traces = if owner == TrailOwner::Server { open_traces(settings, &clock, &entropy)? } else { None };
        let ledger = traced(ledger, settings, traces.as_ref());
        let seal = Arc::new(keyring.seal());
        let directories = directories::open(settings, &compiled.rules, Arc::clone(&clock), Arc::clone(&entropy), seal)?;
        let audit = Arc::new(open_trail(&settings.audit, owner, &clock, &keyring));
        let issuers = kept_issuer_cache(compiled, Arc::clone(&clock), owner, &audit)?;
        metrics.put_entries(compiled.trust.iter().map(|trust| &trust.entry));
        let admin_token = Arc::new(VouchingToken(admin_token::path(&settings.data_dir)));
        let sessions =
            sessions.map(|store| Arc::new(Sessions::new(store, Arc::clone(&clock), Arc::clone(&entropy), admin_token)));
        metrics.activity().begin(clock.now());
        let last_uses = Arc::new(LastUses::new(objects.clone()));
        let service = Arc::new(Service::new(ServiceDependencies {
            snapshot: Snapshot {
                memberships: Arc::new(KnownMemberships(Arc::clone(&directories))),
                ..snapshot(compiled, issuers.clone(), traces.as_ref())
            },
            ledger: Arc::clone(&ledger),
            keyring: Arc::clone(&keyring),
            clock,
            entropy,
            refusals,
            events: Arc::new(AuditEvents {
                trail: Arc::clone(&audit),
                metrics: Arc::clone(&metrics),
                traces: traces.clone(),
                last_uses: Arc::clone(&last_uses),
            }),
        }));
        let openid = console_sign_in(compiled, &service).map_err(StartError::Configuration)?;
        let state = AppState {
            service,
            issuers: watch::Sender::new(issuers),
            metrics,
            audit,
            traces,
            store: Arc::new(StoreHealth::new(is_sharded(settings))),
            directories,
            last_uses,
            managed: RwLock::default(),
            sessions,
            backups,
            openid: ArcSwapOption::new(openid),
            rules: OnceLock::new(),
            listeners: OnceLock::new(),
        };
        Ok(Self { state: Arc::new(state), ledger, keyring, objects })
    }
}

/// A store, by what it is used for; a ledger from elsewhere is only that.
struct Stores {
    ledger: Arc<dyn Ledger>,
    refusals: Option<Arc<dyn RefusalStore>>,
    objects: Option<Arc<dyn ObjectStore>>,
    sessions: Option<Arc<dyn SessionStore>>,
    backups: Option<StoreBackups>,
}

impl Stores {
    fn of<S: Ledger + RefusalStore + ObjectStore + SessionStore>(store: Arc<S>, backups: Option<StoreBackups>) -> Self {
        Self {
            ledger: Arc::clone(&store) as _,
            refusals: Some(Arc::clone(&store) as _),
            objects: Some(Arc::clone(&store) as _),
            sessions: Some(store),
            backups,
        }
    }
}

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
            let path = store_path(settings);
            let store = Arc::new(EmbeddedLedger::open(&path, seal, clock, alerts)?);
            let backups = StoreBackups::new(Arc::clone(&store), path);
            Ok(Stores::of(store, Some(backups)))
        }
        StoreSpec::Redis(redis) => {
            let watermark = redis_watermark(settings);
            let runtime = tokio::runtime::Handle::current();
            let parts = RedisParts { seal, clock, entropy, alerts, runtime, watermark };
            if redis.shards == ShardCount::ONE {
                return Ok(Stores::of(Arc::new(RedisLedger::open((**redis).clone(), parts)?), None));
            }
            Ok(Stores::of(Arc::new(RedisLedger::open_shards(redis, &parts)?), None))
        }
    }
}

fn is_sharded(settings: &Settings) -> bool {
    matches!(&settings.store, StoreSpec::Redis(redis) if redis.shards != ShardCount::ONE)
}

/// The file that remembers the highest revocation seen in a Redis.
pub(crate) fn redis_watermark(settings: &Settings) -> PathBuf {
    settings.data_dir.join("store-epoch.json")
}

/// The embedded store's file.
pub(crate) fn store_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join("sts.redb")
}

/// The first file that is missing to open the store without a server. Opening would create it, and so show an empty store, or
/// judge a full one by a new seal.
pub(crate) fn missing_to_open(settings: &Settings) -> Option<PathBuf> {
    let store = match settings.store {
        StoreSpec::Embedded => Some(store_path(settings)),
        StoreSpec::Redis(_) => None,
    };
    store.into_iter().chain(settings.keyring.store.seal_file()).find(|path| !path.exists())
}

/// The issuers' keys, from memory alone; nothing is fetched yet.
pub(crate) fn issuer_cache(compiled: &Compiled, clock: Arc<dyn Clock>) -> Result<JwksCache, StartError> {
    cache(compiled, environment(clock, None))
}

/// The issuers' keys, with what is kept of them in `data_dir`. A server records their changes; a command
/// changes none.
fn kept_issuer_cache(
    compiled: &Compiled,
    clock: Arc<dyn Clock>,
    owner: TrailOwner,
    audit: &Arc<Trail>,
) -> Result<JwksCache, StartError> {
    let mut environment = environment(clock, Some(compiled.settings.data_dir.join("issuers")));
    if owner == TrailOwner::Server {
        environment.observer = Some(Arc::new(KeyEvents(Arc::clone(audit))));
    }
    cache(compiled, environment)
}

fn cache(compiled: &Compiled, environment: Environment) -> Result<JwksCache, StartError> {
    JwksCache::new(compiled.keys.clone(), environment)
        .map_err(|errors| StartError::Configuration(Diagnostics::of_entries(errors)))
}

/// What fetches take from their surroundings.
pub(crate) fn environment(clock: Arc<dyn Clock>, state_dir: Option<PathBuf>) -> Environment {
    Environment {
        clock,
        entropy: Arc::new(OsEntropy),
        state_dir,
        resolver: None,
        user_agent: concat!("sts/", env!("CARGO_PKG_VERSION")).to_owned(),
        ignored_proxies: crate::environment::proxy_variables(),
        observer: None,
    }
}

/// The OpenID provider of the console; nothing is fetched yet.
pub(crate) fn console_sign_in(
    compiled: &Compiled,
    service: &Arc<Service>,
) -> Result<Option<Arc<ConsoleSignIn>>, Diagnostics> {
    let Some(console) = &compiled.console else { return Ok(None) };
    let environment = environment(service.shared_clock(), None);
    ConsoleSignIn::new(console, environment, Arc::clone(service)).map(|provider| Some(Arc::new(provider)))
}

/// The traces, if there is a collector for them.
fn open_traces(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<Arc<Traces>>, StartError> {
    let Some(url) = &settings.otlp else { return Ok(None) };
    let exporter = Exporter::start(url).map_err(StartError::Traces)?;
    Ok(Some(Traces::new(exporter, Arc::clone(clock), Arc::clone(entropy))))
}

/// `ledger`, whose calls are traced if anything is.
fn traced(ledger: Arc<dyn Ledger>, settings: &Settings, traces: Option<&Arc<Traces>>) -> Arc<dyn Ledger> {
    let Some(traces) = traces else { return ledger };
    let system = match settings.store {
        StoreSpec::Embedded => None,
        StoreSpec::Redis(_) => Some("redis"),
    };
    Arc::new(TracedLedger { ledger, traces: Arc::clone(traces), system })
}

/// The snapshot of `compiled`, with the keys of its entries. No directory is asked.
pub(crate) fn snapshot(compiled: &Compiled, issuers: JwksCache, traces: Option<&Arc<Traces>>) -> Snapshot {
    let settings = &compiled.settings;
    let keys: Arc<dyn IssuerKeys> = Arc::new(CachedKeys(issuers));
    let keys = match traces {
        None => keys,
        Some(traces) => Arc::new(TracedKeys { keys, traces: Arc::clone(traces) }),
    };
    Snapshot {
        generation: compiled.generation.clone(),
        issuer: settings.issuer.clone(),
        rules: Arc::clone(&compiled.rules),
        memberships: Arc::new(sts_policy::NoDirectory),
        has_rules: compiled.has_rules,
        lacks_objects: false,
        trust: Arc::new(TrustTable::new(compiled.trust.clone())),
        keys,
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
