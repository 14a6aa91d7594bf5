//! Calls of the ledger that a request waits for.

use std::sync::Arc;

use sts_store::{
    Acceptance, EarlierUse, Entry, Issued, Lease, Ledger, LedgerFuture, Listing, ReplayClaim, Revocation, RuleId,
    RuledEntries, StatusMark, TakenClaim, TokenRecord, Warning,
};
use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

use super::Traces;
use super::span::{Attribute, SpanKind};

/// A ledger whose calls are traced.
pub(crate) struct TracedLedger {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) traces: Arc<Traces>,
    /// The kind of database, by its name in OpenTelemetry's conventions; `None` for the embedded store.
    pub(crate) system: Option<&'static str>,
}

impl TracedLedger {
    fn traced<'a, T: Send + 'a>(&self, name: &'static str, work: LedgerFuture<'a, T>) -> LedgerFuture<'a, T> {
        let kind = if self.system.is_some() { SpanKind::Client } else { SpanKind::Internal };
        let attributes = self.system.map(|system| Attribute::text("db.system.name", system)).into_iter().collect();
        let Some(call) = self.traces.call(name, kind, attributes) else { return work };
        Box::pin(async move {
            let outcome = work.await;
            if outcome.is_ok() {
                call.succeeded();
            }
            outcome
        })
    }
}

impl Ledger for TracedLedger {
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        self.traced("store.issue", self.ledger.issue(record, claims))
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.traced("store.take_claim", self.ledger.take_claim(claim, by))
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.traced("store.find_claim", self.ledger.find_claim(key))
    }

    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>> {
        self.traced("store.look_up", self.ledger.look_up(jti))
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        self.traced("store.look_up_all", self.ledger.look_up_all(jtis))
    }

    fn look_up_with_rules(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, RuledEntries> {
        self.traced("store.look_up_with_rules", self.ledger.look_up_with_rules(jtis))
    }

    fn place(&self, parent: Option<&Jti>, claims: &dyn Fn() -> Vec<ReplayClaim>) -> Option<u8> {
        self.ledger.place(parent, claims)
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        self.traced("store.revoke", self.ledger.revoke(revocation))
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        self.traced("store.undo_rule", self.ledger.undo_rule(id))
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        self.traced("store.rules", self.ledger.rules())
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        self.traced("store.last_end", self.ledger.last_end())
    }

    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        self.traced("store.list", self.ledger.list(listing))
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        self.traced("store.ready", self.ledger.ready())
    }

    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize> {
        self.traced("store.sweep", self.ledger.sweep(now))
    }

    fn lease(&self, shard: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease> {
        self.traced("store.lease", self.ledger.lease(shard, window, count))
    }

    fn lease_era(&self, shard: Option<u8>) -> u64 {
        self.ledger.lease_era(shard)
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        self.traced("store.status", self.ledger.status())
    }

    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        self.traced("store.revoked_since", self.ledger.revoked_since(seen))
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        self.traced("store.accept_epoch", self.ledger.accept_epoch())
    }
}
