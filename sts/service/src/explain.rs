//! Why a token would be granted or refused, without exchanging it: the same steps as the exchange, up to the decision.

use serde::Serialize;
use sts_claims::ClaimSet;
use sts_policy::{Decision, Diagnosis, Facts, Outcome, RequestError, RequestedNames};
use sts_store::{EarlierUse, LedgerError, TakenClaim};
use sts_token::{ClaimedOrigin, TokenRuleError, TrustSpec, VerifiedClaims};
use sts_types::{Clock, Digest256, EntryName, UnixTime};

use crate::decision_record::DecisionRecord;
use crate::diagnosis::{RefusedRequest, diagnose};
use crate::reason::{Reason, RefusedError};
use crate::verify::verify;
use crate::{Service, Snapshot};

/// What is explained.
pub enum Presented<'a> {
    /// A token, verified as the exchange verifies it.
    Token(&'a str),
    /// Claims that nobody has signed: everything but key and signature is judged.
    Claims {
        /// The claims.
        claims: ClaimSet,
        /// The issuer entry whose key would have signed them; needed where several share the `iss`.
        entry: Option<&'a str>,
    },
}

/// The explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `granted` or `refused`.
    pub verdict: &'static str,
    /// The verdict with its cause, one line.
    pub summary: String,
    /// Why it is refused: `reason`, `cause`, `claim`, `actual`, `expected`, `fix`.
    #[serde(flatten)]
    pub diagnosis: Option<Diagnosis>,
    /// The moment it was judged as of.
    pub judged_at: UnixTime,
    /// The issuer entry, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// What would be minted, when granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<WouldMint>,
    /// The decision with its trace, once the rules were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The claim that the exchange would take on a one-use token. Whether it is free only the store knows.
    #[serde(skip)]
    pub replay_claim: Option<Digest256>,
}

/// What a grant would be minted as.
#[derive(Clone, Debug, Serialize)]
pub struct WouldMint {
    /// The account's username.
    pub account: String,
    /// `sub`.
    pub sub: String,
    /// The identity that decided.
    pub identity: String,
    /// `aud`.
    pub aud: String,
    /// `scope`.
    pub scope: String,
    /// Seconds.
    pub expires_in: u32,
}

/// A question that cannot be answered as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Only a signature tells entries of one `iss` apart.
    #[error("the issuer entries {} share the `iss` of these claims; name the one whose key signed the token: `--issuer {}`", .0.join(", "), .0.first().map_or("ENTRY", |name| name.trim_matches('`')))]
    SharedIssuer(Vec<String>),
    /// The entry that is named does not exist, or is off.
    #[error("there is no issuer entry `{name}` that is enabled{}", .nearest.as_ref().map_or(String::new(), |name| format!("; write `{name}`")))]
    UnknownEntry {
        /// As it was given.
        name: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// The claims are of another issuer than the entry that is named.
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

impl Service {
    /// Explains as of now, under the snapshot in force. Whether a one-use token was used is not asked, see [`Self::find_claim`].
    ///
    /// # Errors
    /// When the question names no entry, or a wrong one.
    pub async fn explain(
        &self,
        presented: Presented<'_>,
        asked: &RequestedNames<'_>,
    ) -> Result<Explanation, ExplainError> {
        explain(&self.snapshot(), &*self.clock, presented, asked, None).await
    }

    /// The claim of that key on a one-use token, `None` while the token is not used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find_claim(&self, key: Digest256) -> Result<Option<TakenClaim>, LedgerError> {
        self.ledger.find_claim(key).await
    }
}

/// Explains what the exchange would answer under `snapshot` at `clock`, where `taken` is the claim on the token if it was used.
///
/// # Errors
/// When the question names no entry, or a wrong one.
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
    let mut record = DecisionRecord::since(clock.monotonic());
    match verify(snapshot, clock, token, &mut record).await {
        Ok(verified) => {
            let claims = Explained { token: Some(token), entry: verified.entry(), claims: verified.claims() };
            let decided = decide(snapshot, claims, asked, now);
            spend(snapshot, decided, &verified, claims, asked, taken)
        }
        Err(refused) => {
            let entry = record.entry.as_ref();
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

/// Explains claims that nobody has signed.
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
                        several.iter().map(|own| format!("`{}`", own.entry)).collect(),
                    ));
                }
            }
        }
    };
    // Claims that were written by hand to ask the rules have no times.
    let fault = match claims.member("exp") {
        Some(_) => sts_token::validate_unsigned_claims(claims, &trust, now).err(),
        None => None,
    };
    let decide = || decide(snapshot, Explained { token: None, entry: &trust.entry, claims }, asked, now);
    match fault {
        None => Ok(decide()),
        // An `iat` is easily left out by hand. The rules have the first word then.
        Some(fault) if fault == TokenRuleError::NO_ISSUED_AT => {
            let decided = decide();
            Ok(if decided.is_granted() { refuse(fault.into(), Some(&trust.entry)) } else { decided })
        }
        Some(fault) => Ok(refuse(fault.into(), Some(&trust.entry))),
    }
}

/// The entry that a question names.
fn named_entry(snapshot: &Snapshot, claims: &ClaimSet, name: &str) -> Result<TrustSpec, ExplainError> {
    let found = EntryName::new(name).ok().and_then(|name| snapshot.trust.entry(&name));
    let Some(trust) = found else {
        let names: Vec<&str> = snapshot.rules.issuer_entries().map(|own| own.name.as_str()).collect();
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

/// Claims with the entry they are of.
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
    let decision = snapshot.rules.explain(Facts { entry, claims, now }, &requested);
    let facts = Facts { entry, claims, now };
    let (diagnosis, grant) = match &decision.outcome {
        Outcome::Refused(_) => (snapshot.rules.diagnose(facts, asked, &decision), None),
        Outcome::Granted(grant) => (
            None,
            Some(WouldMint {
                account: grant.account.name.to_string(),
                sub: grant.account.id.to_string(),
                identity: grant.identity.to_string(),
                aud: grant.audience.to_string(),
                scope: grant.scopes.to_string(),
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

/// What becomes of a decision by the claim that the exchange takes last: a token that was used already is refused.
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
    // Judged as of a moment before its use, it was not used yet.
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
