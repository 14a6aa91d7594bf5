//! Explains why a token would be granted or refused, without exchanging it. It takes the same steps
//! as the exchange, up to the decision.

use serde::Serialize;
use sts_claims::ClaimSet;
use sts_policy::{Decision, Diagnosis, Facts, GivenTeam, Outcome, RequestError, RequestedNames};
use sts_store::{EarlierUse, TakenClaim};
use sts_token::{ClaimedOrigin, TokenRuleError, TrustSpec, VerifiedClaims};
use sts_types::{Clock, Digest256, EntryName, TeamName, UnixTime};

use crate::Snapshot;
use crate::diagnosis::{RefusedRequest, diagnose};
use crate::grant::{Progress, verify};
use crate::reason::{Reason, RefusedError};

/// The input.
pub enum Presented<'a> {
    /// A token, to be verified as in the exchange.
    Token(&'a str),
    /// Unsigned claims. Everything but key and signature is checked.
    Claims {
        /// The claims.
        claims: ClaimSet,
        /// The issuer entry whose key would have signed them. Needed if several entries share the
        /// `iss`.
        entry: Option<&'a str>,
    },
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

/// The explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `granted` or `refused`.
    pub verdict: &'static str,
    /// The verdict with its cause, in one line.
    pub summary: String,
    /// Why it is refused: `reason`, `cause`, `claim`, `actual`, `expected`, `fix`.
    #[serde(flatten)]
    pub diagnosis: Option<Diagnosis>,
    /// The time of the verdict.
    pub judged_at: UnixTime,
    /// The issuer entry, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// The token that a grant would mint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<WouldMint>,
    /// The decision with its trace, if the rules were evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The claim that the exchange would take on a one-use token. Only the store knows whether it
    /// is free.
    #[serde(skip)]
    pub replay_claim: Option<Digest256>,
}

/// The token that a grant would mint.
#[derive(Clone, Debug, Serialize)]
pub struct WouldMint {
    /// The account's username.
    pub account: String,
    /// `sub`.
    pub sub: String,
    /// The identity that granted.
    pub identity: String,
    /// `aud`.
    pub aud: String,
    /// `scope`.
    pub scope: String,
    /// `groups`.
    pub groups: Vec<TeamName>,
    /// The teams among them that a group gives, with that group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_teams: Vec<GivenTeam>,
    /// Its lifetime, in seconds.
    pub expires_in: u32,
}

/// Why the question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Several entries share the `iss`, and only a signature tells them apart.
    #[error("the issuer entries {} share the `iss` of these claims; name the one whose key signed the token: `--issuer {}`", .0.join(", "), .0.first().map_or("ENTRY", |name| name.trim_matches('`')))]
    SharedIssuer(Vec<String>),
    /// The named entry does not exist, or is disabled.
    #[error("there is no issuer entry `{name}` that is enabled{}", .nearest.as_ref().map_or(String::new(), |name| format!("; write `{name}`")))]
    UnknownEntry {
        /// The name in the question.
        name: String,
        /// The most similar existing name.
        nearest: Option<String>,
    },
    /// The claims have another issuer than the named entry.
    #[error("the `iss` of these claims is {iss}, and that of issuer entry `{entry}` is `{issuer}`")]
    OtherIssuer {
        /// The entry.
        entry: String,
        /// Its issuer.
        issuer: String,
        /// The claims' `iss`.
        iss: String,
    },
}

impl Explanation {
    fn refused(diagnosis: Diagnosis, entry: Option<String>, judged_at: UnixTime) -> Self {
        Self {
            verdict: "refused",
            summary: diagnosis.line(),
            diagnosis: Some(diagnosis),
            judged_at,
            issuer_entry: entry,
            grant: None,
            decision: None,
            replay_claim: None,
        }
    }

    /// Whether it would be granted.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.diagnosis.is_none()
    }
}

/// Explains what the exchange would answer under `snapshot` at `clock`. `taken` is the claim on the
/// token if it was used.
///
/// # Errors
/// If the question names no entry where it must, or a wrong one.
pub async fn explain(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    presented: Presented<'_>,
    asked: &RequestedNames<'_>,
    taken: Option<&TakenClaim>,
) -> Result<Explanation, ExplainError> {
    let now = clock.now();
    match presented {
        Presented::Token(token) => Ok(explain_token(snapshot, clock, token, asked, now, taken).await),
        Presented::Claims { claims, entry } => explain_claims(snapshot, &claims, entry, asked, now),
    }
}

/// Explains a token.
async fn explain_token(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    asked: &RequestedNames<'_>,
    now: UnixTime,
    taken: Option<&TakenClaim>,
) -> Explanation {
    let mut progress = Progress::since(clock.monotonic());
    match verify(snapshot, clock, token, &mut progress).await {
        Ok(verified) => {
            let claims = Explained { token: Some(token), entry: verified.entry(), claims: verified.claims() };
            let decided = decide(snapshot, claims, asked, now);
            spend(snapshot, decided, &verified, claims, asked, taken)
        }
        Err(refused) => {
            let entry = progress.entry();
            let request = RefusedRequest {
                refused: &refused,
                token: Some(token),
                entry,
                claims: None,
                asked: *asked,
                now,
                earlier_use: None,
            };
            Explanation::refused(diagnose(snapshot, &request), entry.map(ToString::to_string), now)
        }
    }
}

/// Explains unsigned claims.
fn explain_claims(
    snapshot: &Snapshot,
    claims: &ClaimSet,
    entry: Option<&str>,
    asked: &RequestedNames<'_>,
    now: UnixTime,
) -> Result<Explanation, ExplainError> {
    let refuse = |refused: RefusedError, entry: Option<&EntryName>| {
        let claims = Some(claims);
        let request =
            RefusedRequest { refused: &refused, token: None, entry, claims, asked: *asked, now, earlier_use: None };
        Explanation::refused(diagnose(snapshot, &request), entry.map(ToString::to_string), now)
    };
    let trust = match entry {
        Some(name) => named_entry(snapshot, claims, name)?,
        None => {
            let origin = match ClaimedOrigin::of(claims) {
                Ok(origin) => origin,
                Err(fault) => return Ok(refuse(fault.into(), None)),
            };
            match snapshot.trust.entries_of(&origin) {
                [] if matches!(origin, ClaimedOrigin::TrustDomain(_)) => {
                    return Ok(refuse(TokenRuleError::NO_ISSUER.into(), None));
                }
                [] => return Ok(refuse(Reason::IssuerUnknown.into(), None)),
                [only] => only.as_ref().clone(),
                several => {
                    return Err(ExplainError::SharedIssuer(
                        several.iter().map(|entry| format!("`{}`", entry.entry)).collect(),
                    ));
                }
            }
        }
    };
    // Claims that somebody wrote by hand to try the rules have no times.
    let fault = match claims.member("exp") {
        Some(_) => sts_token::validate_unsigned_claims(claims, &trust, now).err(),
        None => None,
    };
    let decide = || decide(snapshot, Explained { token: None, entry: &trust.entry, claims }, asked, now);
    match fault {
        None => Ok(decide()),
        // A hand-written set of claims often lacks `iat`. Then the rules decide first.
        Some(fault) if fault == TokenRuleError::NO_ISSUED_AT => {
            let decided = decide();
            Ok(if decided.is_granted() { refuse(fault.into(), Some(&trust.entry)) } else { decided })
        }
        Some(fault) => Ok(refuse(fault.into(), Some(&trust.entry))),
    }
}

/// The entry that the question names.
fn named_entry(snapshot: &Snapshot, claims: &ClaimSet, name: &str) -> Result<TrustSpec, ExplainError> {
    let found = EntryName::new(name).ok().and_then(|name| snapshot.trust.entry(&name));
    let Some(trust) = found else {
        let names: Vec<&str> = snapshot.rules.issuer_entries().map(|entry| entry.name.as_str()).collect();
        let nearest = sts_types::nearest(name, names).map(str::to_owned);
        return Err(ExplainError::UnknownEntry { name: name.escape_debug().take(80).collect(), nearest });
    };
    match claims.text("iss") {
        Some(iss) if !trust.issuers.covers(iss) => Err(ExplainError::OtherIssuer {
            entry: trust.entry.to_string(),
            issuer: trust.issuers.as_str().to_owned(),
            iss: iss.escape_debug().take(200).collect(),
        }),
        _ => Ok(trust.as_ref().clone()),
    }
}

/// Claims and their entry.
#[derive(Clone, Copy)]
struct Explained<'a> {
    token: Option<&'a str>,
    entry: &'a EntryName,
    claims: &'a ClaimSet,
}

/// Explains the decision on claims of one entry.
fn decide(snapshot: &Snapshot, explained: Explained<'_>, asked: &RequestedNames<'_>, now: UnixTime) -> Explanation {
    let Explained { token, entry, claims } = explained;
    let refuse = |refused: RefusedError| {
        let (entry, claims) = (Some(entry), Some(claims));
        let request = RefusedRequest { refused: &refused, token, entry, claims, asked: *asked, now, earlier_use: None };
        diagnose(snapshot, &request)
    };
    let name = Some(entry.to_string());
    if !snapshot.rules.knows_audience(entry, claims) {
        return Explanation::refused(refuse(RefusedError::audience(&snapshot.issuer)), name, now);
    }
    let requested = match snapshot.rules.resolve(asked) {
        Ok(requested) => requested,
        Err(RequestError::TwoAccounts) => {
            let refused =
                RefusedError::because(Reason::RequestMalformed, "`audience` names more than one service account");
            return Explanation::refused(refuse(refused), name, now);
        }
    };
    let facts = Facts { entry, claims, now, memberships: &*snapshot.memberships };
    let decision = snapshot.rules.explain(facts, &requested);
    let (diagnosis, grant) = match &decision.outcome {
        Outcome::Refused(_) => (snapshot.rules.diagnose(facts, asked, &decision), None),
        Outcome::Granted(grant) => (
            None,
            Some(WouldMint {
                account: grant.account.name.to_string(),
                sub: grant.account.id.to_string(),
                identity: grant.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
                aud: grant.audience.to_string(),
                scope: grant.scopes.to_string(),
                groups: grant.groups().cloned().collect(),
                given_teams: grant.given_teams.clone(),
                expires_in: grant.lifetime.as_secs(),
            }),
        ),
    };
    Explanation {
        verdict: if grant.is_some() { "granted" } else { "refused" },
        summary: sts_policy::summary(&snapshot.rules, facts, asked, &decision),
        diagnosis,
        judged_at: now,
        issuer_entry: name,
        grant,
        decision: Some(decision),
        replay_claim: None,
    }
}

/// Refuses a grant whose one-use token was used already. The exchange takes that claim last.
fn spend(
    snapshot: &Snapshot,
    decided: Explanation,
    verified: &VerifiedClaims,
    explained: Explained<'_>,
    asked: &RequestedNames<'_>,
    taken: Option<&TakenClaim>,
) -> Explanation {
    let Some(Outcome::Granted(grant)) = decided.decision.as_ref().map(|decision| &decision.outcome) else {
        return decided;
    };
    let key = verified.claim_for(grant).map(|claim| claim.key);
    let now = decided.judged_at;
    // At a time before its use, the token was not used yet.
    let is_earlier = |used: &EarlierUse| i64::try_from(used.at_millis / 1000).is_ok_and(|used| used <= now.as_secs());
    let spent = taken.filter(|taken| Some(taken.key) == key && taken.earlier_use.as_ref().is_none_or(is_earlier));
    let Some(spent) = spent else { return Explanation { replay_claim: key, ..decided } };
    let refused = RefusedError::from(Reason::TokenReplayed);
    let request = RefusedRequest {
        refused: &refused,
        token: explained.token,
        entry: Some(explained.entry),
        claims: Some(explained.claims),
        asked: *asked,
        now,
        earlier_use: spent.earlier_use.as_ref(),
    };
    let refused = Explanation::refused(diagnose(snapshot, &request), Some(explained.entry.to_string()), now);
    Explanation { decision: decided.decision, ..refused }
}
