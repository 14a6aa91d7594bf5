//! What an account may do, and where each grant comes from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sts_api::{GroupTeams, ObjectPage, ObjectQuery};
use sts_types::ObjectKind;

use crate::ApiError;
use crate::page_request::PageRequest;
use crate::pages::object::{api_path, page_path};
use crate::pages::pieces::text;

/// Teams that one call reads.
const MOST_TEAMS: usize = 1000;

/// Scopes of one API.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) api: String,
    pub(crate) scopes: Vec<GrantedScope>,
}

/// A scope, and who gives it.
#[derive(Debug)]
pub(crate) struct GrantedScope {
    pub(crate) scope: String,
    pub(crate) given_by: Vec<Giver>,
}

/// A team, with its page and how the account has it; `None` for the account itself.
type Giver = Option<GivingTeam>;

#[derive(Clone, Debug)]
pub(crate) struct GivingTeam {
    pub(crate) name: String,
    pub(crate) path: String,
    /// Empty where the account's document names the team.
    pub(crate) how: &'static str,
}

impl GivingTeam {
    fn new(name: &str, how: &'static str) -> Self {
        Self { name: name.to_owned(), path: page_path(ObjectKind::Team, name), how }
    }
}

/// A team that a group gives.
#[derive(Debug)]
pub(crate) struct GroupTeam {
    pub(crate) name: String,
    pub(crate) path: String,
    /// Which group, and since when that is known.
    pub(crate) source: String,
}

/// Who gives each scope, by API.
type GivenBy = BTreeMap<String, BTreeMap<String, Vec<Giver>>>;

/// The account's teams.
pub(super) fn teams(spec: &Map<String, Value>) -> Vec<String> {
    let teams = spec.get("teams").and_then(Value::as_array);
    teams.into_iter().flatten().map(|team| text(Some(team))).collect()
}

/// The teams that groups give the account.
pub(super) async fn group_teams(request: &PageRequest, account: &str) -> Result<GroupTeams, ApiError> {
    request.get(format!("{}/group-teams", api_path(ObjectKind::ServiceAccount, account))).await
}

/// These teams in words.
pub(super) fn group_teams_in_words(teams: &GroupTeams) -> Vec<GroupTeam> {
    let row = |name: &str, source| GroupTeam { name: name.to_owned(), path: page_path(ObjectKind::Team, name), source };
    let directory = teams.directory.iter().map(|own| {
        let age = own.age_seconds.map(|age| format!(", as it was {age} s ago")).unwrap_or_default();
        row(&own.team, format!("the group {} of the directory {}{age}", own.group, own.directory))
    });
    let token = teams
        .token
        .iter()
        .map(|own| row(&own.team, format!("a token of {} that has {} in {}", own.issuer, own.value, own.claim)));
    directory.chain(token).collect()
}

/// The grants of the account: those of its teams, and its own.
pub(super) async fn grants(
    request: &PageRequest,
    account: &str,
    spec: &Map<String, Value>,
    groups: &GroupTeams,
) -> Result<Vec<Grant>, ApiError> {
    let mut all = GivenBy::new();
    let own = teams(spec).into_iter().map(|team| GivingTeam::new(&team, ""));
    let of_directory = groups.directory.iter().map(|own| GivingTeam::new(&own.team, "by a group of its directory"));
    let is_given = |team: &str| groups.directory.iter().any(|own| own.team == team);
    let of_tokens = groups.token.iter().filter(|own| !is_given(&own.team));
    let of_tokens = of_tokens.map(|own| GivingTeam::new(&own.team, "if its token names the group"));
    let teams: Vec<GivingTeam> = own.chain(of_directory).chain(of_tokens).collect();
    let specs = if teams.is_empty() { BTreeMap::new() } else { specs_of_teams(request, account).await? };
    let mut seen = BTreeSet::new();
    for team in teams.into_iter().filter(|team| seen.insert(team.name.clone())) {
        // Without the team, the account is set aside, and its page says so.
        if let Some(spec) = specs.get(&team.name) {
            add(&mut all, spec, &Some(team));
        }
    }
    add(&mut all, spec, &None);
    let scopes = |scopes: BTreeMap<String, Vec<_>>| {
        scopes.into_iter().map(|(scope, given_by)| GrantedScope { scope, given_by }).collect()
    };
    Ok(all.into_iter().map(|(api, granted)| Grant { api, scopes: scopes(granted) }).collect())
}

/// The documents of the teams that the account has or may get, by name.
async fn specs_of_teams(
    request: &PageRequest,
    account: &str,
) -> Result<BTreeMap<String, Map<String, Value>>, ApiError> {
    let mut specs = BTreeMap::new();
    let mut query =
        ObjectQuery { account: Some(account.to_owned()), limit: Some(MOST_TEAMS), ..ObjectQuery::default() };
    loop {
        let page: ObjectPage = request.get(format!("/{}?{}", ObjectKind::Team.name(), query.to_query())).await?;
        specs.extend(page.items.into_iter().map(|team| (team.name, team.spec)));
        if page.next.is_none() {
            return Ok(specs);
        }
        query.after = page.next;
    }
}

fn add(all: &mut GivenBy, spec: &Map<String, Value>, giver: &Giver) {
    for (api, scopes) in spec.get("grants").and_then(Value::as_object).into_iter().flatten() {
        let granted = all.entry(api.clone()).or_default();
        let scopes: Vec<String> = match scopes.as_array() {
            Some(scopes) => scopes.iter().map(|scope| text(Some(scope))).collect(),
            None => vec![text(Some(scopes))],
        };
        for scope in scopes {
            granted.entry(scope).or_default().push(giver.clone());
        }
    }
}
