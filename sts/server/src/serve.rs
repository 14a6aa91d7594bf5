//! `sts serve`: from a configuration to two listeners, and back down in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use sts_config::{Loaded, Settings};
use sts_jose::OsEntropy;
use sts_store::Ledger;
use sts_types::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::engine::Engine;
use crate::http::{AdminState, FailureLimit, Leaving, ListenerSpec, Listeners, Metadata, Proxies, PublicState};
use crate::metrics::Metrics;
use crate::operation::Desk;
use crate::reload::{Certificates, Reload, load};
use crate::start_error::StartError;
use crate::telemetry::{self, EventLog};
use crate::upkeep::upkeep;
use crate::{admin_token, environment, reload};

/// The longest that a second signal waits for connections to be closed.
const IMMEDIATELY: Duration = Duration::from_millis(200);

/// How often it is looked at how the store is, for metrics and log; whoever asks for readiness learns it anew.
const STORE_WATCH: Duration = Duration::from_secs(10);

/// A server that is listening.
pub(crate) struct Running {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) engine: Engine,
    leaving: Leaving,
    listeners: Listeners,
    reload: Reload,
    hangup: Signal,
}

/// Runs until SIGTERM or SIGINT; `ledger` takes the place of the store that the configuration names.
pub(crate) fn run(config: &Path, ledger: Option<Arc<dyn Ledger>>) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let Loaded { settings, written, warnings } = load(config, clock.now()).map_err(StartError::Configuration)?;
    drop(written);
    telemetry::install(settings.log);
    if !warnings.is_empty() {
        tracing::warn!("the configuration has warnings; `sts check` shows them");
    }
    environment::warn_of_proxies();
    runtime()?.block_on(async {
        let mut signals = Termination::listen()?.counted();
        let drain = settings.drain;
        let running = start(config.to_owned(), settings, clock, ledger)?;
        tracing::info!(public = %running.public, admin = %running.admin, "ready");
        let leaving = running.leaving.clone();
        let mut more_signals = signals.clone();
        // The channel ends with the runtime, so that waiting for it never fails.
        let at_once = async move {
            let _ = more_signals.wait_for(|count| *count > 1).await;
        };
        let shutdown = async move {
            let _ = signals.wait_for(|count| *count > 0).await;
            leaving.begin();
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

/// SIGTERM and SIGINT, heard from [`Termination::listen`] on.
pub(crate) struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Listens.
    pub(crate) fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(StartError::Runtime)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StartError::Runtime)?,
        })
    }

    /// The next of them.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// How many have come, from here on.
    fn counted(mut self) -> watch::Receiver<u32> {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                self.asked().await;
                sender.send_modify(|count| *count += 1);
            }
        });
        count
    }
}

/// The runtime of everything but the HTTP workers, which have their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(StartError::Runtime)
}

/// Binds what `settings` say, and starts.
fn start(
    config: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ledger: Option<Arc<dyn Ledger>>,
) -> Result<Running, StartError> {
    let public = ListenerSpec::bind("listen", settings.listen, settings.tls.as_ref())?;
    let admin = ListenerSpec::bind("admin.listen", settings.admin.listen, settings.admin.tls.as_ref())?;
    start_on(config, settings, clock, ledger, public, admin)
}

/// Opens and starts everything behind these listeners; answers once requests are served.
pub(crate) fn start_on(
    config: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ledger: Option<Arc<dyn Ledger>>,
    public: ListenerSpec,
    admin: ListenerSpec,
) -> Result<Running, StartError> {
    let (public_address, admin_address) =
        (public.address().unwrap_or(settings.listen), admin.address().unwrap_or(settings.admin.listen));

    let metrics = Arc::new(Metrics::default());
    let events = Arc::new(EventLog { format: settings.log.format, metrics: Arc::clone(&metrics) });
    let engine = Engine::open(&settings, clock, events, metrics, ledger)?;
    let token = admin_token::open(&settings.data_dir, &OsEntropy)?;

    let leaving = Leaving::default();
    let public_state = Data::new(PublicState {
        service: Arc::clone(&engine.desk.service),
        metadata: Metadata::new(&settings.issuer, &settings.signing.algorithms),
        proxies: Proxies::new(settings.behind_tls_proxy.clone(), settings.tls.is_some()),
        limit: FailureLimit::new(settings.limits.failures_per_second, settings.limits.failure_burst),
        leaving: leaving.clone(),
    });
    let admin_state = Data::new(AdminState {
        desk: Arc::clone(&engine.desk),
        token,
        hosts: settings.admin.hosts.clone(),
        leaving: leaving.clone(),
    });
    let certificates = Certificates { public: public.certificate.clone(), admin: admin.certificate.clone() };
    let listeners = Listeners::start(public, public_state, &settings.limits, admin, admin_state)?;
    let reload = Reload::new(config, settings, Arc::clone(&engine.desk), certificates);
    // Before anybody is told that we are ready: until it is listened for, SIGHUP ends a process.
    let hangup = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
    Ok(Running { public: public_address, admin: admin_address, engine, leaving, listeners, reload, hangup })
}

impl Running {
    /// Serves until `shutdown`, then lets open requests end, unless `at_once` comes first.
    pub(crate) async fn until(self, shutdown: impl Future<Output = ()>, at_once: impl Future<Output = ()>) {
        let Self { engine, leaving, listeners: Listeners { public, admin, closing }, reload, hangup, .. } = self;
        let (public_handle, admin_handle) = (public.handle(), admin.handle());
        let background = [
            tokio::spawn(watch_store(Arc::clone(&engine.ledger), Arc::clone(&engine.desk.metrics))),
            tokio::spawn(upkeep(
                Arc::clone(&engine.keyring),
                Arc::clone(&engine.ledger),
                Arc::clone(&engine.desk.service),
            )),
            tokio::spawn(keep_issuers_fresh(Arc::clone(&engine.desk))),
            tokio::spawn(keep_status_lists(Arc::clone(&engine.desk))),
            tokio::spawn(keep_refusals(Arc::clone(&engine.desk))),
            tokio::spawn(reload::watch(reload, hangup)),
        ];
        let servers = [tokio::spawn(public), tokio::spawn(admin)];
        shutdown.await;
        leaving.begin();
        tracing::info!("shutting down");
        closing.begin();
        let stop = |gracefully| {
            let (public, admin) = (public_handle.stop(gracefully), admin_handle.stop(gracefully));
            async move {
                tokio::join!(public, admin);
            }
        };
        tokio::select! {
            biased;
            // A stop that has begun cannot be hurried: it is left behind.
            () = at_once => drop(tokio::time::timeout(IMMEDIATELY, stop(false)).await),
            () = stop(true) => {}
        }
        for task in background {
            task.abort();
        }
        for server in servers {
            let _ = tokio::time::timeout(IMMEDIATELY, server).await;
        }
        // The last answers have left; their events follow before we end.
        engine.desk.service.told_of_exchanges().await;
        engine.desk.service.save_refusals().await;
    }
}

/// Tells the operator how the store is whenever that changes.
async fn watch_store(ledger: Arc<dyn Ledger>, metrics: Arc<Metrics>) {
    let mut tick = tokio::time::interval(STORE_WATCH);
    loop {
        tick.tick().await;
        let readiness = ledger.ready().await;
        let before = metrics.store(readiness.clone());
        match (&readiness, before) {
            (Ok(warnings), before) => {
                let known =
                    before.as_ref().and_then(|before| before.as_ref().ok()).map(Vec::as_slice).unwrap_or_default();
                for warning in warnings.iter().filter(|warning| known.iter().all(|known| known.name != warning.name)) {
                    tracing::warn!(warning = warning.name, "{}", warning.text);
                }
                if matches!(before, Some(Err(_))) {
                    tracing::info!("the store is ready again");
                }
            }
            (Err(error), Some(Ok(_)) | None) => tracing::error!(%error, "the store is not ready"),
            (Err(_), Some(Err(_))) => {}
        }
    }
}

/// Writes refusals to the store.
async fn keep_refusals(desk: Arc<Desk>) {
    desk.service.keep_refusals().await;
}

/// Keeps the status lists up to date.
async fn keep_status_lists(desk: Arc<Desk>) {
    desk.service.keep_status_lists().await;
}

/// Runs the key cache that is in force; a reload replaces it.
async fn keep_issuers_fresh(desk: Arc<Desk>) {
    let mut in_force = desk.issuers.subscribe();
    loop {
        let cache = in_force.borrow_and_update().clone();
        let replaced = async {
            // The sender lives as long as the desk, which this task holds.
            let _ = in_force.changed().await;
        };
        cache.run(replaced).await;
    }
}
