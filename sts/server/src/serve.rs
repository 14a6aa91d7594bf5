//! `sts serve`: from a configuration to two listeners, and an orderly shutdown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::Data;
use futures_util::future::join_all;
use sts_api::ListenerAddress;
use sts_audit::{Actor, ConfigurationLoaded, LoadTrigger, ServerStarted, ServerStopped};
use sts_config::{Settings, TlsFiles};
use sts_jose::OsEntropy;
use sts_store::Ledger;
use sts_types::{Clock, UnixTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin_token::AdminToken;
use crate::app_state::AppState;
use crate::audit::TrailOwner;
use crate::certificate::public_host;
use crate::clock::SystemClock;
use crate::compile::Loaded;
use crate::components::Components;
use crate::directories::{keep_memberships, record_directory_changes};
use crate::http::{
    AdminState, BindError, Draining, FailureLimit, ListenerSpec, Listeners, Metadata, Proxies, PublicState,
};
use crate::maintenance::maintenance;
use crate::metrics::Metrics;
use crate::reload::{Reload, environment as variable, load};
use crate::rule_base::{Certificates, RuleBase};
use crate::service_manager::ServiceManager;
use crate::start_error::StartError;
use crate::store_health::watch_store;
use crate::telemetry::{self, Log};
use crate::{audit, environment, file_permissions, managed, reload};

/// The longest that a shutdown waits for connections after a second signal.
const STOP_TIMEOUT: Duration = Duration::from_millis(200);

/// A server that is listening.
pub(crate) struct Running {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    metrics: Option<SocketAddr>,
    pub(crate) engine: Components,
    /// Whether the log still has to say that the server is ready.
    must_announce_ready: bool,
    draining: Draining,
    listeners: Listeners,
    reload: Reload,
    hangup: Signal,
    manager: ServiceManager,
}

/// Runs until SIGTERM or SIGINT. `ledger` replaces the configured store.
pub(crate) fn run(config: &Path, ledger: Option<Arc<dyn Ledger>>) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let loaded = load(config, clock.now()).map_err(StartError::Configuration)?;
    let log = telemetry::install(loaded.compiled.settings.log);
    if !loaded.warnings.is_empty() {
        tracing::warn!("the configuration has warnings; `sts check` shows them");
    }
    environment::warn_of_proxies();
    runtime()?.block_on(async {
        let mut signals = Termination::listen()?.count_signals();
        survive_file_limit()?;
        let drain = loaded.compiled.settings.drain;
        let running = start(config.to_owned(), loaded, clock, ledger, &log).await?;
        let running = running.announced_to(ServiceManager::at(variable("NOTIFY_SOCKET").as_deref())).await;
        let (draining, manager) = (running.draining.clone(), running.manager.clone());
        let mut more_signals = signals.clone();
        // The sender lives as long as the runtime, so `wait_for` does not fail.
        let at_once = async move {
            let _ = more_signals.wait_for(|count| *count > 1).await;
        };
        let shutdown = async move {
            let _ = signals.wait_for(|count| *count > 0).await;
            draining.begin();
            manager.stopping();
            tracing::info!(
                ?drain,
                "not ready any more; requests are served until the drain is over or a second signal comes"
            );
            let _ = tokio::time::timeout(drain, signals.wait_for(|count| *count > 1)).await;
        };
        running.until(shutdown, at_once).await;
        Ok(())
    })
}

/// SIGTERM and SIGINT, from the call of [`Termination::listen`] on.
pub(crate) struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    pub(crate) fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(StartError::Runtime)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StartError::Runtime)?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Counts them from now on.
    fn count_signals(mut self) -> watch::Receiver<u32> {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                self.received().await;
                sender.send_modify(|count| *count += 1);
            }
        });
        count
    }
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail like a write to a full disk. By
/// default the signal ends the process.
fn survive_file_limit() -> Result<(), StartError> {
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    signal(limit).map(drop).map_err(StartError::Runtime)
}

/// The runtime for everything but the HTTP workers, which have their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    // A limit on memory counts each stack whole, and no task here needs two megabytes.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_stack_size(1 << 20).enable_all().build().map_err(StartError::Runtime)
}

/// Binds the configured addresses and starts the server.
async fn start(
    config: PathBuf,
    loaded: Loaded,
    clock: Arc<dyn Clock>,
    ledger: Option<Arc<dyn Ledger>>,
    log: &Log,
) -> Result<Running, StartError> {
    let settings = &loaded.compiled.settings;
    let public = ListenerSpec::bind("listen", settings.listen, settings.tls.as_ref())?;
    let admin = ListenerSpec::bind("admin.listen", settings.admin.listen, settings.admin.tls.as_ref())?;
    let metrics = settings.metrics_listen.map(|listen| ListenerSpec::bind("metrics.listen", listen, None));
    let sockets = Sockets { public, admin, metrics: metrics.transpose()? };
    let Sockets { public, admin, .. } = &sockets;
    check_certificate(public, settings.tls.as_ref(), public_host(settings).as_deref(), clock.now())?;
    check_certificate(admin, settings.admin.tls.as_ref(), None, clock.now())?;
    start_on(config, loaded, clock, ledger, log, sockets).await
}

/// The bound addresses.
pub(crate) struct Sockets {
    pub(crate) public: ListenerSpec,
    pub(crate) admin: ListenerSpec,
    pub(crate) metrics: Option<ListenerSpec>,
}

/// Refuses a certificate that clients will not accept.
fn check_certificate(
    listener: &ListenerSpec,
    files: Option<&TlsFiles>,
    host: Option<&str>,
    now: UnixTime,
) -> Result<(), StartError> {
    let (Some(served), Some(files)) = (&listener.certificate, files) else { return Ok(()) };
    match served.problems(now, host).first() {
        Some(problem) => Err(BindError::certificate(&files.cert_file, problem).into()),
        None => Ok(()),
    }
}

/// Opens and starts everything behind these listeners. Requests are served once it returns.
pub(crate) async fn start_on(
    config: PathBuf,
    loaded: Loaded,
    clock: Arc<dyn Clock>,
    ledger: Option<Arc<dyn Ledger>>,
    log: &Log,
    Sockets { public, admin, metrics: metrics_socket }: Sockets,
) -> Result<Running, StartError> {
    let settings = &loaded.compiled.settings;
    let (public_address, admin_address) =
        (public.address().unwrap_or(settings.listen), admin.address().unwrap_or(settings.admin.listen));

    // Before anything is read from them, or made in them.
    file_permissions::check_folders(settings)?;
    let metrics = Arc::new(Metrics::default());
    let engine = Components::open(&loaded.compiled, clock, TrailOwner::Server, Arc::clone(&metrics), ledger)?;
    metrics.put_sinks(engine.state.audit.sinks().iter().cloned().chain([log.sink()]).collect());
    let token = AdminToken::open(&settings.data_dir, &OsEntropy)?;
    for access in file_permissions::check_everything(settings)? {
        tracing::warn!("{access}; {}", access.help());
    }

    let draining = Draining::default();
    let public_state = public_state(settings, &engine, &draining);
    let admin_state = Data::new(AdminState {
        state: Arc::clone(&engine.state),
        token,
        hosts: settings.admin.hosts.clone(),
        is_tls: admin.certificate.is_some(),
        proxies: Proxies::new(settings.behind_tls_proxy.clone(), settings.admin.tls.is_some()),
        draining: draining.clone(),
    });
    let certificates = Certificates { public: public.certificate.clone(), admin: admin.certificate.clone() };
    engine.state.metrics.put_certificates(certificates.by_listener());
    engine.state.metrics.configuration_loaded(engine.state.service.clock().now());
    let limits = settings.limits;
    let lock = Arc::new(tokio::sync::Mutex::new(()));
    let base = Arc::new(RuleBase::new(config, loaded, Arc::clone(&engine.state), certificates));
    // Before anybody is served: without the managed objects their accounts would seem unknown.
    managed::start(&engine, &base, &lock).await;
    let metrics_address = metrics_socket.as_ref().and_then(ListenerSpec::address);
    let addresses =
        [("listen", Some(public_address)), ("admin.listen", Some(admin_address)), ("metrics.listen", metrics_address)];
    let addresses = addresses
        .into_iter()
        .filter_map(|(key, address)| Some(ListenerAddress { key: key.to_owned(), address: address? }));
    engine.state.listeners.get_or_init(|| addresses.collect());
    let listeners = Listeners::start(public, public_state, &limits, admin, admin_state, metrics_socket)?;
    let reload = Reload::new(base, lock);
    // Before anybody is told that we are ready: until it is listened for, SIGHUP ends a process.
    let hangup = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
    Ok(Running {
        public: public_address,
        admin: admin_address,
        metrics: metrics_address,
        engine,
        must_announce_ready: false,
        draining,
        listeners,
        reload,
        hangup,
        manager: ServiceManager::default(),
    })
}

fn public_state(settings: &Settings, engine: &Components, draining: &Draining) -> Data<PublicState> {
    Data::new(PublicState {
        service: Arc::clone(&engine.state.service),
        metadata: Metadata::new(&settings.issuer, &settings.keyring.algorithms),
        proxies: Proxies::new(settings.behind_tls_proxy.clone(), settings.tls.is_some()),
        limit: FailureLimit::new(settings.limits.failures_per_second, settings.limits.failure_burst),
        draining: draining.clone(),
        store: Arc::clone(&engine.state.store),
        audit: Arc::clone(&engine.state.audit),
        metrics: Arc::clone(&engine.state.metrics),
        traces: engine.state.traces.clone(),
    })
}

impl Running {
    /// Logs the addresses, and that the server is ready if `/readyz` says so too. If not, the log
    /// says so later. The service manager is told that the listeners serve.
    async fn announced_to(mut self, manager: ServiceManager) -> Self {
        let state = &self.engine.state;
        // Probe the store, so that `is_ready` has an answer.
        let _ = state.store.look(&state.service).await;
        self.must_announce_ready = !state.is_ready();
        let (public, admin) = (self.public, self.admin);
        if let Some(address) = self.metrics {
            tracing::info!(%address, "the metrics are served");
        }
        if self.must_announce_ready {
            tracing::info!(%public, %admin, "listening");
        } else {
            tracing::info!(%public, %admin, "ready");
        }
        manager.ready(&format!("listening on {public}, admin listener on {admin}"));
        self.reload.report_to(manager.clone());
        self.manager = manager;
        self.record_start();
        self
    }

    fn record_start(&self) {
        let state = &self.engine.state;
        let generation = state.service.snapshot().generation.clone();
        let loaded = ConfigurationLoaded {
            generation: generation.clone(),
            previous: None,
            trigger: LoadTrigger::Start,
            changes: serde_json::Map::new(),
        };
        state.audit.record(&Actor::SERVER, loaded);
        let started = ServerStarted {
            sts_version: env!("CARGO_PKG_VERSION").to_owned(),
            generation,
            listen: self.public.to_string(),
            admin_listen: self.admin.to_string(),
        };
        state.audit.record(&Actor::SERVER, started);
    }

    /// Serves until `shutdown`. Then it finishes open requests, unless `at_once` comes first.
    pub(crate) async fn until(self, shutdown: impl Future<Output = ()>, at_once: impl Future<Output = ()>) {
        let addresses = (self.public, self.admin);
        let Self { engine, must_announce_ready, draining, listeners, reload, hangup, .. } = self;
        let Listeners { public, admin, metrics, closing } = listeners;
        let servers: Vec<Server> = [Some(public), Some(admin), metrics].into_iter().flatten().collect();
        let handles: Vec<_> = servers.iter().map(Server::handle).collect();
        let background = [
            tokio::spawn(watch_store(Arc::clone(&engine.state.store), Arc::clone(&engine.state.service))),
            tokio::spawn(maintenance(
                Arc::clone(&engine.keyring),
                Arc::clone(&engine.ledger),
                Arc::clone(&engine.state),
            )),
            tokio::spawn(keep_issuers_fresh(Arc::clone(&engine.state))),
            tokio::spawn(keep_status_lists(Arc::clone(&engine.state))),
            tokio::spawn(keep_refusals(Arc::clone(&engine.state))),
            tokio::spawn(keep_signing_health(Arc::clone(&engine.state))),
            tokio::spawn(reload::watch(reload, hangup)),
            tokio::spawn(follow_objects(Arc::clone(&engine.state))),
            // Before the refreshes, so that it misses none.
            tokio::spawn(record_directory_changes(Arc::clone(&engine.state))),
            tokio::spawn(keep_memberships(Arc::clone(&engine.state))),
        ];
        let readiness = must_announce_ready
            .then(|| tokio::spawn(notify_when_ready(Arc::clone(&engine.state), draining.clone(), addresses)));
        let servers: Vec<_> = servers.into_iter().map(tokio::spawn).collect();
        shutdown.await;
        draining.begin();
        tracing::info!("shutting down");
        closing.begin();
        let stop = |gracefully| {
            let stopping: Vec<_> = handles.iter().map(|handle| handle.stop(gracefully)).collect();
            async move {
                join_all(stopping).await;
            }
        };
        tokio::select! {
            biased;
            // actix cannot speed up a stop that has begun. Wait a moment, then leave it behind.
            () = at_once => drop(tokio::time::timeout(STOP_TIMEOUT, stop(false)).await),
            () = stop(true) => {}
        }
        for task in background.into_iter().chain(readiness) {
            task.abort();
        }
        for server in servers {
            let _ = tokio::time::timeout(STOP_TIMEOUT, server).await;
        }
        // All answers are sent. Wait for their events and refusals.
        engine.state.service.told_of_exchanges().await;
        if let Some(traces) = &engine.state.traces {
            traces.close().await;
        }
        engine.state.service.save_refusals().await;
        engine.state.last_uses.save(engine.state.service.clock().now(), false).await;
        if let Some(managed) = engine.state.managed() {
            managed.save_api_key_uses(&engine.state.service).await;
        }
        engine.state.set_managed(None);
        engine.state.audit.record(&Actor::SERVER, ServerStopped {});
        // This blocks, but nothing else is left to do.
        audit::close(&engine.state.audit);
    }
}

/// Follows the managed objects of the store.
async fn follow_objects(state: Arc<AppState>) {
    if let Some(managed) = state.managed() {
        managed.follow().await;
    }
}

/// Writes refusals to the store.
async fn keep_refusals(state: Arc<AppState>) {
    state.service.keep_refusals().await;
}

/// Asks the signing keys at intervals whether they can sign.
async fn keep_signing_health(state: Arc<AppState>) {
    state.service.keep_signing_health().await;
}

/// Logs that the server is ready once `/readyz` says so.
async fn notify_when_ready(state: Arc<AppState>, draining: Draining, (public, admin): (SocketAddr, SocketAddr)) {
    const PAUSE: Duration = Duration::from_millis(100);
    while !state.is_ready() {
        tokio::time::sleep(PAUSE).await;
    }
    if !draining.has_begun() {
        tracing::info!(%public, %admin, "ready");
    }
}

/// Keeps the status lists up to date.
async fn keep_status_lists(state: Arc<AppState>) {
    state.service.keep_status_lists().await;
}

/// Runs the current key cache. A reload replaces it.
async fn keep_issuers_fresh(state: Arc<AppState>) {
    let mut in_force = state.issuers.subscribe();
    loop {
        let cache = in_force.borrow_and_update().clone();
        let replaced = async {
            // The sender lives as long as `state`, which this task holds.
            let _ = in_force.changed().await;
        };
        cache.run(replaced).await;
    }
}
