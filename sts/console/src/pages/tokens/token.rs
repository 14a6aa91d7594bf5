//! One token.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use sts_api::{Revocation, RevocationRequest, Revoked, Token, TokenState};
use sts_types::UnixTime;

use super::{path, state};
use crate::page_request::PageRequest;
use crate::pages::form_fields::Field;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::{Badge, ProblemView, segment};
use crate::{ApiRequest, Method, PageError};

#[derive(Debug, Template)]
#[template(path = "token.html")]
struct TokenView {
    frame: Frame,
    jti: String,
    path: String,
    state: Badge,
    /// Whether there is something to revoke.
    is_live: bool,
    issued: UnixTime,
    expires: UnixTime,
    revoked: Option<Revocation>,
    facts: Vec<(&'static str, String, Option<String>)>,
    claims: Vec<(String, String)>,
    reason: Field,
    problem: Option<ProblemView>,
}

impl TokenView {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Token"
    }
}

/// `GET /console/tokens/{jti}`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, "", None).await
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    reason: &str,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let jti = request.parameter("jti");
    let token: Token = request.get(format!("/tokens/{}", segment(&jti))).await?;
    let page = TokenView {
        frame: request.frame(Section::Tokens),
        path: path(&jti),
        jti,
        state: state(&token),
        is_live: token.state == TokenState::Active,
        issued: token.iat,
        expires: token.exp,
        facts: facts(&token),
        claims: token.claims.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        revoked: token.revoked,
        reason: Field::line("reason", "Reason", reason, "Why. It is kept with the revocation.").optional(),
        problem,
    };
    request.page_with(status, &page)
}

fn facts(token: &Token) -> Vec<(&'static str, String, Option<String>)> {
    let account = token.account.to_string();
    let account_path = format!("{}/{}", Section::ServiceAccounts.path(), segment(&account));
    let mut facts = vec![
        ("Service account", account, Some(account_path)),
        ("API", token.api.to_string(), None),
        ("Audience", token.audience.to_string(), None),
        ("Scope", token.scope.to_string(), None),
    ];
    if let Some(proof) = &token.federated {
        let issuer_path = format!("{}/{}", Section::Issuers.path(), segment(proof.entry.as_str()));
        facts.extend([
            ("Identity", proof.identity.to_string(), None),
            ("Issuer", proof.entry.to_string(), Some(issuer_path)),
            ("Subject", proof.subject.to_string(), None),
        ]);
    }
    if let Some(credential) = &token.credential {
        facts.push(("API key", credential.id.to_string(), None));
    }
    if let Some(ancestry) = &token.ancestry {
        let parent = ancestry.parent.to_string();
        facts.push(("Exchanged for", parent.clone(), Some(path(&parent))));
    }
    facts.extend([
        ("Signing key", token.kid.to_string(), None),
        ("Generation", token.generation.clone(), None),
        ("Request", token.request_id.to_string(), None),
    ]);
    facts
}

/// `POST /console/tokens/{jti}/revoke`.
pub(super) async fn revoke(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, jti) = (request.form()?, request.parameter("jti"));
    let reason = form.trimmed("reason");
    let body = RevocationRequest {
        jti: Some(jti.clone()),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        ..RevocationRequest::default()
    };
    match request.send::<Revoked>(ApiRequest::new(Method::Post, "/revocations").with_body(&body)?).await {
        Ok(_) => Ok(request.done(&path(&jti), "Revoked the token.")),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The token was not revoked.", &error.told, &[]);
            page(&request, status, reason, Some(problem)).await
        }
    }
}
