//! The contract of a ledger. Both stores keep it, and the suite in `contract` tests it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

use crate::record::{EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RuleId, TakenClaim, TokenRecord};
use crate::warning::Warning;

/// A boxed future, because the ledger is chosen at run time.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why the ledger failed. No error is ever read as "not recorded" or "not revoked".
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot be reached, or refuses to write (disk full, read-only, I/O error). The text
    /// is for the operator's log.
    #[error("the store is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// Some shards of the store have made a change that all of them have to make. The same request
    /// completes it. The text is for the operator's log.
    #[error("the store did it in part: {0}")]
    InPart(Arc<str>),
    /// The ledger already has a record of that jti.
    #[error("a record of that jti is there already")]
    Duplicate,
}

/// The entries of some tokens, in the order asked for, and the rules that may cover them.
pub type RuledEntries = (Vec<Option<Entry>>, Arc<[Revocation]>);

/// The ledger of minted tokens.
pub trait Ledger: Send + Sync + 'static {
    /// Records a token and takes all of `claims`, or does nothing. If one claim is taken already,
    /// the others stay free. Returns only after everything is durable.
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued>;

    /// Takes a claim that comes without a record, for the request `by`. Of any number of callers, on
    /// any number of servers, exactly one takes it. `None` if it was free, so that it is the caller's
    /// now, durably; otherwise the claim as it stands. After an error it may be taken or not.
    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>>;

    /// The claim of that key. `None` if it is free.
    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>>;

    /// The record of `jti`. `None` if there is none, it has expired, or its seal is broken (which
    /// raises an alert). A revocation with a broken seal counts as a revocation and raises an
    /// alert: damage must not bring a revoked token back.
    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>>;

    /// What [`look_up`](Self::look_up) answers for each of `jtis`, in their order and at one moment.
    /// A remote store is asked for all of them in one round trip.
    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>>;

    /// What [`look_up_all`](Self::look_up_all) answers, and the rules that may cover these records:
    /// every rule that was acknowledged before the call is among them. In a store of several shards,
    /// rules for records of other shards may be older.
    fn look_up_with_rules(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, RuledEntries> {
        Box::pin(async move {
            let found = self.look_up_all(jtis).await?;
            Ok((found, self.rules().await?))
        })
    }

    /// In a store of several shards: the shard for the record of a token that comes from `parent`
    /// and takes `claims`. It has to be the first octet of the token's `jti`. `None` in any other
    /// store.
    fn place(&self, parent: Option<&Jti>, claims: &dyn Fn() -> Vec<ReplayClaim>) -> Option<u8> {
        let _ = (parent, claims);
        None
    }

    /// Records a revocation and returns it as recorded, with the id and the order of a rule.
    /// Returns only after it is durable. Making the same rule again keeps its id. Without `before`,
    /// it then also covers the tokens recorded since.
    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation>;

    /// Removes a rule and returns it. `None` if no rule of that id is in force. Returns only after
    /// that is durable.
    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>>;

    /// The revocation rules in force, oldest first, each with its id.
    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>>;

    /// When the last record expires. `None` if there is no record. A rule must outlive it.
    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>>;

    /// Lists records.
    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>>;

    /// Probes whether the store answers and takes writes. Returns warnings for the operator.
    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>>;

    /// Forgets what has expired at `now`, in small steps that never delay an issue. Returns how
    /// many records went.
    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize>;

    /// Takes `count` indexes of `window`, at most [`STATUS_BLOCK`], for this caller alone. They are
    /// taken durably before it returns, so no crash can give an index out twice. They are for tokens
    /// that [`place`](Self::place) puts into `shard`: a shard that loses its last writes loses the
    /// records together with the lease.
    fn lease(&self, shard: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease>;

    /// The current era of leases for `shard`. Do not use indexes of an earlier era: the store may have
    /// lost the lease and given them to another process.
    fn lease_era(&self, shard: Option<u8>) -> u64 {
        let _ = shard;
        0
    }

    /// The input for status lists besides the records.
    fn status(&self) -> LedgerFuture<'_, StatusMark>;

    /// The records of the tokens that other processes revoked by jti since the mark `seen`. The
    /// caller's own may be among them. `None` if the store cannot tell; then read all records.
    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>>;

    /// Accepts the store as it is, after it has lost something or was replaced by another one. An
    /// operator decides this, because lost revocations come back to life.
    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance>;
}

/// The most indexes of one lease.
pub const STATUS_BLOCK: u32 = 1024;

/// Indexes for one caller alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The first index.
    pub first: u64,
    /// The era in which they may be used.
    pub era: u64,
}

/// The input for new status lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusMark {
    /// How many indexes of each window are taken. A sweep forgets windows whose tokens have all
    /// expired.
    pub leased: BTreeMap<StatusWindow, u64>,
    /// A number that every revocation raises.
    pub revocations: u64,
    /// How many tokens were revoked by jti, in a store that several processes share.
    pub tokens: u64,
    /// The same for each shard, in a store of several.
    pub shards: Vec<StatusMark>,
}

/// The outcome of [`Ledger::accept_epoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// A new epoch has begun.
    Accepted,
    /// The store is complete and the expected one.
    NothingToAccept,
}

/// How many seconds after its `exp` a record is still answered. A resource server may accept the
/// token that long because of its leeway, so its revocation still matters.
const AFTERLIFE: i64 = 60;

/// The last moment at which the record of a token that expires at `exp` is answered. After it, the
/// record may be swept.
pub fn live_until(exp: UnixTime) -> UnixTime {
    exp.plus(AFTERLIFE)
}
