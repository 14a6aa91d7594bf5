//! The connections to the primary: one per Tokio runtime. A connection is made on first use (until
//! it is there, its runtime borrows another's), dropped when it is broken, and made again without a
//! restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::MultiplexedConnection;
use sts_types::Clock;
use tokio::runtime::{self, Handle};

use super::batch::{Batch, Replies};
use super::breaker::{Admission, Breaker};
use super::connect::{Connector, connect_deadline};
use super::connection::Connected;
use super::connection_slot::{ConnectionSlot, millis};
use super::error::RedisStoreError;

/// After this much silence a connection is tested before use. Redis closes idle connections
/// (`timeout`, one second at the least), and so do proxies. Some do it without a sign.
const IDLE: Duration = Duration::from_millis(900);

/// Checks a new connection before its first use.
pub(super) trait Inspect: Send + Sync + 'static {
    /// Fails if the connection must not be used.
    fn inspect(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> impl Future<Output = Result<(), RedisStoreError>> + Send;

    /// A read-only request that every primary answers.
    fn ping(&self) -> Batch;
}

/// The connections to the primary.
pub(super) struct ConnectionPool<I> {
    connector: Arc<Connector>,
    inspector: Arc<I>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    /// One slot per runtime. A runtime drives its own connection, so requests and replies rarely
    /// change threads. A runtime without a connection borrows another's meanwhile.
    slots: ArcSwap<Vec<(runtime::Id, Arc<ConnectionSlot>)>>,
    breaker: Breaker,
    /// The failure that opened the breaker.
    last_failure: ArcSwap<Arc<str>>,
    /// Number of connections made so far, over all slots.
    connections: AtomicU64,
    /// Until this time [`distrust`](Self::distrust) does nothing, in milliseconds of the monotonic
    /// clock.
    trusted_until: AtomicU64,
}

/// The shortest time between two replacements of all connections by [`ConnectionPool::distrust`]. A
/// Redis that lost its data is the same over a new connection.
const TRUSTED: Duration = Duration::from_secs(5);

/// Which connection a batch uses.
enum ConnectionChoice {
    /// The runtime's own connection, or a borrowed one while it has none.
    Any,
    /// The newest of all connections.
    Newest,
    /// This connection.
    This(Arc<Connected>),
}

impl<I: Inspect> ConnectionPool<I> {
    pub(super) fn new(
        connector: Arc<Connector>,
        inspector: Arc<I>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            connector,
            inspector,
            clock,
            timeout,
            slots: ArcSwap::default(),
            breaker: Breaker::default(),
            last_failure: ArcSwap::from_pointee("none yet".into()),
            connections: AtomicU64::new(0),
            trusted_until: AtomicU64::new(0),
        })
    }

    /// Sends `batch`. Returns one reply per command, or an error once the deadline passes.
    pub(super) async fn run(self: &Arc<Self>, batch: Batch) -> Result<Replies, RedisStoreError> {
        self.run_in(ConnectionChoice::Any, batch).await
    }

    /// Sends `batch` over the newest connection. Its reply was therefore true when every other
    /// connection already existed.
    pub(super) async fn run_on_newest(self: &Arc<Self>, batch: Batch) -> Result<Replies, RedisStoreError> {
        self.run_in(ConnectionChoice::Newest, batch).await
    }

    /// Sends `batch` over the connection that `replies` came over, or fails. Another connection may
    /// lead to another Redis, for which these replies say nothing.
    pub(super) async fn run_after(
        self: &Arc<Self>,
        replies: &Replies,
        batch: Batch,
    ) -> Result<Replies, RedisStoreError> {
        let over = replies.connected().cloned().ok_or(RedisStoreError::Form)?;
        self.run_in(ConnectionChoice::This(over), batch).await
    }

    /// Sends `batch` over the chosen connection, unless the breaker is open.
    async fn run_in(self: &Arc<Self>, which: ConnectionChoice, batch: Batch) -> Result<Replies, RedisStoreError> {
        match self.breaker.admits(self.clock.monotonic()) {
            Admission::Passes => self.send(which, batch).await,
            Admission::Refused => Err(self.breaker_error()),
            // A caller may be dropped during the probe. The spawned task finishes the probe all the
            // same, so the breaker always learns its outcome.
            Admission::Probes => {
                let pool = Arc::clone(self);
                let probe = tokio::spawn(async move { pool.send(which, batch).await });
                probe.await.unwrap_or_else(|_| Err(self.breaker_error()))
            }
        }
    }

    /// The error while the breaker is open.
    fn breaker_error(&self) -> RedisStoreError {
        RedisStoreError::Open(Arc::clone(&self.last_failure.load()))
    }

    /// Sends `batch` and reports the outcome to the breaker.
    async fn send(self: &Arc<Self>, which: ConnectionChoice, batch: Batch) -> Result<Replies, RedisStoreError> {
        let mut used = None;
        let deadline = self.timeout.saturating_add(batch.allowance());
        let sending = tokio::time::timeout(deadline, async {
            let connected = match which {
                ConnectionChoice::Any => loop {
                    let connected = self.own_or_borrowed().await?;
                    if self.is_open(&connected).await {
                        break connected;
                    }
                },
                ConnectionChoice::Newest => loop {
                    let connected = self.connected(&self.newest()).await?;
                    if self.is_open(&connected).await {
                        break connected;
                    }
                },
                // This connection has replied a moment ago, so it needs no test.
                ConnectionChoice::This(connected) => connected,
            };
            used = Some(Arc::clone(&connected));
            let values = batch.send(&mut connected.connection.clone()).await?;
            connected.answered.store(millis(self.clock.monotonic()), Ordering::Relaxed);
            Ok(Replies::from(values).with_connection(connected))
        });
        let outcome = sending.await.unwrap_or(Err(RedisStoreError::Deadline(deadline)));
        match &outcome {
            Err(error) => {
                if error.is_silence() {
                    self.last_failure.store(Arc::new(error.to_string().into()));
                    self.breaker.failed(self.clock.monotonic());
                } else {
                    self.breaker.succeeded();
                }
                if error.ends_connection()
                    && let Some(used) = used
                {
                    self.ended(&used, error);
                }
            }
            Ok(_) => self.breaker.succeeded(),
        }
        outcome
    }

    /// Tests a connection that was idle. A closed one is dropped before anything is written to it:
    /// a write whose reply is lost may have taken a claim, so it cannot be repeated.
    async fn is_open(&self, connected: &Arc<Connected>) -> bool {
        let idle = millis(self.clock.monotonic()).saturating_sub(connected.answered.load(Ordering::Relaxed));
        if idle < millis(IDLE) {
            return true;
        }
        let mut connection = connected.connection.clone();
        let reply = tokio::time::timeout(self.timeout / 4, self.inspector.ping().send(&mut connection));
        let is_open = match reply.await {
            Ok(answer) => !answer.is_err_and(|error| error.is_silence()),
            Err(_) => false,
        };
        if !is_open {
            tracing::debug!(node = %connected.node, "an idle connection to Redis was closed; another is made");
            self.slots.load().iter().for_each(|(_, slot)| slot.discard(connected));
        }
        is_open
    }

    /// Drops the connections after a failure. A failure on one usually means that all are broken,
    /// so drop them all rather than let each caller find out. A timeout on a borrowed connection is
    /// different: the runtime that drives it may be stalled, and that says nothing about the
    /// others.
    fn ended(&self, used: &Arc<Connected>, error: &RedisStoreError) {
        let slots = self.slots.load();
        let Some((_, holder)) = slots.iter().find(|(_, slot)| slot.holds(used)) else { return };
        if matches!(error, RedisStoreError::Deadline(_)) && !self.slot().holds(used) {
            holder.discard(used);
        } else {
            self.discard_all();
        }
    }

    /// Whether Redis answered the last batch, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.breaker.is_well()
    }

    /// How many connections were made so far. Redis has lost no data while the newest connection
    /// lives. After a loss, every connection has a higher number.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }

    /// Makes a connection for this caller alone.
    pub(super) async fn dedicated(&self) -> Result<MultiplexedConnection, RedisStoreError> {
        let deadline = connect_deadline(self.timeout);
        let made = tokio::time::timeout(deadline, self.connector.connect()).await;
        made.unwrap_or(Err(RedisStoreError::Deadline(deadline))).map(|(_, connection)| connection)
    }

    /// Drops the connections to a former primary, according to the sentinels. An old primary that
    /// is cut off may still answer over them.
    pub(super) async fn follow_primary(&self) -> Result<(), RedisStoreError> {
        let slots = self.slots.load_full();
        let in_use = || slots.iter().filter_map(|(_, slot)| Some((slot, slot.connected.load_full()?)));
        if !self.connector.primary_may_change_unseen() || in_use().next().is_none() {
            return Ok(());
        }
        let primary = tokio::time::timeout(connect_deadline(self.timeout), self.connector.primary()).await;
        let primary = primary.unwrap_or(Err(RedisStoreError::Deadline(self.timeout)))?;
        for (slot, connected) in in_use().filter(|(_, connected)| connected.node != primary) {
            tracing::warn!("the sentinels have made another Redis the primary");
            slot.discard(&connected);
        }
        Ok(())
    }

    /// Drops all connections because the Redis behind them failed its check. The host name may lead
    /// to another Redis by now, while the old one goes on answering over the old connections.
    pub(super) fn distrust(&self) {
        let now = self.clock.monotonic();
        let until = self.trusted_until.load(Ordering::Acquire);
        let (from, to) = (millis(now), millis(now.saturating_add(TRUSTED)));
        if until <= from && self.trusted_until.compare_exchange(until, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.discard_all();
        }
    }

    fn discard_all(&self) {
        self.slots.load().iter().for_each(|(_, slot)| slot.connected.store(None));
    }

    /// The slot of the current runtime.
    fn slot(&self) -> Arc<ConnectionSlot> {
        let runtime_id = Handle::current().id();
        let slot_in = |slots: &[(runtime::Id, Arc<ConnectionSlot>)]| {
            slots.iter().find(|(id, _)| *id == runtime_id).map(|(_, slot)| Arc::clone(slot))
        };
        if let Some(slot) = slot_in(&self.slots.load()) {
            return slot;
        }
        let slot = Arc::new(ConnectionSlot::default());
        self.slots.rcu(|slots| {
            let mut slots = Vec::clone(slots);
            slots.push((runtime_id, Arc::clone(&slot)));
            slots
        });
        // Another thread of the same runtime may have added its slot first.
        slot_in(&self.slots.load()).unwrap_or(slot)
    }

    /// The slot of the newest connection. If that connection is gone, the current runtime's slot,
    /// emptied so that a newer connection gets made in it.
    fn newest(&self) -> Arc<ConnectionSlot> {
        let number = self.connections();
        let is_newest =
            |slot: &ConnectionSlot| slot.connected.load().as_ref().is_some_and(|connected| connected.number == number);
        let newest = self.slots.load().iter().find(|(_, slot)| is_newest(slot)).map(|(_, slot)| Arc::clone(slot));
        newest.unwrap_or_else(|| {
            let slot = self.slot();
            if let Some(older) = slot.connected.load_full() {
                slot.discard(&older);
            }
            slot
        })
    }

    /// The current runtime's connection. While that is being made, the newest connection of another
    /// runtime, so that nobody waits.
    async fn own_or_borrowed(self: &Arc<Self>) -> Result<Arc<Connected>, RedisStoreError> {
        let slot = self.slot();
        if let Some(connected) = slot.connected.load_full() {
            return Ok(connected);
        }
        let slots = self.slots.load_full();
        let others = slots.iter().filter_map(|(_, slot)| slot.connected.load_full());
        let Some(borrowed) = others.max_by_key(|connected| connected.number) else {
            return self.connected(&slot).await;
        };
        if slot.try_begin(self.clock.monotonic()) {
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                let attempt_number = slot.attempts.load(Ordering::Acquire);
                let made = pool.connect(&slot, attempt_number).await;
                slot.finish(made.is_err().then(|| pool.clock.monotonic()));
            });
        }
        Ok(borrowed)
    }

    async fn connected(self: &Arc<Self>, slot: &Arc<ConnectionSlot>) -> Result<Arc<Connected>, RedisStoreError> {
        if let Some(connected) = slot.connected.load_full() {
            return Ok(connected);
        }
        let attempt_number = slot.attempts.load(Ordering::Acquire);
        let (pool, slot) = (Arc::clone(self), Arc::clone(slot));
        // The task finishes even if this caller is dropped, so the next caller finds the
        // connection.
        let attempt = tokio::spawn(async move { pool.connect(&slot, attempt_number).await });
        attempt.await.unwrap_or_else(|_| Err(self.breaker_error()))
    }

    /// Connects once for all callers that wait for `slot`. If that attempt fails, they all get its
    /// error.
    async fn connect(&self, slot: &ConnectionSlot, attempt_number: u64) -> Result<Arc<Connected>, RedisStoreError> {
        let mut last = slot.connecting.lock().await;
        if let Some(connected) = slot.connected.load_full() {
            return Ok(connected);
        }
        // Another caller's attempt failed while this one waited for the lock.
        if slot.attempts.load(Ordering::Acquire) != attempt_number
            && let Some(error) = &*last
        {
            return Err(error.clone());
        }
        let deadline = connect_deadline(self.timeout);
        let made = tokio::time::timeout(deadline, async {
            let (node, mut connection) = self.connector.connect().await?;
            self.inspector.inspect(&mut connection).await?;
            let number = self.connections.fetch_add(1, Ordering::AcqRel) + 1;
            let answered = AtomicU64::new(millis(self.clock.monotonic()));
            Ok(Arc::new(Connected { node, connection, number, answered }))
        });
        let made = made.await.unwrap_or(Err(RedisStoreError::Deadline(deadline)));
        slot.attempts.fetch_add(1, Ordering::AcqRel);
        match &made {
            Ok(connected) => {
                tracing::info!(node = %connected.node, "connected to Redis");
                slot.connected.store(Some(Arc::clone(connected)));
            }
            // Log a repeated error only once.
            Err(error) if last.as_ref() != Some(error) => {
                tracing::warn!(error = %error, "no connection to Redis")
            }
            Err(_) => {}
        }
        *last = made.as_ref().err().cloned();
        made
    }
}
