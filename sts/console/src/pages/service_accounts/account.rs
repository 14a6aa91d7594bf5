//! The page of one service account.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value, json};
use sts_api::{ApiKeyInfo, ApiKeyPage, ApiKeyState, Written};
use sts_types::UnixTime;

use super::KIND;
use super::activity::{Activity, TokenRow};
use super::grants::{Grant, GroupTeam, grants, group_teams, group_teams_in_words};
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::frame::{Frame, Section};
use crate::pages::object::{Head, api_path, load, patch};
use crate::pages::pieces::{Badge, ProblemView, Tone, segment, text, texts};

#[derive(Debug, Template)]
#[template(path = "service_account.html")]
struct ServiceAccount {
    frame: Frame,
    head: Head,
    facts: Vec<(&'static str, String)>,
    is_enabled: bool,
    teams: Vec<String>,
    group_teams: Vec<GroupTeam>,
    /// Why its directory gives it no team.
    group_fault: Option<String>,
    grants: Vec<Grant>,
    identities: Vec<Identity>,
    keys: Vec<KeyRow>,
    has_more_keys: bool,
    activity: Activity,
    tokens: Vec<TokenRow>,
    has_more_tokens: bool,
    problem: Option<ProblemView>,
}

impl ServiceAccount {
    fn title(&self) -> &str {
        &self.head.name
    }
}

/// `GET /console/service-accounts/{name}`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, None).await
}

/// The page, with why a change was refused.
async fn page(
    request: &PageRequest,
    status: StatusCode,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let name = request.parameter("name");
    let (object, etag) = load(request, KIND, &name).await?;
    let keys: ApiKeyPage = request.get(format!("{}/api-keys", api_path(KIND, &name))).await?;
    let (tokens, has_more_tokens) = super::activity::live_tokens(request, &name).await?;
    let groups = group_teams(request, &name).await?;
    let frame = request.frame(Section::ServiceAccounts);
    let identities = object.spec.get("identities").and_then(Value::as_array);
    let head = Head::new(&object, etag, frame.may_edit());
    let page = ServiceAccount {
        facts: facts(&object.spec),
        is_enabled: object.is_enabled(),
        teams: super::grants::teams(&object.spec),
        grants: grants(request, &name, &object.spec, &groups).await?,
        group_teams: group_teams_in_words(&groups),
        group_fault: groups.fault,
        identities: identities
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, identity)| Some(Identity::new(&head.path, index, identity.as_object()?)))
            .collect(),
        keys: keys.items.iter().map(KeyRow::new).collect(),
        has_more_keys: keys.next.is_some(),
        activity: Activity::of_account(request, &name).await?,
        tokens,
        has_more_tokens,
        problem,
        head,
        frame,
    };
    request.page_with(status, &page)
}

/// `POST /console/service-accounts/{name}/enabled`.
pub(super) async fn set_enabled(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, name) = (request.form()?, request.parameter("name"));
    let is_enabled = form.field("enabled") == "true";
    let members = Map::from_iter([("enabled".to_owned(), json!(is_enabled))]);
    let word = if is_enabled { "enabled" } else { "disabled" };
    match request.send::<Written>(patch(KIND, &name, members, form.field("etag"))).await {
        Ok(_) => Ok(request.done(&super::path(&name), &format!("{name} is {word}."))),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new(&format!("The service account was not {word}."), &error.told, &[]);
            page(&request, status, Some(problem)).await
        }
    }
}

/// What the document says beside grants and identities.
fn facts(spec: &Map<String, Value>) -> Vec<(&'static str, String)> {
    const SHOWN: &[(&str, &str)] = &[
        ("Description", "description"),
        ("Id", "id"),
        ("Default API", "default_api"),
        ("TTL", "ttl"),
        ("Not before", "not_before"),
        ("Not after", "not_after"),
        ("Require proof", "require_proof"),
        ("Delegation", "delegation"),
    ];
    let shown = SHOWN.iter().filter_map(|(label, key)| Some((*label, texts(Some(spec.get(*key)?)))));
    let login = spec.get("external_login").and_then(Value::as_object).map(|login| {
        let part = |key: &str| text(login.get(key));
        ("External login", format!("{} in the directory {}", part("name"), part("directory")))
    });
    shown.chain(login).collect()
}

/// An identity with its conditions.
#[derive(Debug)]
struct Identity {
    name: String,
    path: String,
    issuer: String,
    state: Option<Badge>,
    conditions: Vec<Condition>,
}

/// What a claim has to be.
#[derive(Debug)]
struct Condition {
    claim: String,
    expected: String,
}

impl Identity {
    fn new(account_path: &str, index: usize, spec: &Map<String, Value>) -> Self {
        let shown = |(key, value): (&String, &Value)| match value.as_object() {
            // The fields of a preset and the claims are conditions of their own.
            Some(members) => members
                .iter()
                .map(|(claim, expected)| Condition { claim: claim.clone(), expected: texts(Some(expected)) })
                .collect(),
            None => vec![Condition { claim: key.clone(), expected: texts(Some(value)) }],
        };
        let conditions = spec.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "issuer" | "enabled"));
        let name = match spec.get("name") {
            Some(name) => text(Some(name)),
            // The API names it so.
            None => format!("identity {}", index + 1),
        };
        let is_disabled = spec.get("enabled") == Some(&Value::Bool(false));
        Self {
            path: format!("{account_path}/identities/{}", segment(&name)),
            issuer: texts(spec.get("issuer")),
            state: is_disabled.then_some(Badge { tone: Tone::Neutral, word: "Disabled" }),
            conditions: conditions.flat_map(shown).collect(),
            name,
        }
    }
}

/// An API key in one line.
#[derive(Debug)]
struct KeyRow {
    id: String,
    name: String,
    state: Badge,
    scopes: String,
    allow_from: String,
    expires_at: UnixTime,
    last_used_at: Option<UnixTime>,
    last_used_from: Option<String>,
}

impl KeyRow {
    fn new(key: &ApiKeyInfo) -> Self {
        let (tone, word) = match key.state {
            ApiKeyState::Active => (Tone::Good, "Active"),
            ApiKeyState::Expired => (Tone::Bad, "Expired"),
            ApiKeyState::Inactive => (Tone::Neutral, "Inactive"),
        };
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            state: Badge { tone, word },
            scopes: key.scopes.as_ref().map(|scopes| scopes.join(" ")).unwrap_or_default(),
            allow_from: key.allow_from.join(", "),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            last_used_from: key.last_used_from.clone(),
        }
    }
}
