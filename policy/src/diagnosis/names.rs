//! Diagnoses unknown names, and finds the nearest existing one.

use super::difference;
use super::refused::Refused;
use crate::finding::{did_you_mean, quoted};
use crate::pattern::Pattern;
use crate::resolve::RequestedNames;
use crate::{Diagnosis, RuleSet};

/// Most names listed in a sentence.
const MAX_LISTED: usize = 8;

/// Lists names in back-ticks, and counts those beyond [`MAX_LISTED`].
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(MAX_LISTED).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The nearest of `known` to `wrong`, with the difference if it is easy to overlook.
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, Option<String>)> {
    let known: Vec<&str> = known.into_iter().collect();
    let spelling = |name: &str| {
        let difference = difference::between(&Pattern::literal(name), wrong)?;
        difference.is_spelling.then_some(difference.text)
    };
    let twin = known.iter().find_map(|name| Some((*name, Some(spelling(name)?))));
    let below = || {
        let is_below =
            |name: &&&str| name.contains("://") && wrong.strip_prefix(**name).is_some_and(|rest| rest.starts_with('/'));
        let name = known.iter().filter(is_below).max_by_key(|name| name.len())?;
        Some((*name, Some(format!("it continues with {}", quoted(wrong.strip_prefix(*name)?)))))
    };
    twin.or_else(below).or_else(|| Some((did_you_mean(wrong, known.iter().copied())?, None)))
}

/// The values that may be names of accounts: those of `audience` that are no URIs, and the
/// `client_id` of a client that authenticates.
pub(super) fn bare_names<'a>(request_names: &RequestedNames<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in
        request_names.audience.iter().map(String::as_str).filter(|name| !name.is_empty() && !name.contains([':', '/']))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if let Some(client) = client(request_names).filter(|client| !names.contains(client)) {
        names.push(client);
    }
    names
}

/// The `client_id` of a client that authenticates.
fn client<'a>(request_names: &RequestedNames<'a>) -> Option<&'a str> {
    request_names.client_id.filter(|client| request_names.client_is_account && !client.is_empty())
}

/// The request names an account that does not exist.
pub(super) fn no_such_account(refused: &Refused<'_>) -> Diagnosis {
    let rules = refused.rules;
    let client = client(refused.request_names);
    let is_unknown = |name: &&str| {
        !rules.account_by_name.contains_key(*name) && (Some(*name) == client || !rules.api_by_name.contains_key(*name))
    };
    let wrong = bare_names(refused.request_names).into_iter().find(is_unknown).unwrap_or_default();
    let parameter = if client == Some(wrong) { "client_id" } else { "audience" };
    let accounts =
        || rules.accounts.iter().flat_map(|account| [account.granted.name.as_str(), account.granted.id.as_str()]);
    let apis = || rules.apis.iter().map(|api| api.name.as_str());
    if let Some(found) = several_in_one(refused, wrong) {
        return found;
    }
    let mut cause = format!("there is no such account {}", quoted(wrong));
    let mut nearest_name = None;
    if let Some(kind) = other_kind(rules, wrong) {
        cause.push_str(&format!("; {kind} has that name"));
    } else if let Some((name, difference)) = nearest(wrong, accounts().chain(apis())) {
        let kind = if rules.api_by_name.contains_key(name) { "API " } else { "" };
        let how = difference.map_or(String::new(), |text| format!(" ({text})"));
        cause.push_str(&format!("; the nearest name is {kind}{}{how}", quoted(name)));
        nearest_name = Some(name);
    }
    let found = Diagnosis::new("", cause).at(parameter).actual(wrong);
    let found = match nearest_name {
        Some(name) => found.expected(name),
        None => found.expected("the name of a service account"),
    };
    let granted = nearest_name
        .filter(|name| refused.grant_for(&renamed(refused.request_names, wrong, name).request_names()).is_some());
    let other = || refused.grant_of_any().map(|grant| grant.account.name.to_string());
    match granted.map(str::to_owned).or_else(other) {
        Some(name) => found.fix(format!("name {} in `{parameter}`", quoted(&name))),
        None => found,
    }
}

/// Diagnoses a value with more than one name in it.
fn several_in_one(refused: &Refused<'_>, wrong: &str) -> Option<Diagnosis> {
    let parts: Vec<&str> = wrong.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect();
    let rules = refused.rules;
    let is_name = |name: &&str| rules.account_by_name.contains_key(*name) || rules.is_api(name);
    if parts.len() < 2 || !parts.iter().all(is_name) {
        return None;
    }
    let listed = list(parts.iter().copied());
    let cause = format!("`audience` has more than one name in one value: {}", quoted(wrong));
    let found = Diagnosis::new("", cause).at("audience").actual(wrong).expected("one name in each value");
    let mut changed = Changed::new(refused.request_names);
    changed.audience.retain(|value| value != wrong);
    changed.audience.extend(parts.iter().map(|part| (*part).to_owned()));
    let suffices = refused.grant_for(&changed.request_names()).is_some();
    Some(if suffices { found.fix(format!("send `audience` once for each name: {listed}")) } else { found })
}

/// The kind of thing, other than an account, that has this name.
fn other_kind(rules: &RuleSet, name: &str) -> Option<String> {
    let is_external = rules.external.teams.iter().any(|team| team.name.as_str() == name);
    if is_external
        || rules.accounts.iter().any(|account| account.granted.teams.iter().any(|team| team.as_str() == name))
    {
        return Some("a team".to_owned());
    }
    if rules.entry_by_name.contains_key(name) {
        return Some("an issuer entry".to_owned());
    }
    let by_title = rules.accounts.iter().find(|account| account.display_name.as_deref() == Some(name));
    if let Some(account) = by_title {
        return Some(format!("the display name of account {}", quoted(account.granted.name.as_str())));
    }
    let of_identity = rules
        .accounts
        .iter()
        .find(|account| account.identities.iter().any(|identity| identity.name.as_str() == name))?;
    Some(format!("an identity of account {}", quoted(of_identity.granted.name.as_str())))
}

/// A copy of a request, to change and try.
pub(super) struct Changed<'a> {
    audience: Vec<String>,
    resource: Vec<String>,
    scope: Option<String>,
    rest: RequestedNames<'a>,
}

impl<'a> Changed<'a> {
    pub(super) fn new(request_names: &RequestedNames<'a>) -> Self {
        Self {
            audience: request_names.audience.to_vec(),
            resource: request_names.resource.to_vec(),
            scope: request_names.scope.map(str::to_owned),
            rest: *request_names,
        }
    }

    /// Names this API in place of all requested ones.
    pub(super) fn for_api(mut self, rules: &RuleSet, api: &str) -> Self {
        self.resource.clear();
        self.audience.retain(|name| rules.account_by_name.contains_key(name.as_str()));
        self.audience.push(api.to_owned());
        self
    }

    pub(super) fn with_scope(mut self, scope: Option<String>) -> Self {
        self.scope = scope;
        self
    }

    pub(super) fn request_names(&self) -> RequestedNames<'_> {
        RequestedNames { audience: &self.audience, resource: &self.resource, scope: self.scope.as_deref(), ..self.rest }
    }
}

fn renamed<'a>(request_names: &RequestedNames<'a>, wrong: &str, name: &'a str) -> Changed<'a> {
    let mut changed = Changed::new(request_names);
    for value in changed.audience.iter_mut().filter(|value| *value == wrong) {
        name.clone_into(value);
    }
    if changed.rest.client_id == Some(wrong) {
        changed.rest.client_id = Some(name);
    }
    changed
}
