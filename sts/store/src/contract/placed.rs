//! A ledger of several shards under the contract, whose tests name tokens as they like.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex};

use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

use crate::{
    Acceptance, EarlierUse, Entry, Issued, Lease, Ledger, LedgerFuture, Listing, ReplayClaim, Revocation,
    RevocationScope, RuleId, StatusMark, TakenClaim, TokenRecord, Warning,
};

/// The longest `jti`.
const LONGEST: usize = 1024;

/// `text` as a `jti` in that shard.
pub fn jti_in_shard(shard: u8, text: &str) -> Jti {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |index: u8| char::from(DIGITS[usize::from(index)]);
    Jti::new(&format!("{}{}{text}", digit(shard >> 2), digit((shard & 3) << 4))).unwrap()
}

/// `jti` in a shard that follows from it.
fn placed(jti: &Jti, shards: u64) -> Jti {
    let mut hasher = DefaultHasher::new();
    hasher.write(jti.as_str().as_bytes());
    let shard = u8::try_from(hasher.finish() % shards).unwrap();
    let text = jti.as_str();
    // The longest has no room for two letters more.
    jti_in_shard(shard, if text.len() + 2 > LONGEST { &text[2..] } else { text })
}

/// Whether `rule` reaches `record`, which may have the name that a test gave it.
pub(super) fn reaches(rule: &Revocation, record: &TokenRecord) -> bool {
    if rule.shard_orders.is_empty() {
        return rule.reaches(record);
    }
    let jti = placed(&record.jti, rule.shard_orders.len() as u64);
    rule.reaches(&TokenRecord { jti, ..record.clone() })
}

/// Gives each `jti` of the tests a shard that has nothing to do with its claims, so that many issues
/// take claims of other shards.
pub struct Placed {
    ledger: Arc<dyn Ledger>,
    shards: u64,
    /// What the tests call each `jti`.
    names: Mutex<HashMap<Jti, Jti>>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placed").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Placed {
    /// Over a ledger of so many shards.
    pub fn new(ledger: Arc<dyn Ledger>, shards: u64) -> Self {
        Self { ledger, shards, names: Mutex::default() }
    }

    fn place_jti(&self, jti: &Jti) -> Jti {
        let placed = placed(jti, self.shards);
        self.names.lock().unwrap().insert(placed.clone(), jti.clone());
        placed
    }

    fn name(&self, jti: Jti) -> Jti {
        self.names.lock().unwrap().get(&jti).cloned().unwrap_or(jti)
    }

    fn with_name(&self, record: TokenRecord) -> TokenRecord {
        TokenRecord { jti: self.name(record.jti), ..record }
    }

    fn revocation_with_name(&self, revocation: Revocation) -> Revocation {
        let scope = match revocation.scope {
            RevocationScope::Token(jti) => RevocationScope::Token(self.name(jti)),
            scope @ RevocationScope::Rule(_) => scope,
        };
        Revocation { scope, ..revocation }
    }

    fn entry(&self, Entry { record, revoked }: Entry) -> Entry {
        let revoked = revoked.map(|revocation| self.revocation_with_name(revocation));
        Entry { record: self.with_name(record), revoked }
    }
}

impl Ledger for Placed {
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        let jti = self.place_jti(&record.jti);
        self.ledger.issue(TokenRecord { jti, ..record }, claims)
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.ledger.take_claim(claim, by)
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.ledger.find_claim(key)
    }

    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>> {
        let jti = self.place_jti(&jti);
        Box::pin(async move { Ok(self.ledger.look_up(jti).await?.map(|entry| self.entry(entry))) })
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        let jtis = jtis.iter().map(|jti| self.place_jti(jti)).collect();
        Box::pin(async move {
            let found = self.ledger.look_up_all(jtis).await?;
            Ok(found.into_iter().map(|entry| entry.map(|entry| self.entry(entry))).collect())
        })
    }

    fn place(&self, parent: Option<&Jti>, claims: &dyn Fn() -> Vec<ReplayClaim>) -> Option<u8> {
        self.ledger.place(parent, claims)
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        let scope = match &revocation.scope {
            RevocationScope::Token(jti) => RevocationScope::Token(self.place_jti(jti)),
            RevocationScope::Rule(rule) => RevocationScope::Rule(rule.clone()),
        };
        let revocation = Revocation { scope, ..revocation };
        Box::pin(async move { Ok(self.revocation_with_name(self.ledger.revoke(revocation).await?)) })
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        self.ledger.undo_rule(id)
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        self.ledger.rules()
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        self.ledger.last_end()
    }

    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        let after = listing.after.as_ref().map(|jti| self.place_jti(jti));
        let listing = Listing { after, ..listing };
        Box::pin(async move {
            let page = self.ledger.list(listing).await?;
            Ok(page.into_iter().map(|entry| self.entry(entry)).collect())
        })
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        self.ledger.ready()
    }

    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize> {
        self.ledger.sweep(now)
    }

    fn lease(&self, shard: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease> {
        self.ledger.lease(shard, window, count)
    }

    fn lease_era(&self, shard: Option<u8>) -> u64 {
        self.ledger.lease_era(shard)
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        self.ledger.status()
    }

    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        Box::pin(async move {
            let revoked = self.ledger.revoked_since(seen).await?;
            Ok(revoked.map(|records| records.into_iter().map(|record| self.with_name(record)).collect()))
        })
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        self.ledger.accept_epoch()
    }
}
