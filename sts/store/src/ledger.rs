//! The ledger's contract: what both stores promise, and the contract suite in `tests` shows.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

use crate::record::{Entry, Issued, Listing, ReplayClaim, Revocation, RuleId, TakenClaim, TokenRecord};
use crate::warning::Warning;

/// A boxed future, so that the ledger is chosen at run time.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why the ledger could not answer. None of these is ever read as "not recorded" or "not revoked".
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot be reached, or refuses to write (disk full, read-only, I/O error). The text is for the operator's log.
    #[error("the store is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// A record of that jti is there already.
    #[error("a record of that jti is there already")]
    Duplicate,
}

/// The ledger of minted tokens.
pub trait Ledger: Send + Sync + 'static {
    /// Records a token and takes all of `claims` with it, or does none of it: where one of them is taken already, the others stay
    /// free. Answers only once all of it is durable.
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued>;

    /// The claim of that key, `None` when it is free.
    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>>;

    /// The record of `jti`, `None` when there is none, it is dead, or its seal is broken (which raises an alert). It is revoked also
    /// when its revocation is there with a broken seal, which raises an alert: damage must not bring back what was revoked.
    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>>;

    /// Records a revocation, and answers it as it is recorded, with the id and the order of a rule. Answers only once it is
    /// durable. A rule that is made again is the same rule: it then covers what was recorded since, too, unless `before` says
    /// what it covers.
    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation>;

    /// Takes a rule back, and answers it; `None` when no rule of that id is in force. Answers only once it is durable.
    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>>;

    /// The revocation rules in force, oldest first, each with its id.
    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>>;

    /// When the last record there is dies; `None` when there is none. A rule must outlive it.
    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>>;

    /// Lists records.
    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>>;

    /// Whether the store answers and takes writes, with what its operator should hear of all the same; the error says why not.
    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>>;

    /// Forgets what is dead at `now`, in bounded steps that never hold up an issue; answers how many records went.
    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize>;

    /// Takes `count` indexes of `window` for the caller alone. They are taken durably before it answers, so that none is ever given
    /// twice, whoever crashes.
    fn lease(&self, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease>;

    /// The era of leases that is now: indexes of an earlier one are not to be used any more, because the store may have lost that
    /// they were taken, and give them to others.
    fn lease_era(&self) -> u64 {
        0
    }

    /// What status lists are made from beside the records.
    fn status(&self) -> LedgerFuture<'_, StatusMark>;

    /// The records of the tokens that other processes revoked, each alone, since `seen` was the mark; this one's may be among them.
    /// `None` when that cannot be told, so that whoever must know looks at all records.
    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>>;

    /// Takes the store as it is for the ledger from now on, when it has lost something or is another one than was known. An operator
    /// decides this: what was revoked and is forgotten comes back to life.
    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance>;
}

/// Indexes that are the caller's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The first of them.
    pub first: u64,
    /// The era in which they may be used.
    pub era: u64,
}

/// What there is to know before status lists are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusMark {
    /// How many indexes of each window are taken; windows whose tokens are dead are forgotten by a sweep.
    pub leased: BTreeMap<StatusWindow, u64>,
    /// A number that every revocation raises.
    pub revocations: u64,
    /// How many tokens were revoked alone, where several processes share the store.
    pub tokens: u64,
}

/// What came of [`Ledger::accept_epoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// A new epoch has begun.
    Accepted,
    /// The store is the one that is known, with nothing missing.
    NothingToAccept,
}

/// How long after its `exp` a record is still answered, in seconds: a resource server's leeway may honour the token that long, so
/// that long its revocation is worth a look.
const AFTERLIFE: i64 = 60;

/// The last moment at which the record of a token that expires at `exp` is answered; after it the record is dead and may be swept.
pub fn live_until(exp: UnixTime) -> UnixTime {
    exp.plus(AFTERLIFE)
}
