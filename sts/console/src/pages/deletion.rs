//! The page that deletes an object: what that ends, and its name to be typed.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use sts_api::{ApiKeyPage, TokenPage, TokenQuery, TokenState, Written};
use sts_types::ObjectKind;

use super::editing::Editable;
use super::effect::EffectView;
use super::form_fields::{Control, Field};
use super::frame::Frame;
use super::object::{api_path, load, page_path, section};
use super::pieces::ProblemView;
use crate::page_request::PageRequest;
use crate::{ApiError, ApiRequest, Method, PageError};

/// Tokens that are counted at most.
pub(super) const COUNTED: usize = 1000;

/// The object that a deletion page is about.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) etag: String,
    pub(super) noun: &'static str,
    /// What ends with it.
    pub(super) ends: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "delete_object.html")]
pub(super) struct Deletion {
    frame: Frame,
    target: Target,
    effect: Option<EffectView>,
    problem: Option<ProblemView>,
    /// Whether the API would do it.
    is_possible: bool,
    typed: Field,
}

impl Deletion {
    /// The page; with why it was refused, why it is impossible, and what is wrong with the typed name.
    pub(super) fn new(
        frame: Frame,
        target: Target,
        effect: Option<EffectView>,
        (refused, impossible): (Option<ProblemView>, Option<ProblemView>),
        fault: Option<String>,
    ) -> Self {
        let typed = Field {
            id: "name".into(),
            label: "Name".into(),
            value: String::new(),
            help: format!("Type {} to confirm.", target.name).into(),
            is_optional: false,
            control: Control::Line,
            error: fault,
            before: None,
            theirs: None,
        };
        Self { frame, target, effect, is_possible: impossible.is_none(), problem: refused.or(impossible), typed }
    }

    fn title(&self) -> String {
        format!("Delete {}", self.target.name)
    }
}

/// `GET` of the page.
pub(super) async fn show<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    page::<K>(&request, StatusCode::OK, None, None).await
}

/// `POST` of the typed name.
pub(super) async fn delete<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, name) = (request.form()?, request.parameter("name"));
    if form.trimmed("name") != name {
        let fault = format!("Nothing was deleted: the name is {name}.");
        return page::<K>(&request, StatusCode::UNPROCESSABLE_ENTITY, None, Some(fault)).await;
    }
    let deletion = ApiRequest::new(Method::Delete, api_path(K::KIND, &name)).if_match(form.field("etag"));
    match request.send::<Written>(deletion).await {
        Ok(_) => Ok(request.done(section(K::KIND).path(), &format!("Deleted the {} {name}.", K::KIND.noun()))),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            page::<K>(&request, status, Some(problem::<K>(&error)), None).await
        }
    }
}

fn problem<K: Editable>(error: &ApiError) -> ProblemView {
    ProblemView::new(&format!("The {} was not deleted.", K::KIND.noun()), &error.told, &[])
}

async fn page<K: Editable>(
    request: &PageRequest,
    status: StatusCode,
    refused: Option<ProblemView>,
    fault: Option<String>,
) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let name = request.parameter("name");
    let (_, etag) = load(request, K::KIND, &name).await?;
    let target = format!("{}?dry_run=true", api_path(K::KIND, &name));
    let tried = request.send::<Written>(ApiRequest::new(Method::Delete, target).if_match(&etag)).await;
    let (effect, impossible) = match tried {
        Ok(Written::DryRun(dry_run)) => (Some(EffectView::new(&dry_run)), None),
        Ok(_) => (None, None),
        Err(error) => (None, Some(ProblemView::new("It cannot be deleted now.", &error.told, &[]))),
    };
    let frame = request.frame(section(K::KIND));
    let path = page_path(K::KIND, &name);
    let ends = ends(request, K::KIND, &name).await?;
    let target = Target { name, path, etag, noun: K::KIND.noun(), ends };
    request.page_with(status, &Deletion::new(frame, target, effect, (refused, impossible), fault))
}

/// The live tokens and API keys that end with an object.
async fn ends(request: &PageRequest, kind: ObjectKind, name: &str) -> Result<Vec<String>, ApiError> {
    let mut query = TokenQuery { state: Some(TokenState::Active), limit: Some(COUNTED), ..TokenQuery::default() };
    match kind {
        ObjectKind::ServiceAccount => query.account = Some(name.to_owned()),
        ObjectKind::Api => query.api = Some(name.to_owned()),
        ObjectKind::Issuer => query.issuer = Some(name.to_owned()),
        // A token does not say which team granted it.
        ObjectKind::Team => return Ok(Vec::new()),
    }
    let tokens: TokenPage = request.get(format!("/tokens?{}", query.to_query())).await?;
    let mut ends = vec![counted(tokens.tokens.len(), tokens.next.is_some(), "live token")];
    if kind == ObjectKind::ServiceAccount {
        let keys: ApiKeyPage = request.get(format!("{}/api-keys?limit={COUNTED}", api_path(kind, name))).await?;
        ends.push(counted(keys.items.len(), keys.next.is_some(), "API key"));
    }
    Ok(ends)
}

pub(super) fn counted(count: usize, has_more: bool, noun: &str) -> String {
    match (count, has_more) {
        (_, true) => format!("more than {count} {noun}s"),
        (1, false) => format!("1 {noun}"),
        (_, false) => format!("{count} {noun}s"),
    }
}
