//! Service accounts: the list, the form for a new one, the page of one, and a key that was created.

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};
use sts_api::{
    ApiKeyCreated, ApiKeyInfo, ApiKeyPage, ApiKeyState, NewObject, Object, ObjectPage, ObjectQuery, ObjectSource,
};
use sts_types::UnixTime;

use super::frame::{Frame, Section};
use super::pieces::{Badge, Field, ProblemView, Tone, segment, source, text, texts};

/// The list.
#[derive(Debug, Template)]
#[template(path = "service_accounts.html")]
pub struct ServiceAccounts {
    frame: Frame,
    query: ObjectQuery,
    rows: Vec<Row>,
    next: Option<String>,
    is_filtered: bool,
}

impl ServiceAccounts {
    /// The page of the list that `query` asks for.
    #[must_use]
    pub fn new(frame: Frame, query: ObjectQuery, page: &ObjectPage) -> Self {
        let next = page.next.as_ref().map(|after| {
            let next = ObjectQuery { after: Some(after.clone()), ..query.clone() };
            format!("{}?{}", Section::ServiceAccounts.path(), next.to_query())
        });
        let all = ObjectQuery { after: query.after.clone(), limit: query.limit, ..ObjectQuery::default() };
        Self { frame, rows: page.items.iter().map(Row::new).collect(), next, is_filtered: query != all, query }
    }

    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// An account in one line.
#[derive(Debug)]
struct Row {
    name: String,
    path: String,
    display_name: String,
    teams: String,
    identities: usize,
    state: Badge,
    source: String,
}

impl Row {
    fn new(object: &Object) -> Self {
        Self {
            name: object.name.clone(),
            path: account_path(&object.name),
            display_name: text(object.spec.get("display_name")),
            teams: texts(object.spec.get("teams")),
            identities: object.spec.get("identities").and_then(Value::as_array).map_or(0, Vec::len),
            state: Badge::of_object(object),
            source: source(object),
        }
    }
}

fn account_path(name: &str) -> String {
    format!("{}/{}", Section::ServiceAccounts.path(), segment(name))
}

/// What was typed for a new account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AccountForm {
    /// Username.
    pub username: String,
    /// Display name.
    pub display_name: String,
    /// Description.
    pub description: String,
    /// Teams, with commas between them.
    pub teams: String,
}

impl AccountForm {
    /// Fields by the JSON pointers of the request that [`Self::object`] makes.
    pub const FIELDS: [(&'static str, &'static str); 4] = [
        ("/name", "username"),
        ("/spec/display_name", "display_name"),
        ("/spec/description", "description"),
        ("/spec/teams", "teams"),
    ];

    /// The request. Empty fields are left out.
    #[must_use]
    pub fn object(&self) -> NewObject {
        let mut spec = Map::new();
        for (name, value) in [("display_name", &self.display_name), ("description", &self.description)] {
            if !value.trim().is_empty() {
                spec.insert(name.to_owned(), value.trim().into());
            }
        }
        let teams: Vec<Value> =
            self.teams.split(',').map(str::trim).filter(|team| !team.is_empty()).map(Value::from).collect();
        if !teams.is_empty() {
            spec.insert("teams".to_owned(), teams.into());
        }
        NewObject { name: self.username.trim().to_owned(), spec }
    }
}

/// The form for a new account.
#[derive(Debug, Template)]
#[template(path = "new_service_account.html")]
pub struct NewServiceAccount {
    frame: Frame,
    problem: Option<ProblemView>,
    fields: [Field; 4],
}

impl NewServiceAccount {
    /// The form with what was typed, and why it was refused.
    #[must_use]
    pub fn new(frame: Frame, form: AccountForm, problem: Option<ProblemView>) -> Self {
        let field = |id, label, value, help, is_optional| {
            let error = problem.as_ref().and_then(|problem| problem.about(id));
            Field { id, label, value, help, is_optional, error }
        };
        let fields = [
            field("username", "Username", form.username, "The name that configuration and tokens use.", false),
            field("display_name", "Display name", form.display_name, "The name that people see.", true),
            field("description", "Description", form.description, "What the account is for.", true),
            field("teams", "Teams", form.teams, "Names of teams, separated by commas.", true),
        ];
        Self { frame, fields, problem }
    }

    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "New service account"
    }
}

/// The page of one account.
#[derive(Debug, Template)]
#[template(path = "service_account.html")]
pub struct ServiceAccount {
    frame: Frame,
    row: Row,
    description: String,
    is_editable: bool,
    is_enabled: bool,
    etag: String,
    grants: Vec<Grant>,
    identities: Vec<Identity>,
    keys: Vec<KeyRow>,
    has_more_keys: bool,
    problem: Option<ProblemView>,
}

impl ServiceAccount {
    /// The account with its keys, and why a change of it was refused.
    #[must_use]
    pub fn new(frame: Frame, object: &Object, keys: &ApiKeyPage, problem: Option<ProblemView>) -> Self {
        let identities = object.spec.get("identities").and_then(Value::as_array);
        let grants = object.spec.get("grants").and_then(Value::as_object);
        let grant = |(api, scopes): (&String, &Value)| Grant { api: api.clone(), scopes: texts(Some(scopes)) };
        Self {
            is_editable: frame.may_write && object.source == ObjectSource::Managed,
            frame,
            row: Row::new(object),
            description: text(object.spec.get("description")),
            is_enabled: object.is_enabled(),
            etag: object.etag().unwrap_or_default(),
            grants: grants.into_iter().flatten().map(grant).collect(),
            identities: identities.into_iter().flatten().filter_map(Value::as_object).map(Identity::new).collect(),
            keys: keys.items.iter().map(KeyRow::new).collect(),
            has_more_keys: keys.next.is_some(),
            problem,
        }
    }

    fn title(&self) -> &str {
        &self.row.name
    }
}

/// Scopes of one API.
#[derive(Debug)]
struct Grant {
    api: String,
    scopes: String,
}

/// An identity with its conditions.
#[derive(Debug)]
struct Identity {
    name: String,
    issuer: String,
    conditions: Vec<Condition>,
}

/// What a claim has to be.
#[derive(Debug)]
struct Condition {
    claim: String,
    expected: String,
}

impl Identity {
    fn new(spec: &Map<String, Value>) -> Self {
        let mut conditions = Vec::new();
        for (key, value) in spec.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "issuer")) {
            // The fields of a preset and the claims are conditions of their own.
            match value.as_object() {
                Some(members) => conditions.extend(
                    members
                        .iter()
                        .map(|(claim, expected)| Condition { claim: claim.clone(), expected: texts(Some(expected)) }),
                ),
                None => conditions.push(Condition { claim: key.clone(), expected: texts(Some(value)) }),
            }
        }
        Self { name: text(spec.get("name")), issuer: text(spec.get("issuer")), conditions }
    }
}

/// An API key in one line.
#[derive(Debug)]
struct KeyRow {
    id: String,
    name: String,
    state: Badge,
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
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            last_used_from: key.last_used_from.clone(),
        }
    }
}

/// A key that was created, shown once.
#[derive(Template)]
#[template(path = "api_key_created.html")]
pub struct ApiKeyIssued {
    frame: Frame,
    key: String,
    name: String,
    account: String,
    expires_at: UnixTime,
    back: String,
}

impl ApiKeyIssued {
    /// The page that shows the key.
    #[must_use]
    pub fn new(frame: Frame, created: ApiKeyCreated) -> Self {
        let back = account_path(&created.info.account);
        let ApiKeyCreated { info, key } = created;
        Self { frame, key, name: info.name, account: info.account, expires_at: info.expires_at, back }
    }

    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "API key created"
    }
}

/// Hides the key.
impl std::fmt::Debug for ApiKeyIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyIssued").field("account", &self.account).finish_non_exhaustive()
    }
}
