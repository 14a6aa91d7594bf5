//! An issue whose claims do not all lie in the shard of its record.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Shard, ShardedStore, TakenAside};
use crate::ledger::LedgerError;
use crate::record::{EarlierUse, Issued, ReplayClaim, TakenClaim, TokenRecord, distinct};

impl<S: Shard> ShardedStore<S> {
    /// Takes the claims of other shards first, then issues the record in the shard at `home`. Gives
    /// the claims back if there is no record: then nobody gets the token.
    ///
    /// A process that dies in between leaves claims taken without a token. They are never free for
    /// a second token.
    pub(super) async fn issue_across(
        &self,
        home: usize,
        record: TokenRecord,
        claims: Vec<ReplayClaim>,
    ) -> Result<Issued, LedgerError> {
        let claims = distinct(claims);
        let by = EarlierUse::of(&record);
        // In the order of the shards, so that of two issues with the same claims one gets them all.
        let mut elsewhere: BTreeMap<usize, Vec<ReplayClaim>> = BTreeMap::new();
        for claim in &claims {
            elsewhere.entry(self.index_for(&claim.key)).or_default().push(claim.clone());
        }
        let of_record = elsewhere.remove(&home).unwrap_or_default();
        if !self.shard(home)?.is_well() {
            // Take no claim for a record that has little chance. A look-up finds out whether the
            // shard is back.
            self.ask(home, |shard| shard.look_up(record.jti.clone())).await?;
        }
        let mut held = Vec::with_capacity(elsewhere.len());
        for (index, wanted) in elsewhere {
            match self.ask(index, |shard| shard.take_aside(wanted, by.clone())).await {
                Ok(TakenAside::Held(claims)) => held.push((index, claims)),
                Ok(TakenAside::Replayed(taken)) => {
                    self.give_all_back(held).await;
                    return Ok(Issued::Replayed(self.first_taken(&claims, taken).await));
                }
                Err(error) => {
                    self.give_all_back(held).await;
                    return Err(error);
                }
            }
        }
        let issued = self.ask(home, |shard| shard.issue(record, of_record)).await;
        match issued {
            Ok(Issued::Recorded) => {
                for (index, claims) in held {
                    self.shard(index)?.keep(claims);
                }
                Ok(Issued::Recorded)
            }
            Ok(Issued::Replayed(taken)) => {
                self.give_all_back(held).await;
                Ok(Issued::Replayed(self.first_taken(&claims, taken).await))
            }
            Err(LedgerError::Duplicate) => {
                self.give_all_back(held).await;
                Err(LedgerError::Duplicate)
            }
            // The record may be there. The claims stay with it, as in one shard.
            Err(error) => Err(error),
        }
    }

    async fn give_all_back(&self, held: Vec<(usize, S::Held)>) {
        join_all(held.into_iter().map(async |(index, claims)| {
            if let Err(error) = self.ask(index, |shard| shard.give_back(claims)).await {
                tracing::warn!(%error, "a claim on a one-use token stays taken until it ends; no token came of it");
            }
        }))
        .await;
    }

    /// The first of `claims` that is taken, as an issue in one shard would tell it. `taken` is one of
    /// them, but the shards were not asked in the order of the claims.
    async fn first_taken(&self, claims: &[ReplayClaim], taken: TakenClaim) -> TakenClaim {
        for claim in claims.iter().take_while(|claim| claim.key != taken.key) {
            let found = self.ask(self.index_for(&claim.key), |shard| shard.find_claim(claim.key)).await;
            if let Ok(Some(earlier)) = found {
                return earlier;
            }
        }
        taken
    }
}
