//! Recorded tokens for operators: one, or pages of them.

use std::sync::Arc;

use sts_policy::Pattern;
use sts_store::{Entry, Revocation};
use sts_types::{AccountId, FederatedProof, Jti, TokenRecord, UnixTime};

use super::TokenAdmin;
use super::names::{NamedObjects, UnknownName};
use crate::Snapshot;
use crate::standing::{AncestorFault, Ancestry, supports};

/// The most records in one page.
const MAX_PAGE: usize = 1000;
/// The records of a page without a given limit.
const DEFAULT_PAGE: usize = 100;
/// Records that one request reads to find matches. The next request continues at `next`, so that
/// none takes long.
const MAX_SCAN: usize = 20_000;

/// The state of a recorded token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Active.
    Active,
    /// Its `exp` has passed.
    Expired,
    /// Revoked, by jti or by a rule.
    Revoked,
    /// Its account, identity or issuer entry is gone or disabled.
    Inactive,
}

/// A recorded token for operators.
#[derive(Debug)]
pub struct TokenView {
    /// The record.
    pub record: TokenRecord,
    /// The token's state.
    pub state: TokenState,
    /// Who revoked it, when and why, by jti or by a rule that covers it.
    pub revoked: Option<Revocation>,
}

/// Which tokens to list. All given fields must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// An account's id or username.
    pub account: Option<String>,
    /// An identity's name.
    pub identity: Option<String>,
    /// An issuer entry's name.
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    pub subject: Option<String>,
    /// An API's name.
    pub api: Option<String>,
    /// Issued at this time or later.
    pub issued_after: Option<UnixTime>,
    /// Issued before this time.
    pub issued_before: Option<UnixTime>,
    /// The state of the token.
    pub state: Option<TokenState>,
    /// Continue after this jti.
    pub after: Option<String>,
    /// The most tokens to return.
    pub limit: Option<usize>,
}

/// Tokens, newest first.
#[derive(Debug)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<TokenView>,
    /// The jti to continue after, if there may be more.
    pub next: Option<Jti>,
    /// Why there may be fewer than expected: unknown names in the query, or a forgotten `after`.
    pub notes: Vec<String>,
    /// Whether the record in `after` is forgotten. Then the store cannot tell what follows it.
    pub forgotten: bool,
}

impl TokenPage {
    fn empty(notes: Vec<String>) -> Self {
        Self { tokens: Vec::new(), next: None, notes, forgotten: false }
    }
}

/// The note if the record in `after` is gone.
const FORGOTTEN: &str =
    "the token to go on after is not recorded, or forgotten because it has expired: list again from the start";

/// The note if the state of a token is reported without the rules.
const WITHOUT_RULES: &str = "the configuration does not load: a token of an account, identity or issuer entry that is gone or disabled \
                             is shown as active";

/// Why nothing was listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// An invalid field.
    #[error("`{0}` is not usable: {1}; nothing was listed")]
    Field(&'static str, String),
    /// The ledger did not answer.
    #[error("{0}")]
    Unavailable(#[from] sts_store::LedgerError),
}

/// A query with resolved names and parsed patterns.
struct Filter {
    account: Option<AccountId>,
    subject: Option<Pattern>,
    query: TokenQuery,
}

impl Filter {
    fn fits(&self, token: &TokenView) -> bool {
        let (query, record) = (&self.query, &token.record);
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
        // A token without an ID token at its root has no identity, issuer or subject to match.
        let federated = record.proof.federated();
        let is_of = |wanted: &Option<String>, own: fn(&FederatedProof) -> &str| {
            wanted.is_none() || wanted.as_deref() == federated.map(own)
        };
        is_of(&query.identity, |proof| proof.identity.as_str())
            && is_of(&query.issuer, |proof| proof.entry.as_str())
            && is(&query.api, record.api.as_str())
            && query.issued_after.is_none_or(|from| record.iat >= from)
            && query.issued_before.is_none_or(|before| record.iat < before)
            && query.state.is_none_or(|state| token.state == state)
            && self
                .subject
                .as_ref()
                .is_none_or(|pattern| federated.is_some_and(|proof| pattern.matches(proof.subject.as_str())))
    }
}

impl TokenAdmin {
    /// A page of recorded tokens.
    ///
    /// # Errors
    /// See [`ListError`].
    pub(crate) async fn list_tokens(&self, snapshot: &Snapshot, query: TokenQuery) -> Result<TokenPage, ListError> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let after = query.after.as_deref().map(Jti::new).transpose();
        let mut after = after.map_err(|error| ListError::Field("after", error.to_string()))?;
        let subject = query.subject.as_deref().map(Pattern::parse).transpose();
        let subject = subject.map_err(|error| ListError::Field("subject", error.to_string()))?;
        let mut notes = self.unknown_names(snapshot, &query).await?;
        if !snapshot.has_rules {
            notes.push(WITHOUT_RULES.to_owned());
        }
        let account = match query.account.as_deref() {
            None => None,
            Some(name) => match account_id(snapshot, name) {
                Some(id) => Some(id),
                None => return Ok(TokenPage::empty(notes)),
            },
        };
        let filter = Filter { account, subject, query };
        let rules = self.ledger.rules().await?;
        let (mut tokens, mut scanned) = (Vec::new(), 0);
        // Most lists are full after their first records. Where few records fit, the steps grow.
        let mut step = limit + 1;
        loop {
            step = step.min(MAX_PAGE);
            let Some(page) = self.records_after(filter.account.as_ref(), after, step).await? else {
                notes.push(FORGOTTEN.to_owned());
                return Ok(TokenPage { forgotten: true, ..TokenPage::empty(notes) });
            };
            let is_last = page.len() < step;
            scanned += page.len();
            step *= 4;
            after = page.last().map(|entry| entry.record.jti.clone());
            let ancestry = Ancestry::of(&*self.ledger, page.iter().map(|entry| &entry.record)).await?;
            for entry in page {
                let token = self.view(snapshot, &rules, entry, &ancestry);
                if filter.fits(&token) {
                    tokens.push(token);
                }
                if tokens.len() > limit {
                    // There is at least one more.
                    tokens.truncate(limit);
                    let next = tokens.last().map(|token: &TokenView| token.record.jti.clone());
                    return Ok(TokenPage { tokens, next, notes, forgotten: false });
                }
            }
            if is_last || scanned >= MAX_SCAN {
                let next = after.filter(|_| !is_last);
                return Ok(TokenPage { tokens, next, notes, forgotten: false });
            }
        }
    }

    /// One recorded token.
    ///
    /// # Errors
    /// The ledger's error.
    pub(crate) async fn show_token(
        &self,
        snapshot: &Snapshot,
        jti: Jti,
    ) -> Result<Option<TokenView>, sts_store::LedgerError> {
        let Some(entry) = self.ledger.look_up(jti.clone()).await? else { return Ok(None) };
        let related: Vec<Jti> = std::iter::once(&jti).chain(entry.record.ancestors()).cloned().collect();
        let (_, rules) = self.ledger.look_up_with_rules(related).await?;
        let ancestry = Ancestry::of(&*self.ledger, std::iter::once(&entry.record)).await?;
        Ok(Some(self.view(snapshot, &rules, entry, &ancestry)))
    }

    /// The unknown names in `query`. An empty list alone would not say why it is empty.
    async fn unknown_names(
        &self,
        snapshot: &Snapshot,
        query: &TokenQuery,
    ) -> Result<Vec<String>, sts_store::LedgerError> {
        let named = NamedObjects {
            account: query.account.as_deref(),
            identity: query.identity.as_deref(),
            issuer: query.issuer.as_deref(),
            api: query.api.as_deref(),
            api_key: None,
        };
        let unknown = self.unknown_name(snapshot, &named).await?;
        Ok(unknown.iter().map(UnknownName::to_string).collect())
    }

    fn view(&self, snapshot: &Snapshot, rules: &Arc<[Revocation]>, entry: Entry, ancestry: &Ancestry) -> TokenView {
        let Entry { record, revoked } = entry;
        let now = self.clock.now();
        let fault = ancestry.fault(&record, snapshot, (&self.rules, rules), &*self.keyring, now);
        let is_supported =
            !matches!(fault, Some(AncestorFault::Gone)) && supports(snapshot, &*self.keyring, &record, now);
        let of_ancestor = || match fault {
            Some(AncestorFault::Revoked(revocation)) => Some(*revocation),
            Some(AncestorFault::Gone) | None => None,
        };
        let revoked = revoked.or_else(|| self.rules.covering(rules, &record)).or_else(of_ancestor);
        let state = if record.exp <= now {
            TokenState::Expired
        } else if revoked.is_some() {
            TokenState::Revoked
        } else if is_supported {
            TokenState::Active
        } else {
            TokenState::Inactive
        };
        TokenView { record, state, revoked }
    }
}

/// The id of the account with that username or id. An account that is gone from the configuration
/// may still have records under its id.
pub(super) fn account_id(snapshot: &Snapshot, name: &str) -> Option<AccountId> {
    snapshot.rules.account(name).map(|account| account.id.clone()).or_else(|| AccountId::new(name).ok())
}
