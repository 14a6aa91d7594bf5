//! The page that deletes an identity.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value};
use sts_api::{TokenPage, TokenQuery, TokenState, WrittenIdentity};

use crate::page_request::PageRequest;
use crate::pages::deletion::{COUNTED, Deletion, Target, counted};
use crate::pages::effect::EffectView;
use crate::pages::frame::Section;
use crate::pages::object::api_path;
use crate::pages::pieces::{ProblemView, segment};
use crate::pages::service_accounts::{KIND, path};
use crate::{ApiError, ApiRequest, Method, PageError};

/// `GET` of the page.
pub(in super::super) async fn confirm(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, None, None).await
}

/// `POST` of the typed name.
pub(in super::super) async fn delete(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, name) = (request.form()?, request.parameter("identity"));
    if form.trimmed("name") != name.trim() {
        let fault = format!("Nothing was deleted: the name is {name}.");
        return page(&request, StatusCode::UNPROCESSABLE_ENTITY, None, Some(fault)).await;
    }
    let deletion = ApiRequest::new(Method::Delete, target(&request)).if_match(form.field("etag"));
    match request.send::<WrittenIdentity>(deletion).await {
        Ok(_) => Ok(request.done(&path(&request.parameter("name")), &format!("Deleted the identity {name}."))),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The identity was not deleted.", &error.told, &[]);
            page(&request, status, Some(problem), None).await
        }
    }
}

fn target(request: &PageRequest) -> String {
    let (account, identity) = (request.parameter("name"), request.parameter("identity"));
    format!("{}/identities/{}", api_path(KIND, &account), segment(&identity))
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    refused: Option<ProblemView>,
    fault: Option<String>,
) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let (account, name) = (request.parameter("name"), request.parameter("identity"));
    let (_, etag) = request.get_tagged::<Map<String, Value>>(target(request)).await?;
    let etag = etag.unwrap_or_default();
    let dry_run = ApiRequest::new(Method::Delete, format!("{}?dry_run=true", target(request))).if_match(&etag);
    let (effect, impossible) = match request.send::<WrittenIdentity>(dry_run).await {
        Ok(WrittenIdentity::DryRun(dry_run)) => (Some(EffectView::new(&dry_run)), None),
        Ok(_) => (None, None),
        Err(error) => (None, Some(ProblemView::new("It cannot be deleted now.", &error.told, &[]))),
    };
    let path = format!("{}/identities/{}", path(&account), segment(&name));
    let ends = vec![live_tokens(request, &account, &name).await?];
    let target = Target { path, name, etag, noun: "identity", ends };
    let frame = request.frame(Section::ServiceAccounts);
    request.page_with(status, &Deletion::new(frame, target, effect, (refused, impossible), fault))
}

async fn live_tokens(request: &PageRequest, account: &str, identity: &str) -> Result<String, ApiError> {
    let query = TokenQuery {
        account: Some(account.to_owned()),
        identity: Some(identity.to_owned()),
        state: Some(TokenState::Active),
        limit: Some(COUNTED),
        ..TokenQuery::default()
    };
    let tokens: TokenPage = request.get(format!("/tokens?{}", query.to_query())).await?;
    Ok(counted(tokens.tokens.len(), tokens.next.is_some(), "live token"))
}
