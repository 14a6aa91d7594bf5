//! Why a token would be granted or refused, without exchanging it: the same steps as the exchange, up to the decision.

use serde::Serialize;
use sts_policy::{Asked, Decision, Facts, Outcome, RequestError, Requested};
use sts_types::{ClaimSet, Clock, EntryName, Issuer, UnixTime};

use crate::decision_record::DecisionRecord;
use crate::diagnosis::{RefusedRequest, diagnose};
use crate::reason::{Reason, Refused};
use crate::verify::verify;
use crate::{Service, Snapshot, diagnosis};

/// What is explained.
pub enum Presented<'a> {
    /// A token, verified as the exchange verifies it.
    Token(&'a str),
    /// Claims that nobody has signed: only the decision is explained.
    Claims(ClaimSet),
}

/// The explanation.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `granted` or `refused`.
    pub verdict: &'static str,
    /// The stable reason, when refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The verdict with its cause, one line.
    pub summary: String,
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

impl Explanation {
    fn refused(refused: &Refused, entry: Option<String>, judged_at: UnixTime) -> Self {
        Self {
            verdict: "refused",
            reason: Some(refused.reason.name()),
            summary: format!("refused: {}: {}", refused.reason.name(), refused.text()),
            judged_at,
            issuer_entry: entry,
            grant: None,
            decision: None,
        }
    }
}

impl Explanation {
    /// With what the token has, and what was wanted.
    fn with(mut self, fault: Option<String>) -> Self {
        if let Some(fault) = fault {
            self.summary.push_str("; ");
            self.summary.push_str(&fault);
        }
        self
    }
}

impl Service {
    /// Explains as of now, under the snapshot in force.
    pub async fn explain(&self, presented: Presented<'_>, asked: &Asked<'_>) -> Explanation {
        explain(&self.snapshot(), &*self.clock, presented, asked).await
    }
}

/// Explains what the exchange would answer under `snapshot` at `clock`.
pub async fn explain(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    presented: Presented<'_>,
    asked: &Asked<'_>,
) -> Explanation {
    let now = clock.now();
    let requested = match snapshot.rules.resolve(asked) {
        Ok(requested) => requested,
        Err(RequestError::TwoAccounts) => {
            let refused = Refused::because(Reason::RequestMalformed, "`audience` names more than one service account");
            return Explanation::refused(&refused, None, now);
        }
    };
    let (entry, claims) = match presented {
        Presented::Token(token) => {
            let mut record = DecisionRecord::since(clock.monotonic());
            match verify(snapshot, clock, token, &mut record).await {
                Ok(verified) => (verified.entry().clone(), verified.claims().clone()),
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
                    let diagnosis = diagnose(snapshot, &request);
                    let entry = entry.map(ToString::to_string);
                    return Explanation { summary: diagnosis.line(), ..Explanation::refused(&refused, entry, now) };
                }
            }
        }
        Presented::Claims(claims) => {
            let Some(issuer) = claims.text("iss").and_then(|iss| Issuer::new(iss).ok()) else {
                return Explanation::refused(
                    &Refused::because(Reason::TokenMalformed, "`iss` is not an issuer identifier"),
                    None,
                    now,
                );
            };
            // Which of several entries signed only a signature can tell: the one that grants, else the first.
            let mut first = None;
            for trust in snapshot.trust.entries(&issuer) {
                let explanation = decide(snapshot, &trust.entry, &claims, &requested, now);
                if explanation.grant.is_some() {
                    return explanation;
                }
                first = first.or(Some(explanation));
            }
            return first.unwrap_or_else(|| {
                Explanation::refused(&Reason::IssuerUnknown.into(), None, now)
                    .with(diagnosis::issuer(snapshot, issuer.as_str()))
            });
        }
    };
    decide(snapshot, &entry, &claims, &requested, now)
}

/// Explains the decision on claims of one entry.
fn decide(
    snapshot: &Snapshot,
    entry: &EntryName,
    claims: &ClaimSet,
    requested: &Requested,
    now: UnixTime,
) -> Explanation {
    if !snapshot.rules.knows_audience(entry, claims) {
        let refused = Refused::audience(&snapshot.issuer);
        return Explanation::refused(&refused, Some(entry.to_string()), now).with(diagnosis::audience(claims));
    }
    let decision = snapshot.rules.explain(Facts { entry, claims, now }, requested);
    let (reason, grant) = match &decision.outcome {
        Outcome::Refused(refusal) => (Some(Reason::from(*refusal).name()), None),
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
        reason,
        summary: sts_policy::summary(&snapshot.rules, requested, &decision),
        judged_at: now,
        issuer_entry: Some(entry.to_string()),
        grant,
        decision: Some(decision),
    }
}
