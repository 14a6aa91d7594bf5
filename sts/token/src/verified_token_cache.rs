//! Cache of verified tokens. Workloads present a projected token again and again for an hour, and
//! its signature does not change.
//!
//! The cache is a lock-free table of fixed size. Each token maps to one place and replaces the
//! token there. Most tokens come once, so the first time only a fingerprint is stored and the
//! second time the token. There are a thousand times more fingerprints than places: a token that
//! comes once a minute is recognised among 10,000 others a second, and these others evict nothing.
//!
//! `cargo bench -p sts-token --bench token_cache` compares it with `moka` on that traffic:
//!
//! | | repeated tokens found | look-up, found | look-up, not found | admission |
//! |---|---:|---:|---:|---:|
//! | this table, 4 MiB beside its tokens | 91 % | 45 ns | 39 ns | 280 ns |
//! | `moka`, as many entries | 0 % | 356 ns | 487 ns | 2,064 ns |
//! | `moka`, 131,072 entries, some 130 MiB | 83 % | 304 ns | 989 ns | 3,637 ns |
//!
//! A fresh token pays for a look-up and an admission. That would be 2.2 % more of an exchange's
//! processor time (101 us) with the small `moka`, 4.3 % with the large one.
//!
//! A lookup compares the whole text, so a token that differs in one octet is never found. A hit
//! proves only that a key of the issuer entry verified the token. Its times are checked again each
//! time, and the caller must check that the entry still has that key.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use sts_jose::VerifyingKey;
use sts_types::{EntryName, Issuer, UnixTime};

use crate::rule_error::TokenRuleError;
use crate::verified::{Evidence, VerifiedClaims};

/// Number of places in the table.
const PLACES: usize = 2048;
/// Size limit of a cached token, in bytes. Platform tokens have half of that.
const LONGEST: usize = 4096;
/// Number of final octets that are hashed: half of the shortest signature.
const HASHED: usize = 43;

/// Cache of tokens that were verified under the rules of one snapshot.
pub struct VerifiedTokenCache {
    places: Box<[Place]>,
    seen_once: Fingerprints,
    /// The hash is keyed, so an attacker cannot choose tokens that share a place.
    hasher: RandomState,
}

#[derive(Default)]
struct Place {
    held: ArcSwapOption<Held>,
}

struct Held {
    token: Box<str>,
    evidence: Arc<Evidence>,
}

impl VerifiedTokenCache {
    /// The cached result for exactly this `token`.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<CachedToken> {
        let (place, _) = self.place(token)?;
        let held = place.held.load();
        let held = held.as_ref().filter(|held| *held.token == *token)?;
        Some(CachedToken(Arc::clone(&held.evidence)))
    }

    /// Stores the verified `token`, if it came before.
    pub fn remember(&self, token: &str, verified: &VerifiedClaims) {
        if token.len() <= LONGEST
            && let Some((place, hash)) = self.place(token)
            && self.seen_once.has_or_add(hash)
        {
            place.held.store(Some(Arc::new(Held { token: token.into(), evidence: Arc::clone(verified.evidence()) })));
        }
    }

    /// Drops the tokens that have expired at `now`.
    pub fn forget_dead(&self, now: UnixTime) {
        for place in &self.places {
            let held = place.held.load();
            if held.as_ref().is_some_and(|held| held.evidence.validate_times(now) == Err(TokenRuleError::Expired)) {
                // Only if it is still the same token: another one may have taken the place.
                place.held.compare_and_swap(held, None);
            }
        }
    }

    /// A token's place and hash. The end of the token is enough: it is part of the signature, and
    /// no two tokens share that.
    fn place(&self, token: &str) -> Option<(&Place, u64)> {
        let end = token.as_bytes().last_chunk::<HASHED>()?;
        let hash = self.hasher.hash_one(end);
        Some((self.places.get(usize::try_from(hash % PLACES as u64).ok()?)?, hash))
    }
}

impl Default for VerifiedTokenCache {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
            seen_once: Fingerprints::default(),
            hasher: RandomState::new(),
        }
    }
}

impl std::fmt::Debug for VerifiedTokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokenCache").finish_non_exhaustive()
    }
}

/// Fingerprints of tokens that were seen, each in one cell, where it replaces another. Two tokens of
/// one cell have the same fingerprint in one of 65,535 cases. Then a token that came once is cached,
/// which costs a place and is no error.
struct Fingerprints {
    /// Allocated when first used, so that an idle server does not pay for them.
    blocks: [OnceLock<Box<[AtomicU16]>>; Self::BLOCKS],
}

impl Fingerprints {
    const BLOCKS: usize = 64;
    /// Cells in a block. All blocks together take 4 MiB.
    const CELLS: usize = 32 * 1024;

    /// Whether the fingerprint of `hash` is in its cell. It is afterwards.
    fn has_or_add(&self, hash: u64) -> bool {
        let [.., high, low] = hash.to_be_bytes().map(usize::from);
        let cell_number = usize::try_from(hash >> 16).unwrap_or(0);
        let block = self.blocks.get((high << 8 | low) % Self::BLOCKS);
        let cells = block.map(|block| block.get_or_init(|| (0..Self::CELLS).map(|_| AtomicU16::new(0)).collect()));
        let Some(cell) = cells.and_then(|cells| cells.get(cell_number % Self::CELLS)) else { return false };
        // The octets that choose neither the block nor the cell. 0 stands for an empty cell.
        let fingerprint = u16::try_from(hash >> 48).unwrap_or(0).max(1);
        cell.swap(fingerprint, Ordering::Relaxed) == fingerprint
    }
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self { blocks: std::array::from_fn(|_| OnceLock::new()) }
    }
}

/// A token that a key verified before.
pub struct CachedToken(Arc<Evidence>);

impl std::fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedToken")
            .field("entry", self.entry())
            .field("issuer", self.issuer())
            .finish_non_exhaustive()
    }
}

impl CachedToken {
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

    /// Checks the times at `now`, as for a new token.
    ///
    /// # Errors
    /// The [`TokenRuleError`] of a token that is expired or not valid yet.
    pub fn validate(self, now: UnixTime) -> Result<VerifiedClaims, TokenRuleError> {
        self.0.validate_times(now)?;
        Ok(VerifiedClaims::of(self.0))
    }
}

#[cfg(test)]
mod tests {
    use sts_jose::{SigningKey, sign_compact};
    use sts_types::Algorithm;

    use super::*;
    use crate::{TrustSpec, UnverifiedToken};

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

    fn verified(key: &SigningKey, number: usize, life: i64) -> (String, VerifiedClaims) {
        let (iat, exp) = (NOW.as_secs(), NOW.as_secs() + life);
        let claims = format!(
            r#"{{"iss":"https://issuer.example","sub":"s","aud":"a","iat":{iat},"exp":{exp},"jti":"{number}"}}"#
        );
        let token = sign_compact(key, "JWT", claims.as_bytes()).unwrap();
        let trust = TrustSpec {
            entry: EntryName::new("ci").unwrap(),
            issuers: Issuer::new("https://issuer.example").unwrap().into(),
            algorithms: vec![Algorithm::EdDSA],
            types: Vec::new(),
            leeway: 60,
            max_token_lifetime: 86_400,
            max_token_age: None,
            require_iat: true,
            trust_domain: None,
            enabled: true,
        };
        let candidates = [(Arc::new(trust), Arc::new(key.verifying_key()))];
        let Ok(signed) = UnverifiedToken::parse(&token).unwrap().check_signature(&candidates) else { panic!() };
        let verified = signed.validate(NOW).unwrap();
        (token, verified)
    }

    #[test]
    fn a_token_is_kept_when_it_comes_for_the_second_time_and_found_by_all_of_its_text() {
        let (key, remembered) = (SigningKey::generate(Algorithm::EdDSA).unwrap(), VerifiedTokenCache::default());
        let (token, claims) = verified(&key, 1, 300);
        remembered.remember(&token, &claims);
        assert!(remembered.find(&token).is_none());
        remembered.remember(&token, &claims);
        let found = remembered.find(&token).unwrap();
        assert_eq!(found.key().thumbprint(), key.verifying_key().thumbprint());
        assert_eq!(found.validate(NOW).unwrap().jti(), claims.jti());
        // The same end, hence the same place.
        assert!(remembered.find(&format!("x{token}")).is_none());
        for short in ["", "x", &token[token.len() - HASHED..]] {
            assert!(remembered.find(short).is_none());
        }
    }

    #[test]
    fn an_expired_token_is_refused_and_forgotten() {
        let (key, remembered) = (SigningKey::generate(Algorithm::EdDSA).unwrap(), VerifiedTokenCache::default());
        let ((short, short_claims), (long, long_claims)) = (verified(&key, 1, 300), verified(&key, 2, 600));
        for _ in 0..2 {
            remembered.remember(&short, &short_claims);
            remembered.remember(&long, &long_claims);
        }
        let later = NOW.plus(360);
        // In one of a thousand runs both tokens share a place.
        if let Some(found) = remembered.find(&short) {
            assert_eq!(found.validate(later).err(), Some(TokenRuleError::Expired));
        }
        remembered.forget_dead(later);
        assert!(remembered.find(&short).is_none());
        assert!(remembered.find(&long).is_some());
    }

    #[test]
    fn a_token_that_comes_once_a_minute_is_cached_among_ten_thousand_others_a_second() {
        let (key, remembered) = (SigningKey::generate(Algorithm::EdDSA).unwrap(), VerifiedTokenCache::default());
        let (token, claims) = verified(&key, 1, 300);
        let projected: Vec<String> = (0..50).map(|number| format!("{token}{number:043}")).collect();
        projected.iter().for_each(|token| remembered.remember(token, &claims));
        for number in 0..600_000 {
            remembered.remember(&format!("{token}f{number:042}"), &claims);
        }
        projected.iter().for_each(|token| remembered.remember(token, &claims));
        let cached = projected.iter().filter(|token| remembered.find(token).is_some()).count();
        // Each of them is overwritten with a probability of a quarter. Fewer than 20 left of 50 is one in ten million.
        assert!(cached >= 20, "{cached} of 50");
    }

    #[test]
    fn however_many_come_no_more_are_kept_than_there_are_places_and_long_ones_never() {
        let (key, remembered) = (SigningKey::generate(Algorithm::EdDSA).unwrap(), VerifiedTokenCache::default());
        let (token, claims) = verified(&key, 1, 300);
        let many = (0..3 * PLACES).map(|number| format!("{token}{number:043}"));
        for token in many.clone() {
            remembered.remember(&token, &claims);
            remembered.remember(&token, &claims);
        }
        let kept = many.filter(|token| remembered.find(token).is_some()).count();
        assert!(kept > PLACES / 2 && kept <= PLACES, "{kept}");
        let long = "x".repeat(LONGEST + 1);
        remembered.remember(&long, &claims);
        remembered.remember(&long, &claims);
        assert!(remembered.find(&long).is_none());
    }
}
