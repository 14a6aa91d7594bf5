//! A ledger that forgets everything: the server with it shows what a store takes.

use std::sync::Arc;

use sts_store::{Acceptance, EarlierUse, Entry, Issued, Lease, Ledger, LedgerFuture, Listing, ReplayClaim, Revocation};
use sts_store::{RuleId, StatusMark, TakenClaim, TokenRecord, Warning};
use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

pub(crate) struct NoStore;

fn done<'a, T: Send + 'a>(value: T) -> LedgerFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Ledger for NoStore {
    fn issue(&self, _: TokenRecord, _: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        done(Issued::Recorded)
    }

    fn take_claim(&self, _: ReplayClaim, _: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        done(None)
    }

    fn find_claim(&self, _: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        done(None)
    }

    fn look_up(&self, _: Jti) -> LedgerFuture<'_, Option<Entry>> {
        done(None)
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        done(jtis.iter().map(|_| None).collect())
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        done(revocation)
    }

    fn undo_rule(&self, _: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        done(None)
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        done(Arc::from([]))
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        done(None)
    }

    fn list(&self, _: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        done(Vec::new())
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        done(Vec::new())
    }

    fn sweep(&self, _: UnixTime) -> LedgerFuture<'_, usize> {
        done(0)
    }

    fn lease(&self, _: Option<u8>, _: StatusWindow, _: u32) -> LedgerFuture<'_, Lease> {
        done(Lease { first: 0, era: 0 })
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        done(StatusMark::default())
    }

    fn revoked_since<'a>(&'a self, _: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        done(Some(Vec::new()))
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        done(Acceptance::NothingToAccept)
    }
}
