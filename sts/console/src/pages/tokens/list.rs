//! The list of tokens.

use actix_web::HttpResponse;
use askama::Template;
use sts_api::{Token, TokenPage, TokenQuery, TokenState};
use sts_types::UnixTime;

use super::{path, state};
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::filters::Filters;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::{Badge, Pager, segment};

/// Shows tokens in every state.
const ANY: &str = "any";

#[derive(Debug, Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    query: TokenQuery,
    state: &'static str,
    states: [(&'static str, &'static str); 5],
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    notes: Vec<String>,
    /// The page that revokes what the filters fit. A rule has the filters but for the API and the state.
    revoke_path: Option<String>,
}

impl Tokens {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// A token in one line.
#[derive(Debug)]
struct Row {
    jti: String,
    path: String,
    account: String,
    account_path: String,
    issuer: String,
    identity: String,
    by: String,
    api: String,
    scope: String,
    issued: UnixTime,
    expires: UnixTime,
    state: Badge,
}

/// `GET /console/tokens`. Without a state, those that are alive.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let mut filters = Filters::read(request.query());
    let wanted = filters.take("state").unwrap_or_else(|| TokenState::Active.name().to_owned());
    let mut query = TokenQuery::from_query(&filters.to_query()).map_err(|error| PageError::Query(error.to_string()))?;
    query.state = TokenState::of(&wanted);
    if query.state.is_none() && wanted != ANY {
        return Err(PageError::Query("`state` is active, expired, revoked, inactive or any".to_owned()));
    }
    let found: TokenPage = request.get(format!("/tokens?{}", query.to_query())).await?;
    let frame = request.frame(Section::Tokens);
    let page = Tokens {
        revoke_path: revoke_path(&query).filter(|_| frame.may_write),
        frame,
        state: query.state.map_or(ANY, TokenState::name),
        states: [
            ("active", "Active"),
            ("expired", "Expired"),
            ("revoked", "Revoked"),
            ("inactive", "Inactive"),
            (ANY, "Any"),
        ],
        is_filtered: shown(&query) != shown(&TokenQuery { state: query.state, ..TokenQuery::default() }),
        rows: found.tokens.iter().map(Row::new).collect(),
        pager: Pager::new(
            Section::Tokens.path(),
            &shown(&query),
            query.after.is_none(),
            found.next.as_ref().map(sts_types::Jti::as_str),
        ),
        notes: found.notes,
        query,
    };
    request.page(&page)
}

/// The query string of this list without its place.
fn shown(query: &TokenQuery) -> String {
    let own = TokenQuery { after: None, ..query.clone() }.to_query();
    match query.state {
        Some(_) => own,
        None if own.is_empty() => format!("state={ANY}"),
        None => format!("{own}&state={ANY}"),
    }
}

/// Where the filters are those that a rule of revocation has.
fn revoke_path(query: &TokenQuery) -> Option<String> {
    let rule = TokenQuery {
        account: query.account.clone(),
        identity: query.identity.clone(),
        issuer: query.issuer.clone(),
        subject: query.subject.clone(),
        ..TokenQuery::default()
    };
    let is_whole = query.api.is_none() && query.issued_after.is_none() && query.issued_before.is_none();
    (is_whole && rule != TokenQuery::default()).then(|| format!("/console/revoke-tokens?{}", rule.to_query()))
}

impl Row {
    fn new(token: &Token) -> Self {
        let jti = token.jti.to_string();
        let account = token.account.to_string();
        let federated = token.federated.as_ref();
        let credential = token.credential.as_ref();
        Self {
            path: path(&jti),
            jti,
            account_path: format!("{}/{}", Section::ServiceAccounts.path(), segment(&account)),
            account,
            issuer: federated.map(|proof| proof.entry.to_string()).unwrap_or_default(),
            identity: federated.map(|proof| proof.identity.to_string()).unwrap_or_default(),
            by: federated
                .map(|proof| proof.subject.to_string())
                .or_else(|| Some(format!("API key {}", credential?.id)))
                .unwrap_or_default(),
            api: token.api.to_string(),
            scope: token.scope.to_string(),
            issued: token.iat,
            expires: token.exp,
            state: state(token),
        }
    }
}
