//! Tokens that were verified lately: a projected token is presented again and again for an hour, and its signature does not change.
//!
//! Lock-free and bounded: a fixed table, in which a token has one place and takes it from whoever has it. A token is found by all of
//! its text, so that nothing which differs in one octet is taken for it. What is remembered is that a key of an issuer entry verified
//! it; the times are judged anew each time, and it is for the caller to see that the entry still has that key.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use sts_jose::VerifyingKey;
use sts_types::{EntryName, Issuer, UnixTime};

use crate::registered::TokenFault;
use crate::verified::{Evidence, VerifiedClaims};

/// How many tokens have a place.
const PLACES: usize = 2048;
/// The longest token that is remembered, in bytes: platforms' have half of it.
const LONGEST: usize = 4096;

/// The tokens that are remembered, verified by the rules of one snapshot.
pub struct Remembered {
    places: Box<[ArcSwapOption<Held>]>,
    /// Keyed, so that nobody can choose tokens that have one place.
    hasher: RandomState,
}

struct Held {
    token: Box<str>,
    evidence: Arc<Evidence>,
}

impl Remembered {
    /// What is remembered of exactly this `token`.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<RememberedToken> {
        let held = self.place(token)?.load();
        let held = held.as_ref().filter(|held| *held.token == *token)?;
        Some(RememberedToken(Arc::clone(&held.evidence)))
    }

    /// Remembers that `token` is the one whose claims were verified.
    pub fn remember(&self, token: &str, verified: &VerifiedClaims) {
        if token.len() <= LONGEST
            && let Some(place) = self.place(token)
        {
            place.store(Some(Arc::new(Held { token: token.into(), evidence: Arc::clone(verified.evidence()) })));
        }
    }

    /// Forgets the tokens that have expired at `now`.
    pub fn forget_dead(&self, now: UnixTime) {
        for place in &self.places {
            let held = place.load();
            if held.as_ref().is_some_and(|held| held.evidence.judge_times(now) == Err(TokenFault::Expired)) {
                place.compare_and_swap(held, None);
            }
        }
    }

    fn place(&self, token: &str) -> Option<&ArcSwapOption<Held>> {
        let hash = self.hasher.hash_one(token);
        self.places.get(usize::try_from(hash % PLACES as u64).ok()?)
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(), hasher: RandomState::new() }
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

/// A token that a key verified once.
pub struct RememberedToken(Arc<Evidence>);

impl RememberedToken {
    /// The issuer entry whose key verified it.
    #[must_use]
    pub fn entry(&self) -> &EntryName {
        &self.0.trust.entry
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// The key that verified it.
    #[must_use]
    pub fn key(&self) -> &Arc<VerifyingKey> {
        &self.0.key
    }

    /// Judges the times at `now`, as for a token that is seen for the first time.
    ///
    /// # Errors
    /// The [`TokenFault`] of a token out of its time.
    pub fn judge(self, now: UnixTime) -> Result<VerifiedClaims, TokenFault> {
        self.0.judge_times(now)?;
        Ok(VerifiedClaims::of(self.0))
    }
}
