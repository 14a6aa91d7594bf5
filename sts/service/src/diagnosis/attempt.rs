//! Tests a fix before suggesting it: changes the token's claims or its entry, and evaluates again.

use std::sync::Arc;

use sts_claims::{ClaimSet, Json};
use sts_policy::Diagnosis;
use sts_token::TrustSpec;
use sts_types::{EntryName, UnixTime};

use super::view::{RefusedRequest, TokenView};
use crate::reason::{Reason, RefusedError};

/// The most faults of one token to report, one after the other.
const MAX_DEPTH: u8 = 3;

/// A change that may end a refusal.
pub(super) struct Attempt {
    text: String,
    trust: TrustSpec,
    claims: ClaimSet,
}

impl Attempt {
    /// The owner's change of the issuer entry.
    pub(super) fn of_entry(token: &TokenView<'_>, text: String, change: impl FnOnce(&mut TrustSpec)) -> Option<Self> {
        let mut trust = token.entry()?.clone();
        change(&mut trust);
        Some(Self { text, trust, claims: token.claims.as_deref()?.clone() })
    }

    /// The unchanged token, evaluated for this entry.
    pub(super) fn of_named_entry(token: &TokenView<'_>, entry: &EntryName, text: String) -> Option<Self> {
        let trust = token.snapshot.trust.entry(entry)?.as_ref().clone();
        Some(Self { text, trust, claims: token.claims.as_deref()?.clone() })
    }

    /// The caller's change of the token: the new value of each claim, or its removal.
    pub(super) fn of_claims(
        token: &TokenView<'_>,
        text: String,
        changes: &[(&str, Option<serde_json::Value>)],
    ) -> Option<Self> {
        let mut claims = token.claims.as_deref()?.to_map();
        for (name, value) in changes {
            match value {
                Some(value) => claims.insert((*name).to_owned(), value.clone()),
                None => claims.remove(*name),
            };
        }
        Some(Self { text, trust: token.entry()?.clone(), claims: claims.into() })
    }

    /// A token like this one, issued now, with at most this `lifetime`.
    pub(super) fn of_fresh_token(token: &TokenView<'_>, text: String, lifetime: Option<i64>) -> Option<Self> {
        let now = token.now().as_secs();
        let begins = token.moment("iat").or_else(|| token.moment("nbf"));
        let lived = begins.zip(token.moment("exp")).map_or(300, |(begins, exp)| exp.saturating_sub(begins));
        let lives = lived.clamp(1, lifetime.unwrap_or(i64::MAX).max(1));
        let mut changes = vec![("exp", Some(now.saturating_add(lives).into()))];
        let is_there = |name: &&str| token.claim(name).is_some();
        changes.extend(["iat", "nbf"].into_iter().filter(is_there).map(|name| (name, Some(now.into()))));
        Self::of_claims(token, text, &changes)
    }
}

impl Attempt {
    /// Whether nothing else is wrong.
    pub(super) fn suffices(&self, token: &TokenView<'_>) -> bool {
        refusal(token, self, token.now()).is_none()
    }
}

/// Adds every sufficient change to `found`. If none suffices, adds the first one and what else is
/// wrong. If none can be tested, because the entry is not clear or no claim can be read, returns
/// `untried`.
pub(super) fn with_fixes(
    token: &TokenView<'_>,
    found: Diagnosis,
    untried: &str,
    attempts: impl IntoIterator<Item = Option<Attempt>>,
) -> Diagnosis {
    let tried: Vec<(Attempt, Option<Diagnosis>)> = attempts
        .into_iter()
        .flatten()
        .map(|attempt| {
            let rest = rest(token, &attempt);
            (attempt, rest)
        })
        .collect();
    let enough: Vec<&str> =
        tried.iter().filter(|(_, rest)| rest.is_none()).map(|(attempt, _)| attempt.text.as_str()).collect();
    if !enough.is_empty() {
        return found.fix(enough.join(", or "));
    }
    let Some((attempt, Some(rest))) = tried.into_iter().next() else { return found.fix(untried) };
    let cause = format!("{}; that mended, the answer is still {}: {}", found.cause, rest.reason, rest.cause);
    let found = Diagnosis { cause, ..found };
    match rest.fix {
        Some(fix) => found.fix(format!("{}, and then {fix}", attempt.text)),
        None => found,
    }
}

/// What is still wrong after the change. `None` for a grant.
fn rest(token: &TokenView<'_>, attempt: &Attempt) -> Option<Diagnosis> {
    if token.depth >= MAX_DEPTH {
        return None;
    }
    let refused = refusal(token, attempt, token.now())?;
    let request = RefusedRequest {
        refused: &refused,
        token: None,
        entry: Some(&attempt.trust.entry),
        claims: Some(&attempt.claims),
        earlier_use: None,
        ..*token.request
    };
    let mut view = TokenView::of(token.snapshot, &request);
    view.entries = vec![Arc::new(attempt.trust.clone())];
    view.depth = token.depth + 1;
    Some(super::diagnosed(&view))
}

/// The answer of the exchange, without key and signature checks.
fn refusal(token: &TokenView<'_>, attempt: &Attempt, now: UnixTime) -> Option<RefusedError> {
    let Attempt { trust, claims, .. } = attempt;
    if let Err(fault) = sts_token::validate_unsigned_claims(claims, trust, now) {
        return Some(fault.into());
    }
    let rules = &token.snapshot.rules;
    if !rules.knows_audience(&trust.entry, claims) {
        return Some(RefusedError::audience(&token.snapshot.issuer));
    }
    let Ok(requested) = rules.resolve(&token.request.asked) else { return Some(Reason::RequestMalformed.into()) };
    let memberships = &*token.snapshot.memberships;
    let facts = sts_policy::Facts { entry: &trust.entry, claims, now, memberships };
    match rules.decide(facts, &requested) {
        sts_policy::Outcome::Granted(_) => None,
        sts_policy::Outcome::Refused(refusal) => Some(Reason::from(refusal).into()),
    }
}

/// A numeric claim, as it is and in another unit.
pub(super) fn number(token: &TokenView<'_>, name: &str) -> Option<f64> {
    token.claim(name).and_then(Json::as_number).and_then(serde_json::Number::as_f64)
}
