//! Why a token would be granted or refused, without exchanging it: the same steps as the exchange, up to the decision.

use serde::Serialize;
use sts_policy::{Asked, Decision, Facts, Outcome, RequestError};
use sts_types::{ClaimSet, Clock, EntryName, Issuer, UnixTime};

use crate::exchange::verify;
use crate::reason::{Reason, Refused};
use crate::{Service, Snapshot};

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
        let text = refused.detail.unwrap_or(refused.reason.description());
        Self {
            verdict: "refused",
            reason: Some(refused.reason.name()),
            summary: format!("refused: {}: {text}", refused.reason.name()),
            judged_at,
            issuer_entry: entry,
            grant: None,
            decision: None,
        }
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
            let mut entry = None;
            match verify(snapshot, clock, token, &mut entry).await {
                Ok(verified) => (verified.entry().clone(), verified.claims().clone()),
                Err(refused) => return Explanation::refused(&refused, entry, now),
            }
        }
        Presented::Claims(claims) => match entry_of(snapshot, &claims) {
            Some(entry) => (entry, claims),
            None => return Explanation::refused(&Reason::IssuerUnknown.into(), None, now),
        },
    };
    if !snapshot.rules.knows_audience(&entry, &claims) {
        return Explanation::refused(&Reason::TokenAudience.into(), Some(entry.to_string()), now);
    }
    let decision = snapshot.rules.explain(Facts { entry: &entry, claims: &claims, now }, &requested);
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
        summary: sts_policy::summary(&snapshot.rules, &requested, &decision),
        judged_at: now,
        issuer_entry: Some(entry.to_string()),
        grant,
        decision: Some(decision),
    }
}

/// The entry that unsigned claims are taken to be of: the first of their `iss`. Which of several entries signed only a
/// signature can tell.
fn entry_of(snapshot: &Snapshot, claims: &ClaimSet) -> Option<EntryName> {
    let issuer = Issuer::new(claims.text("iss")?).ok()?;
    snapshot.trust.entries(&issuer).first().map(|trust| trust.entry.clone())
}
