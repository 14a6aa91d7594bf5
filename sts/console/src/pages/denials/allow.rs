//! The change of an identity that would allow a refused request, with its effect, and the button that makes it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};
use sts_api::{Denial, DenialDraft, DraftKind, IdentityDraft, WrittenIdentity};

use super::{api_path, path};
use crate::page_request::PageRequest;
use crate::pages::effect::EffectView;
use crate::pages::form_fields::Field;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::{ProblemView, segment, text};
use crate::{ApiError, ApiRequest, Method, PageError};

#[derive(Debug, Template)]
#[template(path = "allow.html")]
struct Allow {
    frame: Frame,
    path: String,
    subject: String,
    summary: String,
    instead: Option<String>,
    draft: Option<Draft>,
    problem: Option<ProblemView>,
}

impl Allow {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Allow this"
    }
}

/// The change as the page shows it.
#[derive(Debug)]
struct Draft {
    own: IdentityDraft,
    account_path: String,
    /// Whether the identity is a new one.
    is_new: bool,
    rows: Vec<(String, String)>,
    effect: Option<EffectView>,
    /// Whether the session may make it here.
    is_possible: bool,
    name: Field,
    /// The identity as JSON, for the button.
    document: String,
}

/// `GET /console/denials/{request_id}/allow`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let id = request.parameter("request_id");
    let drafted: DenialDraft = request.get(format!("{}/draft", api_path(&id))).await?;
    let name = drafted.draft.as_ref().map(|draft| draft.identity.clone()).unwrap_or_default();
    page(&request, StatusCode::OK, drafted, &name, None).await
}

/// `POST /console/denials/{request_id}/allow`: makes the change that the page showed.
pub(super) async fn make(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, id) = (request.form()?, request.parameter("request_id"));
    let document: Map<String, Value> = serde_json::from_str(form.field("document")).map_err(|_| PageError::NotAForm)?;
    let is_new = form.field("kind") == DraftKind::Add.name();
    let (account, name) = (form.field("account"), form.trimmed("name"));
    let mut draft = document;
    if is_new {
        draft.insert("name".to_owned(), name.into());
    }
    let written = text(draft.get("name"));
    match request.send::<WrittenIdentity>(write(account, is_new, &draft, form.field("etag"), false)).await {
        Ok(_) => {
            let account_path = account_path(account);
            let done = if is_new { "Added" } else { "Changed" };
            Ok(request.done(&account_path, &format!("{done} the identity {written}. Such requests are allowed now.")))
        }
        Err(error) => {
            let drafted: DenialDraft = request.get(format!("{}/draft", api_path(&id))).await?;
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let fields = [("/name".to_owned(), "name".to_owned())];
            let problem = ProblemView::new("The identity was not written.", &error.told, &fields);
            page(&request, status, drafted, name, Some(problem)).await
        }
    }
}

/// The request that writes the identity.
fn write(account: &str, is_new: bool, document: &Map<String, Value>, etag: &str, is_dry_run: bool) -> ApiRequest {
    let all = format!("/service-accounts/{}/identities", segment(account));
    let query = if is_dry_run { "?dry_run=true" } else { "" };
    let body = Value::Object(document.clone());
    if is_new {
        return ApiRequest { body, ..ApiRequest::new(Method::Post, format!("{all}{query}")) };
    }
    let one = format!("{all}/{}{query}", segment(&text(document.get("name"))));
    ApiRequest { body, ..ApiRequest::new(Method::Put, one).if_match(etag) }
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    drafted: DenialDraft,
    name: &str,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let id = request.parameter("request_id");
    let denial: Denial = request.get(api_path(&id)).await?;
    let frame = request.frame(Section::Denials);
    let (draft, refused) = match drafted.draft {
        None => (None, None),
        Some(own) => {
            let (draft, refused) = Draft::tried(request, own, frame.may_write, name, problem.as_ref()).await;
            (Some(draft), refused)
        }
    };
    let page = Allow {
        frame,
        path: path(&id),
        subject: denial.subject.unwrap_or_default(),
        summary: denial.summary,
        instead: drafted.instead,
        draft,
        problem: problem.or(refused),
    };
    request.page_with(status, &page)
}

impl Draft {
    /// The draft with its effect, or with why it cannot be made.
    async fn tried(
        request: &PageRequest,
        own: IdentityDraft,
        may_write: bool,
        name: &str,
        problem: Option<&ProblemView>,
    ) -> (Self, Option<ProblemView>) {
        let is_new = own.kind == DraftKind::Add;
        let is_here = may_write && own.file.is_none();
        let etag = own.etag.clone().unwrap_or_default();
        let tried = match is_here {
            true => Some(request.send(write(&own.account, is_new, &own.document, &etag, true)).await),
            false => None,
        };
        let (effect, refused): (Option<EffectView>, Option<ApiError>) = match tried {
            Some(Ok(WrittenIdentity::DryRun(dry_run))) => (Some(EffectView::new(&dry_run)), None),
            Some(Ok(_)) | None => (None, None),
            Some(Err(error)) => (None, Some(error)),
        };
        let error = problem.and_then(|problem| problem.about("name"));
        let draft = Self {
            account_path: account_path(&own.account),
            is_new,
            rows: rows(&own.document),
            effect,
            is_possible: is_here && refused.is_none(),
            name: Field::line("name", "Name", name, "The identity's name. Tokens and logs have it.").with_error(error),
            document: Value::Object(own.document.clone()).to_string(),
            own,
        };
        (draft, refused.map(|error| ProblemView::new("It cannot be made now.", &error.told, &[])))
    }
}

fn account_path(account: &str) -> String {
    format!("{}/{}", Section::ServiceAccounts.path(), segment(account))
}

/// The members of the identity, those of blocks by their own names.
fn rows(document: &Map<String, Value>) -> Vec<(String, String)> {
    let shown = |(key, value): (&String, &Value)| match value.as_object() {
        Some(members) => members.iter().map(|(name, value)| (name.clone(), text(Some(value)))).collect(),
        None => vec![(key.clone(), text(Some(value)))],
    };
    document.iter().filter(|(key, _)| *key != "name").flat_map(shown).collect()
}
