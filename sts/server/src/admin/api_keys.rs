//! The API keys of an account: `/admin/v1/service-accounts/{name}/api-keys`.

use sts_api::{ApiKeyCreated, ApiKeyInfo, ApiKeyPage, ApiKeyState, Finding, NewApiKey, PageQuery};
use sts_audit as audit;
use sts_service::manage::{ApiKeyError, ApiKeyRequest, ApiKeyView};
use sts_types::{ApiKeyId, IpNetwork, ObjectKind, Scope};
use utoipa::openapi::path::Parameter;

use super::managed::Place;
use super::objects::page_parameters;
use super::{
    AnswerHead, Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, managed,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[
    Route::to::<ListAllApiKeys>(),
    Route::to::<ListApiKeys>(),
    Route::to::<CreateApiKey>(),
    Route::to::<RevokeApiKey>(),
];

const ALL: &str = "/service-accounts/{name}/api-keys";
const ONE: &str = "/service-accounts/{name}/api-keys/{id}";

/// Keys of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most keys of a page.
const MAX_PAGE: usize = 1000;

/// The keys of an account.
#[derive(Debug)]
pub(crate) struct ListApiKeys {
    pub(crate) account: String,
    pub(crate) query: PageQuery,
}

impl Operation for ListApiKeys {
    type Answer = ApiKeyPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: ALL,
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listApiKeys",
            summary: "The API keys of a service account, without their secrets",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = PageQuery::from_query(&request.query).map_err(|error| format!("{error}; nothing was listed"))?;
        request.without_members(Self { account: request.parameter.clone(), query })
    }

    fn request(&self) -> Request {
        Request::get(&self.account, self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<ApiKeyPage, OperationError> {
        let keys = keys(state, Some(&self.account))?;
        Ok(page(state, &keys, &self.query))
    }

    fn query_parameters() -> Vec<Parameter> {
        page_parameters()
    }
}

fn page(state: &AppState, keys: &[ApiKeyView], query: &PageQuery) -> ApiKeyPage {
    let from = match &query.after {
        None => 0,
        Some(after) => keys.iter().position(|own| own.key.id.as_str() == after).map_or(keys.len(), |index| index + 1),
    };
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
    let has_more = keys.len() > from.saturating_add(limit);
    let items: Vec<_> = keys.iter().skip(from).take(limit).map(|own| info(state, own)).collect();
    let next = items.last().filter(|_| has_more).map(|last| last.id.to_string());
    ApiKeyPage { items, next }
}

/// The keys of an account, or of all, the oldest first.
fn keys(state: &AppState, account: Option<&str>) -> Result<Vec<ApiKeyView>, OperationError> {
    let engine = managed::engine(state)?;
    let Some(account) = account else { return Ok(engine.api_keys(&state.service)) };
    managed::show(state, ObjectKind::ServiceAccount, account, None)?;
    Ok(engine.api_keys_of(account, &state.service))
}

fn info(state: &AppState, view: &ApiKeyView) -> ApiKeyInfo {
    let key = &view.key;
    let snapshot = state.service.snapshot();
    let is_enabled = snapshot.rules.account(key.account.as_str()).is_some_and(|account| account.enabled);
    ApiKeyInfo {
        id: key.id.clone(),
        account: key.account.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect()),
        allow_from: key.allow_from.iter().map(ToString::to_string).collect(),
        state: match (key.is_live(state.service.clock().now()), is_enabled && snapshot.api_keys_enabled) {
            (false, _) => ApiKeyState::Expired,
            (true, false) => ApiKeyState::Inactive,
            (true, true) => ApiKeyState::Active,
        },
        created_at: key.created_at,
        created_by: key.created_by.clone(),
        expires_at: key.expires_at,
        last_used_at: view.last_use.as_ref().map(|last| last.at),
        last_used_from: view.last_use.as_ref().map(|last| last.from.clone()),
    }
}

async fn create(
    state: &AppState,
    caller: &Caller,
    account: &str,
    new: NewApiKey,
) -> Result<ApiKeyCreated, OperationError> {
    let engine = managed::engine(state)?;
    let request = requested(account, new)?;
    let created = engine.create_api_key(request, &caller.author, &state.service).await;
    let created = created.map_err(|error| match error {
        ApiKeyError::Disabled => OperationError::NotManaged(format!("{error}; no key was created")),
        ApiKeyError::UnknownAccount => managed::no_such_object(state, ObjectKind::ServiceAccount, account, None),
        ApiKeyError::Invalid(member, message) => invalid(&format!("/{member}"), message),
        ApiKeyError::Exists => OperationError::Exists(format!("{error}: choose another name; no key was created")),
        ApiKeyError::Write(error) => managed::write_error(state, error, &Place::Listed(&[])),
    })?;
    let key = &created.view.key;
    let scopes = key.scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect());
    let act = audit::ApiKeyCreated {
        object: format!("api-keys/{}", key.id),
        account: key.account.to_string(),
        name: key.name.clone(),
        expires_at: key.expires_at.as_secs(),
        scopes,
        allow_from: key.allow_from.iter().map(ToString::to_string).collect(),
    };
    state.audit.record(&caller.actor(), act);
    Ok(ApiKeyCreated { info: info(state, &created.view), key: created.key.to_string() })
}

/// Reads the texts of a request.
fn requested(account: &str, new: NewApiKey) -> Result<ApiKeyRequest, OperationError> {
    let NewApiKey { name, ttl, scopes, allow_from } = new;
    let ttl = match ttl {
        None => None,
        Some(text) => Some(seconds(&text).ok_or_else(|| invalid("/ttl", "write a duration such as `30d`".to_owned()))?),
    };
    let scope = |text: String| Scope::new(&text).map_err(|error| invalid("/scopes", error.to_string()));
    let scopes = scopes.map(|scopes| scopes.into_iter().map(scope).collect::<Result<Vec<_>, _>>()).transpose()?;
    let network = |(index, text): (usize, &String)| {
        let message = "write an address, or a block such as `10.0.0.0/8` without host bits".to_owned();
        IpNetwork::parse(text).ok_or_else(|| invalid(&format!("/allow_from/{index}"), message))
    };
    let allow_from = allow_from.iter().enumerate().map(network).collect::<Result<Vec<_>, _>>()?;
    Ok(ApiKeyRequest { account: account.to_owned(), name, ttl, scopes, allow_from })
}

fn invalid(pointer: &str, message: String) -> OperationError {
    let finding = Finding {
        severity: "error".to_owned(),
        pointer: Some(pointer.to_owned()),
        message: message.clone(),
        ..Finding::default()
    };
    let member = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    OperationError::Invalid { detail: format!("`{member}`: {message}; no key was created"), findings: vec![finding] }
}

/// The seconds of a duration as the configuration writes it.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(factor)).flatten()
}

/// The keys of all accounts.
#[derive(Debug)]
pub(crate) struct ListAllApiKeys {
    pub(crate) query: PageQuery,
}

impl Operation for ListAllApiKeys {
    type Answer = ApiKeyPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/api-keys",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listAllApiKeys",
            summary: "The API keys of all service accounts, without their secrets",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = PageQuery::from_query(&request.query).map_err(|error| format!("{error}; nothing was listed"))?;
        request.without_members(Self { query })
    }

    fn request(&self) -> Request {
        Request::get("", self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<ApiKeyPage, OperationError> {
        let keys = keys(state, None)?;
        Ok(page(state, &keys, &self.query))
    }

    fn query_parameters() -> Vec<Parameter> {
        page_parameters()
    }
}

/// Creates a key. The answer alone has its secret.
#[derive(Debug)]
pub(crate) struct CreateApiKey {
    pub(crate) account: String,
    pub(crate) key: NewApiKey,
}

impl Operation for CreateApiKey {
    type Answer = ApiKeyCreated;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: ALL,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "createApiKey",
            summary: "Create an API key of a service account; this answer alone has the key",
            body: Some(Body::required::<NewApiKey>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[403, 404, 409, 422, 503],
        },
    };

    const IS_REPEATABLE: bool = false;
    const SUCCESSES: &'static [u16] = &[201];

    fn read(request: &Request) -> Result<Self, String> {
        if !request.query.is_empty() {
            return Err("this path takes no query parameters: send none; no key was created".to_owned());
        }
        let key = serde_json::from_value(request.body.clone()).map_err(|error| {
            format!(
                "a new key is `name`, `ttl` (`30d`, or seconds), `scopes` and `allow_from` (lists of strings); no key was created \
                 ({error})"
            )
        })?;
        Ok(Self { account: request.parameter.clone(), key })
    }

    fn request(&self) -> Request {
        Request::post(&self.account, &self.key)
    }

    fn not_done(&self) -> &'static str {
        "no key was created"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<ApiKeyCreated, OperationError> {
        create(state, caller, &self.account, self.key).await
    }

    fn head(created: &ApiKeyCreated) -> AnswerHead {
        let (account, id) = (super::request::encoded(&created.info.account), &created.info.id);
        let location = format!("/admin/v1/service-accounts/{account}/api-keys/{id}");
        AnswerHead { status: 201, etag: None, location: Some(location) }
    }
}

/// Revokes a key: it gets no more tokens, and those made with it are inactive.
#[derive(Debug)]
pub(crate) struct RevokeApiKey {
    pub(crate) account: String,
    pub(crate) id: String,
}

impl Operation for RevokeApiKey {
    type Answer = ();

    const ENDPOINT: Endpoint = Endpoint {
        method: "DELETE",
        path: ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "revokeApiKey",
            summary: "Revoke an API key: it gets no more tokens, and those made with it are inactive",
            body: None,
            answer: None,
            failures: &[403, 404, 503],
        },
    };

    const SUCCESSES: &'static [u16] = &[204];

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { account: request.parameter.clone(), id: request.inner.clone() })
    }

    fn request(&self) -> Request {
        Request { inner: self.id.clone(), ..Request::get(&self.account, String::new()) }
    }

    fn not_done(&self) -> &'static str {
        "no key was revoked"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<(), OperationError> {
        let Ok(id) = ApiKeyId::new(&self.id) else {
            return Err(OperationError::NotFound(
                "an API key's id is the 12 letters and digits after `sts_`; no key was revoked".to_owned(),
            ));
        };
        let engine = managed::engine(state)?;
        let before = engine.api_key(&id);
        let revoked = engine.revoke_api_key(&self.account, &id, &caller.author).await;
        revoked.map_err(|error| managed::write_error(state, error, &Place::Listed(&[])))?;
        let act = audit::ApiKeyRevoked {
            object: format!("api-keys/{id}"),
            account: self.account,
            name: before.map(|view| view.key.name.clone()),
            cause: None,
        };
        state.audit.record(&caller.actor(), act);
        Ok(())
    }

    fn head((): &()) -> AnswerHead {
        AnswerHead { status: 204, ..AnswerHead::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        for (text, wanted) in [("30d", Some(2_592_000)), ("90s", Some(90)), ("1h", Some(3600)), ("0m", Some(0))] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for wrong in ["", "d", "30", "3 d", "-1d", "1.5h", "30\u{e4}", "99999999999999999999d", "213503982334602d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        let account = || "bot".to_owned();
        is_read_again(&ListApiKeys {
            account: account(),
            query: PageQuery { after: Some("x".into()), limit: Some(1) },
        });
        is_read_again(&ListAllApiKeys { query: PageQuery::default() });
        let key = NewApiKey {
            name: "build server".into(),
            ttl: Some("30d".into()),
            scopes: Some(vec!["a".into()]),
            allow_from: vec!["10.0.0.0/8".into()],
        };
        is_read_again(&CreateApiKey { account: account(), key });
        is_read_again(&RevokeApiKey { account: account(), id: "0123456789aB".into() });
    }
}
