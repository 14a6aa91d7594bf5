//! The rules of revocation in force.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use sts_api::{Revocation, RevocationRules, RevocationScope, UndoneRule};
use sts_types::UnixTime;

use super::counted;
use crate::page_request::PageRequest;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::{ProblemView, segment};
use crate::{ApiRequest, Method, PageError};

const PATH: &str = "/console/revocation-rules";

#[derive(Debug, Template)]
#[template(path = "revocation_rules.html")]
struct Rules {
    frame: Frame,
    rows: Vec<Row>,
    problem: Option<ProblemView>,
}

impl Rules {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Revocation rules"
    }
}

#[derive(Debug)]
struct Row {
    id: String,
    undo_path: String,
    fields: Vec<(String, String)>,
    at: UnixTime,
    by: String,
    reason: String,
    until: UnixTime,
}

/// `GET /console/revocation-rules`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, None).await
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let rules: RevocationRules = request.get("/revocation-rules").await?;
    let rows = rules.revocation_rules.into_iter().rev().map(Row::new).collect();
    request.page_with(status, &Rules { frame: request.frame(Section::Tokens), rows, problem })
}

/// `POST /console/revocation-rules/{id}/undo`.
pub(super) async fn undo(request: PageRequest) -> Result<HttpResponse, PageError> {
    let target = format!("/revocation-rules/{}", segment(&request.parameter("id")));
    match request.send::<UndoneRule>(ApiRequest::new(Method::Delete, target)).await {
        Ok(undone) => Ok(request.done(PATH, &format!("Took the rule back. It covered {}.", counted(undone.coverage)))),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The rule was not taken back.", &error.told, &[]);
            page(&request, status, Some(problem)).await
        }
    }
}

impl Row {
    fn new(own: Revocation) -> Self {
        let id = own.id.unwrap_or_default();
        let mut fields: Vec<(String, String)> = match &own.scope {
            RevocationScope::Token(jti) => vec![("jti".to_owned(), jti.to_string())],
            RevocationScope::Rule(rule) => {
                let texts = [
                    ("account", &rule.account),
                    ("identity", &rule.identity),
                    ("issuer", &rule.issuer),
                    ("subject", &rule.subject),
                    ("api_key", &rule.api_key),
                    ("issuer_kid", &rule.issuer_kid),
                    ("kid", &rule.kid),
                    ("generation", &rule.generation),
                ];
                let own = texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
                own.chain(rule.claim.iter().map(|(name, value)| (format!("claim {name}"), value.clone()))).collect()
            }
        };
        if let Some(before) = own.before {
            fields.push(("before".to_owned(), before.to_rfc3339().unwrap_or_else(|| before.to_string())));
        }
        Self {
            undo_path: format!("{PATH}/{}/undo", segment(&id)),
            id,
            fields,
            at: own.at,
            by: own.by,
            reason: own.reason.unwrap_or_default(),
            until: own.until,
        }
    }
}
