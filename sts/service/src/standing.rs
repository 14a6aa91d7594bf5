//! Whether a recorded token is in force, together with the tokens that it depends on.

use std::collections::HashMap;
use std::sync::Arc;

use sts_jose::VerifyingKeys;
use sts_store::{Entry, Ledger, LedgerError, Revocation};
use sts_types::{Jti, TokenRecord, UnixTime};

use crate::Snapshot;
use crate::introspect::Introspector;
use crate::rules_in_force::RulesInForce;

/// Where a recorded token stands.
pub(crate) enum Standing {
    /// Nothing ends it.
    InForce {
        /// Its record.
        record: Box<TokenRecord>,
        /// The records of the tokens that it depends on.
        ancestors: Vec<TokenRecord>,
    },
    /// There is no record of it, or of a token that it depends on.
    Unknown(Jti),
    /// It is revoked, or a token that it depends on is.
    Revoked {
        /// The token that the revocation covers.
        jti: Jti,
        /// The revocation.
        revocation: Box<Revocation>,
    },
    /// Its account, identity, issuer entry, actor or signing key is gone or disabled, or that of a
    /// token that it depends on.
    Unsupported(Box<TokenRecord>),
}

impl Standing {
    /// The record, if the token is in force.
    pub(crate) fn into_record(self) -> Option<TokenRecord> {
        match self {
            Self::InForce { record, .. } => Some(*record),
            Self::Unknown(_) | Self::Revoked { .. } | Self::Unsupported(_) => None,
        }
    }
}

/// An entry with the rules that the ledger had for it. Those of another look-up may be older for it.
struct RuledEntry {
    entry: Entry,
    rules: Arc<[Revocation]>,
}

impl Introspector {
    /// Where the token of `jti` stands. `parent` is the token that it says it came from, which is
    /// read in the same round trip. The caller has to check that the presented token is the one of
    /// the record.
    ///
    /// # Errors
    /// If the ledger does not answer.
    pub(crate) async fn standing(
        &self,
        snapshot: &Snapshot,
        jti: &Jti,
        parent: Option<&Jti>,
    ) -> Result<Standing, LedgerError> {
        let mut wanted = vec![jti.clone()];
        wanted.extend(parent.filter(|parent| *parent != jti).cloned());
        let mut found = self.look_up(wanted).await?;
        let Some(entry) = found.remove(jti) else { return Ok(Standing::Unknown(jti.clone())) };
        let missing = entry.entry.record.ancestors().filter(|ancestor| !found.contains_key(*ancestor));
        let mut missing: Vec<Jti> = missing.cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            found.extend(self.look_up(missing).await?);
        }
        let now = self.clock.now();
        let mut ancestors = Vec::new();
        for ancestor in entry.entry.record.ancestors() {
            if ancestor == jti {
                // No token comes from itself. Nobody but us could have written such a record.
                return Ok(Standing::Unknown(ancestor.clone()));
            }
            match found.remove(ancestor) {
                Some(entry) => match self.of_entry(snapshot, entry, now) {
                    Ok(record) => ancestors.push(record),
                    Err(standing) => return Ok(standing),
                },
                // One that was met before is sound.
                None if ancestors.iter().any(|record: &TokenRecord| record.jti == *ancestor) => {}
                None => return Ok(Standing::Unknown(ancestor.clone())),
            }
        }
        Ok(match self.of_entry(snapshot, entry, now) {
            Ok(record) => Standing::InForce { record: Box::new(record), ancestors },
            Err(standing) => standing,
        })
    }

    async fn look_up(&self, jtis: Vec<Jti>) -> Result<HashMap<Jti, RuledEntry>, LedgerError> {
        let (found, rules) = self.ledger.look_up_with_rules(jtis).await?;
        let ruled = |entry: Entry| (entry.record.jti.clone(), RuledEntry { entry, rules: Arc::clone(&rules) });
        Ok(found.into_iter().flatten().map(ruled).collect())
    }

    /// Whether the rules support the token of `record`, and we still publish the key that signed it.
    /// What came from a token of a withdrawn key ends with it: whoever holds that key made the token.
    pub(crate) fn supports(&self, snapshot: &Snapshot, record: &TokenRecord, now: UnixTime) -> bool {
        supports(snapshot, &*self.keyring, record, now)
    }

    /// The record of one token, if nothing ends that token by itself.
    fn of_entry(
        &self,
        snapshot: &Snapshot,
        RuledEntry { entry: Entry { record, revoked }, rules }: RuledEntry,
        now: UnixTime,
    ) -> Result<TokenRecord, Standing> {
        if let Some(revocation) = revoked.or_else(|| self.rules.covering(&rules, &record)) {
            return Err(Standing::Revoked { jti: record.jti, revocation: Box::new(revocation) });
        }
        if self.supports(snapshot, &record, now) { Ok(record) } else { Err(Standing::Unsupported(Box::new(record))) }
    }
}

/// Whether the rules support the token of `record`, and we still publish the key that signed it.
pub(crate) fn supports(snapshot: &Snapshot, keys: &impl VerifyingKeys, record: &TokenRecord, now: UnixTime) -> bool {
    keys.verifying_key(&record.kid, now).is_some() && snapshot.supports(record, now)
}

/// The entries of tokens that others depend on, by `jti`.
#[derive(Default)]
pub(crate) struct Ancestry(HashMap<Jti, Entry>);

/// What ends a token through one that it depends on.
pub(crate) enum AncestorFault {
    /// The ancestor is revoked.
    Revoked(Box<Revocation>),
    /// Its record or its signing key is gone, or the rules do not support it any more.
    Gone,
}

impl Ancestry {
    /// The ancestors of `records`, in one round trip if there are any.
    ///
    /// # Errors
    /// If the ledger does not answer.
    pub(crate) async fn of(
        ledger: &dyn Ledger,
        records: impl Iterator<Item = &TokenRecord>,
    ) -> Result<Self, LedgerError> {
        let mut ancestors: Vec<Jti> = records.flat_map(TokenRecord::ancestors).cloned().collect();
        if ancestors.is_empty() {
            return Ok(Self::default());
        }
        ancestors.sort_unstable();
        ancestors.dedup();
        let found = ledger.look_up_all(ancestors).await?;
        Ok(Self(found.into_iter().flatten().map(|entry| (entry.record.jti.clone(), entry)).collect()))
    }

    /// What ends the token of `record` through one that it depends on.
    pub(crate) fn fault(
        &self,
        record: &TokenRecord,
        snapshot: &Snapshot,
        rules: (&RulesInForce, &Arc<[Revocation]>),
        keys: &impl VerifyingKeys,
        now: UnixTime,
    ) -> Option<AncestorFault> {
        let (in_force, list) = rules;
        record.ancestors().find_map(|jti| {
            let Some(Entry { record, revoked }) = self.0.get(jti) else { return Some(AncestorFault::Gone) };
            match revoked.clone().or_else(|| in_force.covering(list, record)) {
                Some(revocation) => Some(AncestorFault::Revoked(Box::new(revocation))),
                None => (!supports(snapshot, keys, record, now)).then_some(AncestorFault::Gone),
            }
        })
    }

    /// Whether an ancestor of `record` fits.
    pub(crate) fn any(&self, record: &TokenRecord, fits: impl Fn(&Entry) -> bool) -> bool {
        record.ancestors().filter_map(|jti| self.0.get(jti)).any(fits)
    }
}
