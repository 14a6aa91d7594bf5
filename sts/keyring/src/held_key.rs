//! The life of a signing key: published before it signs, and until its last token has expired.

use std::sync::Arc;

use sts_jose::{Signer, VerifyingKey};
use sts_types::{Algorithm, Kid, UnixTime};

use crate::LEAD;

/// Phase in the life of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPhase {
    /// Published, but not signing yet.
    Next,
    /// Signing new tokens.
    Signing,
    /// Published until its last token has expired.
    Retiring,
}

/// One of our signing keys, with its schedule.
#[derive(Clone)]
pub struct HeldKey {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) verifying: Arc<VerifyingKey>,
    /// When it was created.
    pub created: UnixTime,
    /// When it starts to sign.
    pub signs_from: UnixTime,
    /// When its successor starts to sign.
    pub signs_until: Option<UnixTime>,
    /// When its last token has expired.
    pub published_until: Option<UnixTime>,
    /// Whether it replaces an earlier key of its algorithm.
    pub(crate) succeeds: bool,
    /// Whether its private half is on a device.
    pub(crate) is_on_device: bool,
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldKey")
            .field("created", &self.created)
            .field("signs_from", &self.signs_from)
            .field("signs_until", &self.signs_until)
            .field("published_until", &self.published_until)
            .finish_non_exhaustive()
    }
}

impl HeldKey {
    /// The key's thumbprint.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        self.signer.kid()
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.signer.algorithm()
    }

    /// Its phase at `now`.
    #[must_use]
    pub fn phase(&self, now: UnixTime) -> KeyPhase {
        if now < self.signs_from {
            KeyPhase::Next
        } else if self.signs_until.is_none_or(|until| now < until) {
            KeyPhase::Signing
        } else {
            KeyPhase::Retiring
        }
    }

    pub(crate) fn is_published(&self, now: UnixTime) -> bool {
        self.published_until.is_none_or(|until| now < until)
    }
}

/// The newest key of an algorithm.
pub(crate) fn newest(keys: &[HeldKey], algorithm: Algorithm) -> Option<&HeldKey> {
    keys.iter().rev().find(|key| key.algorithm() == algorithm)
}

/// A key that can sign, before its schedule is known.
pub(crate) struct OpenedKey {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) created: UnixTime,
    pub(crate) is_on_device: bool,
}

/// Computes each key's schedule. Keys of one algorithm sign one after the other, in order of
/// creation.
pub(crate) fn schedule(mut opened: Vec<OpenedKey>, max_ttl: i64) -> Vec<HeldKey> {
    opened.sort_by(|a, b| (a.created, a.signer.kid().as_str()).cmp(&(b.created, b.signer.kid().as_str())));
    let mut keys: Vec<HeldKey> = Vec::with_capacity(opened.len());
    for OpenedKey { signer, created, is_on_device } in opened {
        let before = keys.iter_mut().rev().find(|key| key.algorithm() == signer.algorithm());
        let succeeds = before.is_some();
        let signs_from = match before {
            // The first key of an algorithm signs at once: no verifier relies on an earlier one.
            None => created,
            Some(before) => {
                let from = created.plus(LEAD).max(before.signs_from);
                before.signs_until = Some(from);
                before.published_until = Some(from.plus(max_ttl).plus(LEAD));
                from
            }
        };
        let verifying = Arc::new(signer.verifying_key());
        keys.push(HeldKey {
            signer,
            verifying,
            created,
            signs_from,
            signs_until: None,
            published_until: None,
            succeeds,
            is_on_device,
        });
    }
    keys
}
