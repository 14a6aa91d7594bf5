//! What operators do with recorded tokens: list, show, revoke by jti or by rule, remove a rule, and
//! withdraw the key that signed them.

mod key_withdrawal;
mod listing;
mod names;
mod request;
mod scan;

use std::sync::Arc;

use sts_keyring::Keyring;
use sts_policy::Pattern;
use sts_store::{Entry, Ledger, LedgerError, Revocation, RevocationRule, RevocationScope, RuleId};
use sts_types::{AccountId, ApiKeyId, Clock, Jti, TokenRecord, UnixTime};

pub use key_withdrawal::{KeyWithdrawal, WithdrawalError};
pub use listing::{ListError, TokenPage, TokenQuery, TokenState, TokenView};
pub use names::UnknownName;
pub use request::RevocationRequest;

use crate::Snapshot;
use crate::rules_in_force::{Coverage, RulesInForce, covers_alone};
use crate::standing::Ancestry;
use crate::status::PublishedLists;
use listing::account_id;
use names::NamedObjects;
use scan::Scanned;

/// The longest reason to store, in octets.
const MAX_REASON: usize = 1024;

/// The result of a revocation.
#[derive(Debug)]
pub struct Revoked {
    /// The revocation as recorded. `None` for a dry run.
    pub revocation: Option<Revocation>,
    /// How many tokens it ends, or would end.
    pub coverage: CoveredTokens,
    /// Whether nothing was revoked.
    pub dry_run: bool,
}

/// A removed rule.
#[derive(Debug)]
pub struct UndoneRule {
    /// The rule as it was recorded.
    pub undone: Revocation,
    /// How many tokens it covered that nothing else revokes.
    pub coverage: CoveredTokens,
}

/// A number of unexpired tokens that nothing else has revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoveredTokens {
    /// `None` if the store stopped answering before they were counted.
    pub covered: Option<usize>,
    /// Whether there may be more, because the time limit was reached.
    pub at_least: bool,
}

/// Why a revocation is refused. Nothing was revoked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevocationError {
    /// It would cover every token.
    #[error(
        "name what to revoke: jti, account, identity, issuer, subject, api_key, issuer_kid, kid, generation or claim"
    )]
    NoField,
    /// The token of that `jti` does not match the other fields.
    #[error("the token of that jti does not fit the other fields")]
    OtherToken,
    /// An invalid field.
    #[error("`{0}` is not usable: {1}")]
    Field(&'static str, String),
    /// No such token.
    #[error("no live token has that jti")]
    UnknownToken,
    /// An unknown name.
    #[error("{0}")]
    UnknownName(UnknownName),
    /// It would cover tokens that are issued in the future.
    #[error(
        "`before` is {before}, and now it is {now}: a rule covers only what was issued already. Leave `before` out to \
         cover every token recorded by now"
    )]
    Future {
        /// The given time, RFC 3339.
        before: String,
        /// The server's clock, RFC 3339.
        now: String,
    },
    /// The ledger did not answer.
    #[error("{0}")]
    Unavailable(#[from] LedgerError),
}

/// What operators do with recorded tokens.
pub(crate) struct TokenAdmin {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<RulesInForce>,
    pub(crate) published: Arc<PublishedLists>,
}

impl TokenAdmin {
    /// The revocation rules in force, oldest first, each with its author, time and reason.
    ///
    /// # Errors
    /// The ledger's error.
    pub(crate) async fn revocation_rules(&self) -> Result<Arc<[Revocation]>, LedgerError> {
        self.ledger.rules().await
    }

    /// Records a revocation for `by`, or counts what it would cover.
    ///
    /// # Errors
    /// See [`RevocationError`].
    pub(crate) async fn revoke(
        &self,
        snapshot: &Snapshot,
        request: RevocationRequest,
        by: &str,
    ) -> Result<Revoked, RevocationError> {
        if let Some(id) = &request.api_key {
            // The answer does not repeat a whole API key from the request.
            ApiKeyId::new(id).map_err(|error| RevocationError::Field("api_key", error.to_string()))?;
        }
        if !request.force {
            let named = NamedObjects {
                account: request.account.as_deref(),
                identity: request.identity.as_deref(),
                issuer: request.issuer.as_deref(),
                api: None,
                api_key: request.api_key.as_deref(),
            };
            if let Some(unknown) = self.unknown_name(snapshot, &named).await? {
                return Err(RevocationError::UnknownName(unknown));
            }
        }
        let revocation = self.drafted(snapshot, &request, by)?;
        match request.jti.as_deref() {
            Some(jti) => self.revoke_token(jti, revocation, request.dry_run).await,
            None => self.make_rule(revocation, request.dry_run).await,
        }
    }

    /// Removes the rule of that id. `None` if no such rule is in force.
    ///
    /// # Errors
    /// The ledger's error. The rule is then still in force.
    pub(crate) async fn undo_rule(&self, id: RuleId) -> Result<Option<UndoneRule>, LedgerError> {
        let Some(undone) = self.ledger.undo_rule(id).await? else { return Ok(None) };
        self.published.rule_made();
        let coverage = match self.ledger.rules().await {
            Ok(others) => self.coverage(&undone, &others).await,
            Err(error) => not_counted(&error),
        };
        Ok(Some(UndoneRule { undone, coverage }))
    }

    async fn revoke_token(
        &self,
        jti: &str,
        mut revocation: Revocation,
        dry_run: bool,
    ) -> Result<Revoked, RevocationError> {
        let jti = Jti::new(jti).map_err(|error| RevocationError::Field("jti", error.to_string()))?;
        let (found, rules) = self.ledger.look_up_with_rules(vec![jti.clone()]).await?;
        let token = found.into_iter().flatten().next().ok_or(RevocationError::UnknownToken)?;
        if !covers_alone(&revocation, &token.record) {
            return Err(RevocationError::OtherToken);
        }
        let is_live = token.revoked.is_none() && self.is_live(&rules, &token.record);
        let coverage = CoveredTokens { covered: Some(usize::from(is_live)), at_least: false };
        if dry_run {
            return Ok(Revoked { revocation: None, coverage, dry_run });
        }
        revocation.scope = RevocationScope::Token(jti);
        revocation.until = token.record.exp;
        let revocation = self.ledger.revoke(revocation).await?;
        self.published.revoked(&token.record);
        Ok(Revoked { revocation: Some(revocation), coverage, dry_run })
    }

    async fn make_rule(&self, mut revocation: Revocation, dry_run: bool) -> Result<Revoked, RevocationError> {
        // Tokens that are revoked already are not counted, even if an earlier copy of this rule
        // revoked them.
        let others = self.ledger.rules().await?;
        if dry_run {
            let coverage = self.try_coverage(&revocation, &others).await?;
            return Ok(Revoked { revocation: None, coverage, dry_run });
        }
        // Tokens may have been minted under a longer `max_ttl` than today's. Cover them to their
        // end.
        let last = self.ledger.last_end().await?;
        revocation.until = last.map_or(revocation.until, |last| last.max(revocation.until));
        let revocation = self.ledger.revoke(revocation).await?;
        self.published.rule_made();
        let coverage = self.coverage(&revocation, &others).await;
        Ok(Revoked { revocation: Some(revocation), coverage, dry_run })
    }

    /// How many tokens `revocation` covers that `others` do not. The revocation is recorded by now,
    /// so a failed count is no failure of it.
    async fn coverage(&self, revocation: &Revocation, others: &Arc<[Revocation]>) -> CoveredTokens {
        self.try_coverage(revocation, others).await.unwrap_or_else(|error| not_counted(&error))
    }

    async fn try_coverage(
        &self,
        revocation: &Revocation,
        others: &Arc<[Revocation]>,
    ) -> Result<CoveredTokens, LedgerError> {
        let (own, rest) = (Coverage::new(revocation), RulesInForce::default());
        let account = match &revocation.scope {
            RevocationScope::Rule(rule) => rule.account.as_deref().and_then(|id| AccountId::new(id).ok()),
            RevocationScope::Token(_) => None,
        };
        let now = self.clock.now();
        let mut covered = 0;
        let count = |entry: Option<(&Entry, &Ancestry)>| {
            let Some((entry, ancestry)) = entry else {
                covered = 0;
                return true;
            };
            let is_ended = |entry: &Entry| entry.revoked.is_some() || rest.covers(others, &entry.record);
            let is_covered = |entry: &Entry| own.covers(&entry.record);
            let record = &entry.record;
            // What ends a token ends those that came from it.
            let is_live = record.exp > now && !is_ended(entry) && !ancestry.any(record, is_ended);
            covered += usize::from(is_live && (is_covered(entry) || ancestry.any(record, is_covered)));
            true
        };
        let scanned = self.scan_records(account.as_ref(), count).await?;
        Ok(CoveredTokens { covered: Some(covered), at_least: scanned == Scanned::OutOfTime })
    }

    fn is_live(&self, rules: &Arc<[Revocation]>, record: &TokenRecord) -> bool {
        record.exp > self.clock.now() && !self.rules.covers(rules, record)
    }

    /// Turns `request` into a rule, and refuses it if it is invalid by itself.
    fn drafted(
        &self,
        snapshot: &Snapshot,
        request: &RevocationRequest,
        by: &str,
    ) -> Result<Revocation, RevocationError> {
        if request.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
            return Err(RevocationError::Field("reason", "it is over 1,024 bytes".to_owned()));
        }
        let rule = rule(snapshot, request)?;
        if rule == RevocationRule::default() && request.jti.is_none() {
            return Err(RevocationError::NoField);
        }
        let now = self.clock.now();
        if let Some(before) = request.before.filter(|before| *before > now) {
            return Err(RevocationError::Future { before: rfc3339(before), now: rfc3339(now) });
        }
        Ok(Revocation {
            id: None,
            scope: RevocationScope::Rule(rule),
            before: request.before,
            before_millis: 0,
            order: None,
            shard_orders: Arc::default(),
            at: now,
            by: by.to_owned(),
            reason: request.reason.clone(),
            until: now.plus(i64::from(snapshot.max_ttl)),
        })
    }
}

fn rule(snapshot: &Snapshot, request: &RevocationRequest) -> Result<RevocationRule, RevocationError> {
    let check = |field: &'static str, pattern: &str| {
        Pattern::parse(pattern).map(|_| ()).map_err(|error| RevocationError::Field(field, error.to_string()))
    };
    if let Some(subject) = &request.subject {
        check("subject", subject)?;
    }
    request.claim.values().try_for_each(|pattern| check("claim", pattern))?;
    let account =
        match request.account.as_deref() {
            None => None,
            Some(name) => Some(account_id(snapshot, name).ok_or_else(|| {
                RevocationError::Field("account", format!("`{name}` is neither a username nor an id"))
            })?),
        };
    Ok(RevocationRule {
        account: account.map(|id| id.to_string()),
        identity: request.identity.clone(),
        issuer: request.issuer.clone(),
        subject: request.subject.clone(),
        api_key: request.api_key.clone(),
        issuer_kid: request.issuer_kid.clone(),
        kid: request.kid.clone(),
        generation: request.generation.clone(),
        claim: request.claim.clone(),
    })
}

fn not_counted(error: &LedgerError) -> CoveredTokens {
    tracing::warn!(%error, "the revocation is recorded, and the tokens that it covers could not be counted");
    CoveredTokens { covered: None, at_least: false }
}

/// A time for people.
fn rfc3339(time: UnixTime) -> String {
    time.to_rfc3339().unwrap_or_else(|| time.to_string())
}
