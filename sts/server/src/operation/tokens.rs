//! Recorded tokens, and what revokes them.

use serde_json::{Value, json};
use sts_service::{ListError, RevocationError, RevocationRequest, TokenQuery, TokenState};
use sts_store::{LedgerError, RuleId};
use sts_types::{Jti, UnixTime};

use super::{AppState, Operation, OperationError, limit, moment, not_found, query, refused};

/// A page of recorded tokens.
pub(super) async fn list(state: &AppState, query: TokenQuery) -> Result<Value, OperationError> {
    let listed = state.service.list_tokens(&state.service.snapshot(), query).await;
    listed.map(|page| json!(page)).map_err(|error| match error {
        ListError::Unavailable(error) => away(&error, "nothing was listed"),
        ListError::Field(..) => refused(&error),
    })
}

pub(super) async fn show(state: &AppState, jti: &str) -> Result<Value, OperationError> {
    let jti = Jti::new(jti).map_err(|error| refused(&error))?;
    let token = state.service.show_token(&state.service.snapshot(), jti).await;
    let token = token.map_err(|error| away(&error, "the token was not looked up"))?;
    token.map(|token| json!(token)).ok_or_else(|| not_found("no live token has that jti"))
}

pub(super) async fn revoke(state: &AppState, request: RevocationRequest, by: &str) -> Result<Value, OperationError> {
    let dry_run = request.dry_run;
    let undone = |text: &dyn std::fmt::Display| format!("{text}; nothing was revoked");
    match state.service.revoke(&state.service.snapshot(), request, by).await {
        Ok(revoked) => {
            if !dry_run {
                tracing::warn!(revocation = %json!(revoked), "revoked");
            }
            Ok(json!(revoked))
        }
        Err(RevocationError::Unavailable(error)) if dry_run => {
            Err(away(&error, "nothing was counted, and nothing was revoked"))
        }
        Err(RevocationError::Unavailable(error)) => Err(away(&error, "nothing was revoked")),
        Err(error @ RevocationError::UnknownToken) => Err(not_found(&undone(&error))),
        Err(RevocationError::UnknownName(name)) => Err(not_found(&format!(
            "{}. If the name is yet to come, set `force` (`--force` on the command line)",
            undone(&name)
        ))),
        Err(error) => Err(refused(&undone(&error))),
    }
}

pub(super) async fn rules(state: &AppState) -> Result<Value, OperationError> {
    let rules = state.service.revocation_rules().await.map_err(|error| away(&error, "nothing was listed"))?;
    Ok(json!({ "revocation_rules": &*rules }))
}

pub(super) async fn undo_rule(state: &AppState, id: &str, by: &str) -> Result<Value, OperationError> {
    let unknown = || not_found("no revocation rule in force has that id; `sts tokens rules list` shows them");
    let id: RuleId = id.parse().map_err(|_| unknown())?;
    let undone = state.service.undo_rule(id).await.map_err(|error| away(&error, "no rule was taken back"))?;
    let undone = undone.ok_or_else(unknown)?;
    tracing::warn!(undone = %json!(undone), %by, "a revocation rule was taken back");
    Ok(json!(undone))
}

fn away(error: &LedgerError, undone: &'static str) -> OperationError {
    tracing::error!(%error, "the store did not answer");
    OperationError::StoreUnavailable(undone)
}

/// The query string of a listing.
pub(super) fn to_query(tokens: &TokenQuery) -> String {
    let text = |value: &Option<String>| value.clone();
    let time = |value: &Option<UnixTime>| value.map(|value| value.to_string());
    let state = tokens.state.and_then(|own| TokenState::ALL.iter().find(|(_, state)| *state == own));
    query(&[
        ("account", text(&tokens.account)),
        ("identity", text(&tokens.identity)),
        ("issuer", text(&tokens.issuer)),
        ("subject", text(&tokens.subject)),
        ("api", text(&tokens.api)),
        ("issued_after", time(&tokens.issued_after)),
        ("issued_before", time(&tokens.issued_before)),
        ("state", state.map(|(name, _)| (*name).to_owned())),
        ("after", text(&tokens.after)),
        ("limit", tokens.limit.map(|limit| limit.to_string())),
    ])
}

/// The listing that a query string asks for.
pub(super) fn from_query(query: &str) -> Result<Operation, String> {
    const KNOWN: &str = "account, identity, issuer, subject, api, issued_after, issued_before, state, after and limit";
    let mut tokens = TokenQuery::default();
    let mut seen = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) {
            return Err(format!("`{name}` is given twice"));
        }
        let text = || Some(value.clone().into_owned());
        match &*name {
            "account" => tokens.account = text(),
            "identity" => tokens.identity = text(),
            "issuer" => tokens.issuer = text(),
            "subject" => tokens.subject = text(),
            "api" => tokens.api = text(),
            "after" => tokens.after = text(),
            "issued_after" => tokens.issued_after = Some(moment("issued_after", &value)?),
            "issued_before" => tokens.issued_before = Some(moment("issued_before", &value)?),
            "state" => {
                let state = TokenState::ALL.iter().find(|(name, _)| *name == value);
                let state = state.ok_or("`state` is active, expired, revoked or inactive")?;
                tokens.state = Some(state.1);
            }
            "limit" => tokens.limit = Some(limit(&value)?),
            _ => return Err(format!("tokens are listed by {KNOWN}")),
        }
        seen.push(name);
    }
    Ok(Operation::ListTokens(Box::new(tokens)))
}

/// The revocation that a body, and `dry_run` in the query string, ask for.
pub(super) fn revocation(query: &str, body: &Value) -> Result<Operation, String> {
    const FORM: &str = "a revocation is an object of jti, account, identity, issuer, subject, api_key, issuer_kid, kid, \
                        generation and reason (strings), claim (an object of patterns, NAME=PATTERN, or a list of these), before (epoch \
                        seconds, or RFC 3339), force and dry_run (booleans); nothing was revoked";
    let mut request: RevocationRequest = serde_json::from_value(body.clone()).map_err(|_| FORM.to_owned())?;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("dry_run", "true") => request.dry_run = true,
            ("dry_run", "false") => {}
            _ => {
                return Err(
                    "the only query parameter here is `dry_run`, `true` or `false`; nothing was revoked".to_owned()
                );
            }
        }
    }
    Ok(Operation::Revoke(Box::new(request)))
}
