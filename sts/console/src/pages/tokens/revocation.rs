//! A revocation by rule: what it would end is counted before it is done.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use sts_api::{Coverage, RevocationRequest, Revoked};

use super::counted;
use crate::form::Form;
use crate::page_request::PageRequest;
use crate::pages::form_fields::Field;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::ProblemView;
use crate::{ApiError, ApiRequest, Method, PageError};

/// The fields of a rule that the page has: id, label, help.
const FIELDS: [(&str, &str, &str); 7] = [
    ("account", "Service account", "Its username or id."),
    ("identity", "Identity", "The name of an identity."),
    ("issuer", "Issuer", "The name of an issuer entry."),
    ("subject", "Subject", "A pattern: repo:octo-org/octo-repo:**"),
    ("api_key", "API key", "The id of an API key."),
    ("issuer_kid", "Issuer's key", "The kid of the issuer's key that verified the ID tokens."),
    ("kid", "Signing key", "The kid of our key that signed the tokens."),
];

#[derive(Debug, Template)]
#[template(path = "revoke_tokens.html")]
struct Revocation {
    frame: Frame,
    fields: Vec<Field>,
    reason: Field,
    /// What the rule would end; `None` where there is no rule yet, or it is refused.
    coverage: Option<Coverage>,
    problem: Option<ProblemView>,
}

impl Revocation {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Revoke tokens by rule"
    }

    fn ends(&self) -> Option<String> {
        self.coverage.map(counted)
    }

    /// Whether the rule would end nothing.
    fn is_empty(&self) -> bool {
        self.coverage.is_some_and(|coverage| coverage.covered == Some(0) && !coverage.at_least)
    }

    /// What the button does.
    fn button(&self) -> String {
        match self.coverage.and_then(|coverage| Some((coverage.covered?, coverage.at_least))) {
            Some((1, false)) => "Revoke 1 token".to_owned(),
            Some((count, false)) => format!("Revoke {count} tokens"),
            Some((count, true)) => format!("Revoke at least {count} tokens"),
            None => "Revoke tokens".to_owned(),
        }
    }
}

/// The values of the fields.
type Values = Vec<(&'static str, String)>;

/// `GET /console/revoke-tokens`: what the rule in the query string would end.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let sent: Vec<(String, String)> = url::form_urlencoded::parse(request.query().as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let value = |id: &str| sent.iter().find(|(name, _)| name == id).map(|(_, value)| value.trim().to_owned());
    let values = values(&|id| value(id).unwrap_or_default());
    page(&request, StatusCode::OK, values, &value("reason").unwrap_or_default(), None).await
}

/// `POST /console/revoke-tokens`.
pub(super) async fn revoke(request: PageRequest) -> Result<HttpResponse, PageError> {
    let form: Form = request.form()?;
    let values = values(&|id| form.trimmed(id).to_owned());
    let reason = form.trimmed("reason");
    match send(&request, &values, reason, false).await {
        Ok(revoked) => {
            let rule = revoked.revocation.and_then(|revocation| revocation.id).unwrap_or_default();
            let notice = format!("Revoked {}, by the rule {rule}.", counted(revoked.coverage));
            Ok(request.done("/console/revocation-rules", &notice))
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("Nothing was revoked.", &error.told, &[]);
            page(&request, status, values, reason, Some(problem)).await
        }
    }
}

fn values(value: &dyn Fn(&str) -> String) -> Values {
    FIELDS.iter().map(|(id, ..)| (*id, value(id))).collect()
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    values: Values,
    reason: &str,
    refused: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let is_rule = values.iter().any(|(_, value)| !value.is_empty());
    let tried = match is_rule {
        true => Some(send(request, &values, reason, true).await),
        false => None,
    };
    let (coverage, problem) = match tried {
        Some(Ok(revoked)) => (Some(revoked.coverage), None),
        Some(Err(error)) => (None, Some(ProblemView::new("The rule is not one.", &error.told, &[]))),
        None => (None, None),
    };
    let fields = FIELDS.iter().zip(&values);
    let page = Revocation {
        frame: request.frame(Section::Tokens),
        fields: fields.map(|((id, label, help), (_, value))| Field::line(id, label, value, *help).optional()).collect(),
        reason: Field::line("reason", "Reason", reason, "Why. It is kept with the rule.").optional(),
        coverage,
        problem: refused.or(problem),
    };
    request.page_with(status, &page)
}

async fn send(request: &PageRequest, values: &Values, reason: &str, dry_run: bool) -> Result<Revoked, ApiError> {
    let value =
        |id: &str| values.iter().find(|(own, value)| *own == id && !value.is_empty()).map(|(_, value)| value.clone());
    let rule = RevocationRequest {
        account: value("account"),
        identity: value("identity"),
        issuer: value("issuer"),
        subject: value("subject"),
        api_key: value("api_key"),
        issuer_kid: value("issuer_kid"),
        kid: value("kid"),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        dry_run,
        ..RevocationRequest::default()
    };
    request.send(ApiRequest::new(Method::Post, "/revocations").with_body(&rule)?).await
}
