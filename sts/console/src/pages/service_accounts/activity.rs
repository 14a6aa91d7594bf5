//! What an account did lately, and which of its tokens are alive.

use sts_api::{Denial, DenialPage, DenialQuery, Token, TokenPage, TokenQuery, TokenState};
use sts_types::UnixTime;

use crate::ApiError;
use crate::page_request::PageRequest;
use crate::pages::frame::Section;
use crate::pages::pieces::{Badge, Tone, segment};

/// Rows of a list on an account's page.
const SHOWN: usize = 10;

/// The last decisions about an account, newest first.
#[derive(Debug)]
pub(crate) struct Activity {
    pub(crate) rows: Vec<DecisionRow>,
    /// All of its refusals.
    pub(crate) denials_path: String,
}

/// One decision.
#[derive(Debug)]
pub(crate) struct DecisionRow {
    pub(crate) time: UnixTime,
    pub(crate) outcome: Badge,
    /// What was granted, or why not.
    pub(crate) what: String,
    /// The refusal's page.
    pub(crate) path: Option<String>,
    /// The subject, or the credential.
    pub(crate) by: String,
}

impl Activity {
    pub(super) async fn of_account(request: &PageRequest, account: &str) -> Result<Self, ApiError> {
        let query = DenialQuery { account: Some(account.to_owned()), limit: Some(SHOWN), ..DenialQuery::default() };
        let denied: DenialPage = request.get(format!("/denials?{}", query.to_query())).await?;
        let query = TokenQuery { account: Some(account.to_owned()), limit: Some(SHOWN), ..TokenQuery::default() };
        let granted: TokenPage = request.get(format!("/tokens?{}", query.to_query())).await?;
        let mut rows: Vec<DecisionRow> = denied.items.iter().map(DecisionRow::of_denial).collect();
        rows.extend(granted.tokens.iter().map(DecisionRow::of_token));
        rows.sort_by_key(|row| std::cmp::Reverse(row.time));
        rows.truncate(SHOWN);
        let query = DenialQuery { account: Some(account.to_owned()), ..DenialQuery::default() };
        let path = format!("{}?{}", Section::Denials.path(), query.to_query());
        Ok(Self { rows, denials_path: path })
    }
}

impl DecisionRow {
    fn of_denial(denial: &Denial) -> Self {
        let page = format!("{}/{}", Section::Denials.path(), segment(denial.request_id.as_str()));
        Self {
            time: denial.time,
            outcome: Badge { tone: Tone::Bad, word: "Refused" },
            what: denial.summary.clone(),
            path: Some(page),
            by: denial.subject.clone().unwrap_or_default(),
        }
    }

    fn of_token(token: &Token) -> Self {
        Self {
            time: token.iat,
            outcome: Badge { tone: Tone::Good, word: "Granted" },
            what: format!("{} {}", token.api, token.scope),
            path: None,
            by: proven_by(token),
        }
    }
}

/// The subject of the ID token, or the API key.
fn proven_by(token: &Token) -> String {
    match (&token.federated, &token.credential) {
        (Some(proof), _) => proof.subject.to_string(),
        (None, Some(credential)) => format!("API key {}", credential.id),
        (None, None) => String::new(),
    }
}

/// A token that is alive.
#[derive(Debug)]
pub(crate) struct TokenRow {
    pub(crate) jti: String,
    pub(crate) api: String,
    pub(crate) scope: String,
    pub(crate) identity: String,
    pub(crate) by: String,
    pub(crate) expires_at: UnixTime,
}

/// The live tokens of an account, newest first, and whether there are more.
pub(super) async fn live_tokens(request: &PageRequest, account: &str) -> Result<(Vec<TokenRow>, bool), ApiError> {
    let query = TokenQuery {
        account: Some(account.to_owned()),
        state: Some(TokenState::Active),
        limit: Some(SHOWN),
        ..TokenQuery::default()
    };
    let page: TokenPage = request.get(format!("/tokens?{}", query.to_query())).await?;
    let row = |token: &Token| TokenRow {
        jti: token.jti.to_string(),
        api: token.api.to_string(),
        scope: token.scope.to_string(),
        identity: token.federated.as_ref().map(|proof| proof.identity.to_string()).unwrap_or_default(),
        by: proven_by(token),
        expires_at: token.exp,
    };
    Ok((page.tokens.iter().map(row).collect(), page.next.is_some()))
}
