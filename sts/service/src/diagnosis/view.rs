//! The facts about a refused request: its token, read without trusting it, and the entries it may
//! belong to.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use sts_claims::{ClaimSet, Json, JsonObject};
use sts_policy::RequestedNames;
use sts_store::EarlierUse;
use sts_token::{ClaimedOrigin, TrustSpec};
use sts_types::{EntryName, Issuers, UnixTime};

use crate::Snapshot;
use crate::issuer_keys::KeysView;
use crate::reason::RefusedError;

/// A refused request. It is diagnosed outside of requests, because a diagnosis may test fixes on
/// the rules.
#[derive(Clone, Copy)]
pub struct RefusedRequest<'a> {
    /// The refusal, as the caller saw it.
    pub refused: &'a RefusedError,
    /// The subject token as presented. Its claims are shown, never trusted.
    pub token: Option<&'a str>,
    /// The issuer entry, once known.
    pub entry: Option<&'a EntryName>,
    /// The verified claims, if verification got that far, or unsigned claims.
    pub claims: Option<&'a ClaimSet>,
    /// The requested account, target and scope.
    pub asked: RequestedNames<'a>,
    /// The time of the verdict.
    pub now: UnixTime,
    /// The earlier use of a one-use token, if known.
    pub earlier_use: Option<&'a EarlierUse>,
}

impl std::fmt::Debug for RefusedRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefusedRequest")
            .field("refused", &self.refused)
            .field("entry", &self.entry)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The longest token value to show, in characters.
const MAX_SHOWN: usize = 200;
/// The longest registered name or time as text, with some spare room, in characters.
const MAX_NAME: usize = 24;

/// The token under diagnosis.
pub(super) struct TokenView<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) request: &'a RefusedRequest<'a>,
    pub(super) header: Option<JsonObject>,
    pub(super) claims: Option<Cow<'a, ClaimSet>>,
    /// The issuer or trust domain that it claims.
    origin: Option<ClaimedOrigin>,
    /// The entries it may belong to: the known one, or those of its `iss` or trust domain.
    pub(super) entries: Vec<Arc<TrustSpec>>,
    /// How many faults of the token were found and fixed before this one.
    pub(super) depth: u8,
}

impl<'a> TokenView<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, request: &'a RefusedRequest<'a>) -> Self {
        let mut parts = request.token.unwrap_or_default().trim().split('.');
        let mut part = || sts_jose::decode_base64url(parts.next()?);
        let header = part().and_then(|bytes| JsonObject::parse(&bytes).ok());
        let payload = part().and_then(|bytes| ClaimSet::parse(&bytes).ok());
        let claims = request.claims.map(Cow::Borrowed).or_else(|| payload.map(Cow::Owned));
        let origin = claims.as_ref().and_then(|claims| ClaimedOrigin::of(claims).ok());
        let mut entries = origin.as_ref().map_or_else(Vec::new, |origin| snapshot.trust.entries_of(origin).to_vec());
        if let Some(known) = request.entry.and_then(|entry| snapshot.trust.entry(entry)) {
            entries = vec![known];
        }
        Self { snapshot, request, header, claims, origin, entries, depth: 0 }
    }

    pub(super) fn now(&self) -> UnixTime {
        self.request.now
    }

    /// A header member that is a text.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.as_ref()?.get(name).and_then(Json::as_str)
    }

    pub(super) fn claim(&self, name: &str) -> Option<Json<'_>> {
        self.claims.as_ref()?.member(name)
    }

    pub(super) fn claim_text(&self, name: &str) -> Option<&str> {
        self.claim(name).and_then(Json::as_str)
    }

    /// A claim for display.
    pub(super) fn shown_claim(&self, name: &str) -> Option<String> {
        self.claim(name).map(|value| shown(&value.to_value()))
    }

    /// A claim that is a time.
    pub(super) fn moment(&self, name: &str) -> Option<i64> {
        let number = self.claim(name)?.as_number()?;
        #[expect(clippy::cast_possible_truncation, reason = "for show: a number out of range saturates")]
        let floored = || number.as_f64().map(|float| float.floor() as i64);
        number.as_i64().or_else(floored)
    }

    /// The token's only possible entry, if there is just one.
    pub(super) fn entry(&self) -> Option<&TrustSpec> {
        match self.entries.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The state of the keys of each entry.
    pub(super) fn keys(&self) -> Vec<(&TrustSpec, KeysView)> {
        let view = |trust: &'_ Arc<TrustSpec>| {
            let issuer = trust.issuer_of(self.origin.as_ref()?)?;
            self.snapshot.keys.view(&trust.entry, issuer)
        };
        self.entries.iter().filter_map(|trust| Some((&**trust, view(trust)?))).collect()
    }

    /// The state of the keys of all other entries with a single issuer.
    pub(super) fn other_keys(&self) -> Vec<(Arc<TrustSpec>, KeysView)> {
        let is_other = |trust: &&Arc<TrustSpec>| self.entries.iter().all(|other| other.entry != trust.entry);
        let view = |trust: &Arc<TrustSpec>| {
            let Issuers::One(issuer) = &trust.issuers else { return None };
            Some((Arc::clone(trust), self.snapshot.keys.view(&trust.entry, issuer)?))
        };
        self.snapshot.trust.all().filter(is_other).filter_map(view).collect()
    }

    /// The entries for a sentence.
    pub(super) fn entry_names(&self) -> String {
        let names: Vec<String> = self.entries.iter().map(|trust| format!("`{}`", trust.entry)).collect();
        match names.as_slice() {
            [one] => format!("issuer entry {one}"),
            _ => format!("issuer entries {}", names.join(" and ")),
        }
    }
}

/// A value as JSON text in ASCII, bounded.
pub(super) fn shown(value: &Value) -> String {
    bounded(&value.to_string())
}

/// A value that has the wrong type or is no registered name. A long text there may be a misplaced
/// secret, and diagnoses are logged, so only its length is shown.
pub(super) fn shown_misfit(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > MAX_NAME => {
            format!("a text of {} characters", text.chars().count())
        }
        _ => shown(value),
    }
}

/// A text as JSON text in ASCII, bounded.
pub(super) fn shown_text(text: &str) -> String {
    shown(&Value::from(text))
}

fn bounded(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => escaped.push(c),
            _ => escaped.extend(c.escape_unicode()),
        }
        if escaped.len() > MAX_SHOWN {
            escaped.truncate(MAX_SHOWN);
            escaped.push_str("...");
            break;
        }
    }
    escaped
}

/// A time for people.
pub(super) fn time(seconds: i64) -> String {
    UnixTime::from_secs(seconds).to_rfc3339().unwrap_or_else(|| format!("{seconds} s since 1970"))
}

/// A duration for people: exact, in the largest unit that divides it, or in two units.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..120 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) && seconds < 7200 => format!("{} min", seconds / 60),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments_read_well() {
        for (seconds, wanted) in [
            (5, "5 s"),
            (120, "2 min"),
            (130, "2 min 10 s"),
            (3600, "1 h"),
            (31_536_000, "8760 h"),
            (90_060, "25 h 1 min"),
            (-60, "60 s"),
        ] {
            assert_eq!(span(seconds), wanted);
        }
        assert_eq!(time(1_790_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(time(i64::MAX), "9223372036854775807 s since 1970");
        assert_eq!(shown_text("a\u{202e}\n"), "\"a\\u{202e}\\n\"");
    }
}
