//! Connections to the primary, one for each runtime that asks: made when it is needed (until then another's does), given up when it is
//! of no more use, made anew without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use redis::aio::MultiplexedConnection;
use sts_types::Clock;
use tokio::runtime::{self, Handle};

use super::batch::{Batch, Replies};
use super::breaker::{Admission, Breaker};
use super::connect::{Connector, connect_deadline};
use super::error::RedisStoreError;
use super::spec::Node;

/// A connection, and to whom.
pub(super) struct Connected {
    pub(super) node: Node,
    connection: MultiplexedConnection,
    /// Its place among all that were made, from 1 on.
    pub(super) number: u64,
    /// Its last answer, in milliseconds of the monotonic clock.
    answered: AtomicU64,
}

/// Silence after which a connection is tried before it is used. Redis (`timeout`) and what stands between close idle
/// connections, Redis after a second at the soonest, and some say nothing of it.
const IDLE: Duration = Duration::from_millis(900);

/// What is to be seen to on a new connection before it is used.
pub(super) trait Inspect: Send + Sync + 'static {
    /// Whether it may be used.
    fn inspect(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> impl Future<Output = Result<(), RedisStoreError>> + Send;

    /// A question that any primary answers, and that changes nothing.
    fn question(&self) -> Batch;
}

/// The way to the primary.
pub(super) struct ConnectionPool<I> {
    connector: Arc<Connector>,
    inspector: Arc<I>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    /// A connection for each runtime that asks: it is driven there, so that as a rule neither question nor answer changes threads. One
    /// without a connection uses another's meanwhile.
    slots: ArcSwap<Vec<(runtime::Id, Arc<ConnectionSlot>)>>,
    breaker: Breaker,
    /// What the breaker opened for.
    last_failure: ArcSwap<Arc<str>>,
    /// Connections so far, of all slots.
    connections: AtomicU64,
    /// Until when nobody is distrusted again, in milliseconds of the monotonic clock.
    trusted_until: AtomicU64,
}

/// How long connections are kept whatever is thought of who answers: a Redis that lost its data is the same over a new one.
const TRUSTED: Duration = Duration::from_secs(5);

/// The connection that something is sent over.
enum ConnectionChoice {
    /// That of the runtime which asks, or another's while it has none.
    Any,
    /// The newest of all.
    Newest,
    /// This one.
    This(Arc<Connected>),
}

/// The place of one connection.
#[derive(Default)]
struct ConnectionSlot {
    connected: ArcSwapOption<Connected>,
    /// Attempts to connect so far, and what became of the last.
    attempts: AtomicU64,
    connecting: tokio::sync::Mutex<Option<RedisStoreError>>,
    /// Whether an attempt is under way that nobody waits for, and until when there is to be no other, in milliseconds of the monotonic
    /// clock.
    begun: AtomicBool,
    pause_until: AtomicU64,
}

/// The pause after an attempt to connect that failed and that nobody waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// A time of the monotonic clock.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ConnectionSlot {
    /// Whether an attempt that nobody waits for is to begin. It must be told when it [ends](Self::ends).
    fn begins(&self, now: Duration) -> bool {
        self.pause_until.load(Ordering::Acquire) <= millis(now) && !self.begun.swap(true, Ordering::AcqRel)
    }

    /// The attempt is over; when it failed, then.
    fn ends(&self, failed: Option<Duration>) {
        if let Some(now) = failed {
            self.pause_until.store(millis(now.saturating_add(PAUSE)), Ordering::Release);
        }
        self.begun.store(false, Ordering::Release);
    }

    fn holds(&self, connection: &Arc<Connected>) -> bool {
        self.connected.load().as_ref().is_some_and(|own| Arc::ptr_eq(own, connection))
    }

    fn give_up(&self, used: &Arc<Connected>) {
        self.connected.compare_and_swap(used, None);
    }
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

    /// Sends `batch`; one reply for each of its commands, before the deadline or not at all.
    pub(super) async fn run(self: &Arc<Self>, batch: Batch) -> Result<Replies, RedisStoreError> {
        self.run_in(ConnectionChoice::Any, batch).await
    }

    /// The same over the newest of all connections: what it answers was true when every other one was there already.
    pub(super) async fn run_on_newest(self: &Arc<Self>, batch: Batch) -> Result<Replies, RedisStoreError> {
        self.run_in(ConnectionChoice::Newest, batch).await
    }

    /// The same over the connection that `replies` came over, or not at all: behind another one may be another Redis, for which what
    /// was answered says nothing.
    pub(super) async fn run_after(
        self: &Arc<Self>,
        replies: &Replies,
        batch: Batch,
    ) -> Result<Replies, RedisStoreError> {
        let over = replies.connected().cloned().ok_or(RedisStoreError::Form)?;
        self.run_in(ConnectionChoice::This(over), batch).await
    }

    /// Sends it over `which` connection, if the breaker lets it pass at all.
    async fn run_in(self: &Arc<Self>, which: ConnectionChoice, batch: Batch) -> Result<Replies, RedisStoreError> {
        match self.breaker.admits(self.clock.monotonic()) {
            Admission::Passes => self.send(which, batch).await,
            Admission::Refused => Err(self.open()),
            // A caller may go away, or be given up for another of his calls that was refused: the probe goes on.
            Admission::Probes => {
                let link = Arc::clone(self);
                let probe = tokio::spawn(async move { link.send(which, batch).await });
                probe.await.unwrap_or_else(|_| Err(self.open()))
            }
        }
    }

    /// Why nothing is sent while the breaker is open.
    fn open(&self) -> RedisStoreError {
        RedisStoreError::Open(Arc::clone(&self.last_failure.load()))
    }

    /// Sends `batch`, and tells the breaker what became of it.
    async fn send(self: &Arc<Self>, which: ConnectionChoice, batch: Batch) -> Result<Replies, RedisStoreError> {
        let mut used = None;
        let sent = tokio::time::timeout(self.timeout, async {
            let connected = match which {
                ConnectionChoice::Any => loop {
                    let connected = self.own_or_lent().await?;
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
                // It has answered a moment ago.
                ConnectionChoice::This(connected) => connected,
            };
            used = Some(Arc::clone(&connected));
            let values = batch.send(&mut connected.connection.clone()).await?;
            connected.answered.store(millis(self.clock.monotonic()), Ordering::Relaxed);
            Ok(Replies::from(values).over(connected))
        });
        let outcome = sent.await.unwrap_or(Err(RedisStoreError::Deadline(self.timeout)));
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

    /// Whether the other side still has a connection that was idle. One that was closed is given up before anything is written to
    /// it: a write whose answer is lost may have taken a claim, so that it cannot be repeated.
    async fn is_open(&self, connected: &Arc<Connected>) -> bool {
        let idle = millis(self.clock.monotonic()).saturating_sub(connected.answered.load(Ordering::Relaxed));
        if idle < millis(IDLE) {
            return true;
        }
        let mut connection = connected.connection.clone();
        let asked = tokio::time::timeout(self.timeout / 4, self.inspector.question().send(&mut connection));
        let is_open = match asked.await {
            Ok(answer) => !answer.is_err_and(|error| error.is_silence()),
            Err(_) => false,
        };
        if !is_open {
            tracing::debug!(node = %connected.node, "an idle connection to Redis was closed; another is made");
            self.slots.load().iter().for_each(|(_, slot)| slot.give_up(connected));
        }
        is_open
    }

    /// What ended one connection has most likely ended all: nobody else is to find that out by a failure of his own. Only the silence of
    /// one that was lent may be that of the runtime which lent it, and says nothing of the others.
    fn ended(&self, used: &Arc<Connected>, error: &RedisStoreError) {
        let slots = self.slots.load();
        let Some((_, holder)) = slots.iter().find(|(_, slot)| slot.holds(used)) else { return };
        if matches!(error, RedisStoreError::Deadline(_)) && !self.slot().holds(used) {
            holder.give_up(used);
        } else {
            self.give_up_all();
        }
    }

    /// How many connections there were. A Redis has lost nothing while the newest lives, and whatever comes after a loss comes over one
    /// that is newer.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }

    /// A connection that is the caller's alone.
    pub(super) async fn apart(&self) -> Result<MultiplexedConnection, RedisStoreError> {
        let within = connect_deadline(self.timeout);
        let made = tokio::time::timeout(within, self.connector.connect()).await;
        made.unwrap_or(Err(RedisStoreError::Deadline(within))).map(|(_, connection)| connection)
    }

    /// Gives the connection up when those who know say that another node is the primary now: an old one that was cut off may still
    /// answer.
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
            slot.give_up(&connected);
        }
        Ok(())
    }

    /// Gives every connection up since who answers is not who is known: a name may lead to another Redis by now, while the one before
    /// goes on answering over what was made to it.
    pub(super) fn distrust(&self) {
        let now = self.clock.monotonic();
        let until = self.trusted_until.load(Ordering::Acquire);
        let (from, to) = (millis(now), millis(now.saturating_add(TRUSTED)));
        if until <= from && self.trusted_until.compare_exchange(until, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.give_up_all();
        }
    }

    fn give_up_all(&self) {
        self.slots.load().iter().for_each(|(_, slot)| slot.connected.store(None));
    }

    /// The slot of the runtime that asks.
    fn slot(&self) -> Arc<ConnectionSlot> {
        let asking = Handle::current().id();
        let of_it = |slots: &[(runtime::Id, Arc<ConnectionSlot>)]| {
            slots.iter().find(|(id, _)| *id == asking).map(|(_, slot)| Arc::clone(slot))
        };
        if let Some(slot) = of_it(&self.slots.load()) {
            return slot;
        }
        let slot = Arc::new(ConnectionSlot::default());
        self.slots.rcu(|slots| {
            let mut slots = Vec::clone(slots);
            slots.push((asking, Arc::clone(&slot)));
            slots
        });
        // Another thread of the same runtime may have been first.
        of_it(&self.slots.load()).unwrap_or(slot)
    }

    /// The slot of the newest connection; when that is gone, the asking runtime's, in which a newer one will be.
    fn newest(&self) -> Arc<ConnectionSlot> {
        let number = self.connections();
        let is_newest =
            |slot: &ConnectionSlot| slot.connected.load().as_ref().is_some_and(|connected| connected.number == number);
        let newest = self.slots.load().iter().find(|(_, slot)| is_newest(slot)).map(|(_, slot)| Arc::clone(slot));
        newest.unwrap_or_else(|| {
            let own = self.slot();
            if let Some(older) = own.connected.load_full() {
                own.give_up(&older);
            }
            own
        })
    }

    /// The connection of the runtime that asks; while that is being made, the newest that another has, which nobody need wait for.
    async fn own_or_lent(self: &Arc<Self>) -> Result<Arc<Connected>, RedisStoreError> {
        let slot = self.slot();
        if let Some(own) = slot.connected.load_full() {
            return Ok(own);
        }
        let slots = self.slots.load_full();
        let others = slots.iter().filter_map(|(_, slot)| slot.connected.load_full());
        let Some(lent) = others.max_by_key(|connected| connected.number) else {
            return self.connected(&slot).await;
        };
        if slot.begins(self.clock.monotonic()) {
            let link = Arc::clone(self);
            tokio::spawn(async move {
                let seen = slot.attempts.load(Ordering::Acquire);
                let made = link.connect(&slot, seen).await;
                slot.ends(made.is_err().then(|| link.clock.monotonic()));
            });
        }
        Ok(lent)
    }

    async fn connected(self: &Arc<Self>, slot: &Arc<ConnectionSlot>) -> Result<Arc<Connected>, RedisStoreError> {
        if let Some(connected) = slot.connected.load_full() {
            return Ok(connected);
        }
        let seen = slot.attempts.load(Ordering::Acquire);
        let (link, slot) = (Arc::clone(self), Arc::clone(slot));
        // Should we be given up meanwhile, the connection is still made, for whoever comes next.
        let attempt = tokio::spawn(async move { link.connect(&slot, seen).await });
        attempt.await.unwrap_or_else(|_| Err(self.open()))
    }

    /// Makes the connection, once for all who want it: who waited for an attempt that failed takes its outcome for his own.
    async fn connect(&self, slot: &ConnectionSlot, seen: u64) -> Result<Arc<Connected>, RedisStoreError> {
        let mut last = slot.connecting.lock().await;
        if let Some(connected) = slot.connected.load_full() {
            return Ok(connected);
        }
        if slot.attempts.load(Ordering::Acquire) != seen
            && let Some(error) = &*last
        {
            return Err(error.clone());
        }
        let within = connect_deadline(self.timeout);
        let made = tokio::time::timeout(within, async {
            let (node, mut connection) = self.connector.connect().await?;
            self.inspector.inspect(&mut connection).await?;
            let number = self.connections.fetch_add(1, Ordering::AcqRel) + 1;
            let answered = AtomicU64::new(millis(self.clock.monotonic()));
            Ok(Arc::new(Connected { node, connection, number, answered }))
        });
        let made = made.await.unwrap_or(Err(RedisStoreError::Deadline(within)));
        slot.attempts.fetch_add(1, Ordering::AcqRel);
        match &made {
            Ok(connected) => {
                tracing::info!(node = %connected.node, "connected to Redis");
                slot.connected.store(Some(Arc::clone(connected)));
            }
            Err(error) if last.as_ref() != Some(error) => {
                tracing::warn!(error = %error, "no connection to Redis")
            }
            Err(_) => {}
        }
        *last = made.as_ref().err().cloned();
        made
    }
}
