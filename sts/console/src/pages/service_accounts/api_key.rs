//! API keys: the form for a new one, the key that is shown once, and the page that revokes one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::Value;
use sts_api::{ApiKeyCreated, ApiKeyInfo, ApiKeyPage, NewApiKey};
use sts_types::UnixTime;

use super::{KIND, path};
use crate::page_request::PageRequest;
use crate::pages::form_fields::{Field, Member, Origin, Shape, Values, fields, pointers_at};
use crate::pages::frame::{Frame, Section};
use crate::pages::object::api_path;
use crate::pages::pieces::{ProblemView, segment};
use crate::{ApiRequest, Method, PageError};

const MEMBERS: &[Member] = &[
    Member::text("name", "Name", "What to call it, such as build-server.").required(),
    Member::text("ttl", "TTL", "How long it is valid: 30d. Empty for the server's default."),
    Member::text("scopes", "Scopes", "Narrows its tokens, separated by spaces. Empty for all of the account's.")
        .shape(Shape::List(' ')),
    Member::text("allow_from", "Allow from", "Networks it may be used from: 10.0.0.0/8. Empty for everywhere.")
        .shape(Shape::List(',')),
];

#[derive(Debug, Template)]
#[template(path = "new_api_key.html")]
struct NewKeyPage {
    frame: Frame,
    account: String,
    back: String,
    fields: Vec<Field>,
    problem: Option<ProblemView>,
}

impl NewKeyPage {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "New API key"
    }
}

/// `GET` of the form.
pub(super) async fn show_new(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    form(&request, StatusCode::OK, &Values::default(), None)
}

fn form(
    request: &PageRequest,
    status: StatusCode,
    values: &Values,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let account = request.parameter("name");
    let page = NewKeyPage {
        frame: request.frame(Section::ServiceAccounts),
        back: path(&account),
        account,
        fields: fields(MEMBERS, values, problem.as_ref(), Origin::default()),
        problem,
    };
    request.page_with(status, &page)
}

/// `POST` of the form. The answer is the only page that ever shows the key.
pub(super) async fn create(request: PageRequest) -> Result<HttpResponse, PageError> {
    let values = Values::of_form(MEMBERS, &request.form()?);
    let new: NewApiKey =
        serde_json::from_value(Value::Object(values.document(MEMBERS))).map_err(|_| PageError::Fault)?;
    let target = format!("{}/api-keys", api_path(KIND, &request.parameter("name")));
    match request.send::<ApiKeyCreated>(ApiRequest::new(Method::Post, target).with_body(&new)?).await {
        Ok(created) => request.page(&ApiKeyIssued::new(request.frame(Section::ServiceAccounts), created)),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The API key was not created.", &error.told, &pointers_at(MEMBERS, ""));
            form(&request, status, &values, Some(problem))
        }
    }
}

/// A key that was created, shown once.
#[derive(Template)]
#[template(path = "api_key_created.html")]
struct ApiKeyIssued {
    frame: Frame,
    key: String,
    name: String,
    account: String,
    expires_at: UnixTime,
    back: String,
}

impl ApiKeyIssued {
    fn new(frame: Frame, created: ApiKeyCreated) -> Self {
        let back = path(&created.info.account);
        let ApiKeyCreated { info, key } = created;
        Self { frame, key, name: info.name, account: info.account, expires_at: info.expires_at, back }
    }

    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "API key created"
    }
}

#[derive(Debug, Template)]
#[template(path = "revoke_api_key.html")]
struct RevokePage {
    frame: Frame,
    key: ApiKeyInfo,
    back: String,
}

impl RevokePage {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Revoke API key"
    }
}

/// `GET` of the page that revokes a key.
pub(super) async fn confirm(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let (account, id) = (request.parameter("name"), request.parameter("id"));
    let mut after: Option<String> = None;
    loop {
        let from = after.map(|after| format!("&after={}", segment(&after))).unwrap_or_default();
        let page: ApiKeyPage = request.get(format!("{}/api-keys?limit=1000{from}", api_path(KIND, &account))).await?;
        if let Some(key) = page.items.into_iter().find(|key| key.id.to_string() == id) {
            return request.page(&RevokePage {
                frame: request.frame(Section::ServiceAccounts),
                key,
                back: path(&account),
            });
        }
        after = Some(page.next.ok_or(PageError::NotFound)?);
    }
}

/// `POST` of that page.
pub(super) async fn revoke(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (account, id) = (request.parameter("name"), request.parameter("id"));
    let target = format!("{}/api-keys/{}", api_path(KIND, &account), segment(&id));
    let _gone: Value = request.send(ApiRequest::new(Method::Delete, target)).await?;
    Ok(request.done(&path(&account), &format!("Revoked the API key {id}.")))
}
