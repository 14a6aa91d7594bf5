//! One connection to the primary: made when it is needed, given up when it is of no more use, made anew without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use sts_types::Clock;
use tokio::runtime::Handle;

use super::batch::{Batch, Replies};
use super::breaker::Breaker;
use super::connect::{Connector, connect_deadline};
use super::spec::Node;
use super::trouble::Trouble;

/// A connection, and to whom.
pub(super) struct Connected {
    pub(super) node: Node,
    connection: MultiplexedConnection,
}

/// What is to be seen to on a new connection before it is used.
pub(super) trait Inspect: Send + Sync + 'static {
    /// Whether it may be used.
    fn inspect(&self, connection: &mut MultiplexedConnection) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// The way to the primary.
pub(super) struct Link<I> {
    connector: Arc<Connector>,
    inspector: Arc<I>,
    /// Where connections are driven, so that they outlive whoever asked for them first.
    runtime: Handle,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    slot: ArcSwapOption<Connected>,
    breaker: Breaker,
    /// Attempts to connect so far, and what became of the last.
    attempts: AtomicU64,
    connecting: tokio::sync::Mutex<Option<Trouble>>,
}

impl<I: Inspect> Link<I> {
    pub(super) fn new(
        connector: Arc<Connector>,
        inspector: Arc<I>,
        runtime: Handle,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            connector,
            inspector,
            runtime,
            clock,
            timeout,
            slot: ArcSwapOption::empty(),
            breaker: Breaker::default(),
            attempts: AtomicU64::new(0),
            connecting: tokio::sync::Mutex::new(None),
        })
    }

    /// Sends `batch`; one reply for each of its commands, before the deadline or not at all.
    pub(super) async fn run(self: &Arc<Self>, batch: Batch) -> Result<Replies, Trouble> {
        if !self.breaker.admits(self.clock.monotonic()) {
            return Err(Trouble::Open);
        }
        let mut used = None;
        let sent = tokio::time::timeout(self.timeout, async {
            let connected = self.connected().await?;
            used = Some(Arc::clone(&connected));
            batch.send(&mut connected.connection.clone()).await
        });
        let outcome = sent.await.unwrap_or(Err(Trouble::Deadline(self.timeout)));
        match &outcome {
            Err(trouble) => {
                if trouble.is_silence() {
                    self.breaker.failed(self.clock.monotonic());
                } else {
                    self.breaker.succeeded();
                }
                if trouble.ends_connection()
                    && let Some(used) = used
                {
                    self.give_up(&used);
                }
            }
            Ok(_) => self.breaker.succeeded(),
        }
        outcome.map(Replies::from)
    }

    /// Gives the connection up when those who know say that another node is the primary now: an old one that was cut off may still
    /// answer.
    pub(super) async fn follow_primary(&self) -> Result<(), Trouble> {
        let Some(connected) = self.slot.load_full().filter(|_| self.connector.primary_may_change_unseen()) else {
            return Ok(());
        };
        let primary = tokio::time::timeout(connect_deadline(self.timeout), self.connector.primary()).await;
        if primary.unwrap_or(Err(Trouble::Deadline(self.timeout)))? != connected.node {
            tracing::warn!("the sentinels have made another Redis the primary");
            self.give_up(&connected);
        }
        Ok(())
    }

    fn give_up(&self, used: &Arc<Connected>) {
        self.slot.compare_and_swap(used, None);
    }

    async fn connected(self: &Arc<Self>) -> Result<Arc<Connected>, Trouble> {
        if let Some(connected) = self.slot.load_full() {
            return Ok(connected);
        }
        let seen = self.attempts.load(Ordering::Acquire);
        let link = Arc::clone(self);
        // Should we be given up meanwhile, the connection is still made, for whoever comes next.
        let attempt = self.runtime.spawn(async move { link.connect(seen).await });
        attempt.await.unwrap_or(Err(Trouble::Open))
    }

    /// Makes the connection, once for all who want it: who waited for an attempt that failed takes its outcome for his own.
    async fn connect(&self, seen: u64) -> Result<Arc<Connected>, Trouble> {
        let mut last = self.connecting.lock().await;
        if let Some(connected) = self.slot.load_full() {
            return Ok(connected);
        }
        if self.attempts.load(Ordering::Acquire) != seen
            && let Some(trouble) = &*last
        {
            return Err(trouble.clone());
        }
        let within = connect_deadline(self.timeout);
        let made = tokio::time::timeout(within, async {
            let (node, mut connection) = self.connector.connect().await?;
            self.inspector.inspect(&mut connection).await?;
            Ok(Arc::new(Connected { node, connection }))
        });
        let made = made.await.unwrap_or(Err(Trouble::Deadline(within)));
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match &made {
            Ok(connected) => {
                tracing::info!(node = %connected.node, "connected to Redis");
                self.slot.store(Some(Arc::clone(connected)));
            }
            Err(trouble) if last.as_ref() != Some(trouble) => {
                tracing::warn!(error = %trouble, "no connection to Redis")
            }
            Err(_) => {}
        }
        *last = made.as_ref().err().cloned();
        made
    }
}
