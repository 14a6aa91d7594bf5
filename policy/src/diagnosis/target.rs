//! Diagnoses a refused API or scope. The token matched an identity, or the request would have been
//! refused before.

use sts_types::{Located, Scope, ScopeSet};

use super::candidate::{Candidate, grant_spec, identity_of};
use super::names::{self, Changed};
use super::refused::Refused;
use crate::account::{Account, Api};
use crate::external::Holdings;
use crate::finding::quoted;
use crate::identity::{ApiGrant, Identity};
use crate::{Diagnosis, GrantSpec, IdentityTrace, RequestedTarget};

/// The request names no API, and the account has no default.
pub(super) fn required(refused: &Refused<'_>) -> Diagnosis {
    let Some((matched, account, identity)) = matched(refused) else { return Diagnosis::default() };
    let holdings = refused.holdings(account);
    let (of_identity, of_account) = (holdings.of_identity(identity), holdings.of_account());
    let apis: Vec<&str> = of_identity.iter().map(|grant| grant.name.as_str()).collect();
    let fitting: Vec<&str> = apis.iter().copied().filter(|api| grants(refused, api, Scopes::AsRequested)).collect();
    let of_account = names::list(of_account.iter().map(|grant| grant.name.as_str()));
    let of_account = if of_account.is_empty() { "nothing".to_owned() } else { of_account };
    let cause = format!(
        "{}; {matched} matches, but no API was asked for: the account is granted {of_account}, and has no `default_api`{}",
        refused.account_title(),
        refused.lacking(&holdings)
    );
    let found = Diagnosis::new("", cause).at("audience").actual("no API was named").expected(apis.join(" or "));
    match fitting.as_slice() {
        [] => found,
        [one] => found.fix(format!("name the API {} in `audience`", quoted(one))),
        [first, ..] => {
            let name = quoted(account.granted.name.as_str());
            let listed = names::list(fitting.iter().copied());
            found
                .fix(format!("name one of {listed} in `audience`, or set `default_api: {first}` on the account {name}"))
        }
    }
}

/// The API is unknown or not granted, or the request names more than one.
pub(super) fn not_granted(refused: &Refused<'_>) -> Diagnosis {
    let Some((matched, account, identity)) = matched(refused) else { return Diagnosis::default() };
    let holdings = refused.holdings(account);
    let (of_identity, of_account) = (holdings.of_identity(identity), holdings.of_account());
    let api = match refused.requested.target {
        RequestedTarget::Refused => return unusable_target(refused, &matched, &of_identity),
        RequestedTarget::Api(index) => refused.rules.apis.get(index),
        RequestedTarget::Default => holdings.default_target().and_then(|index| refused.rules.apis.get(index)),
    };
    let Some(api) = api else { return Diagnosis::default() };
    let granted = names::list(of_identity.iter().map(|grant| grant.name.as_str()));
    let (title, name) = (quoted(account.granted.name.as_str()), quoted(api.name.as_str()));
    let narrowed = of_account.iter().find(|grant| grant.name == api.name);
    let why = match narrowed {
        Some(_) => format!("identity {matched} narrows its account's grants to {granted}"),
        None if granted.is_empty() => format!("nothing is granted by {}", grantors(&holdings)),
        None => format!("only {granted} is granted by {}", grantors(&holdings)),
    };
    let lacking = refused.lacking(&holdings);
    let cause =
        format!("{}; {matched} matches, but API {name} is not granted: {why}{lacking}", refused.account_title());
    let found = Diagnosis::new("", cause).at("audience").actual(api.name.as_str()).expected(granted);
    let other = of_identity.iter().find(|grant| grants(refused, grant.name.as_str(), Scopes::AsRequested));
    let ask = other.map(|grant| format!("ask for the API {}", quoted(grant.name.as_str())));
    let missing = refused.requested.scopes.as_ref().unwrap_or(&api.scopes);
    let add = widened(refused, (&holdings, identity), api, missing).then(|| match narrowed {
        Some(_) => format!("add API {name} to the grants of identity {matched}"),
        None => format!("add `{}` to the `grants` of the account {title} or of a team of it", written(api, missing)),
    });
    or(found, ask, add)
}

/// Not every requested scope is granted.
pub(super) fn scope_not_granted(refused: &Refused<'_>) -> Diagnosis {
    let Some((matched, account, identity)) = matched(refused) else { return Diagnosis::default() };
    let holdings = refused.holdings(account);
    let target = match refused.requested.target {
        RequestedTarget::Api(index) => Some(index),
        RequestedTarget::Default => holdings.default_target(),
        RequestedTarget::Refused => None,
    };
    let Some(api) = target.and_then(|index| refused.rules.apis.get(index)) else { return Diagnosis::default() };
    let of = |all: &[ApiGrant]| all.iter().find(|grant| grant.name == api.name).map(|grant| grant.scopes.clone());
    let (granted_scopes, of_account) =
        (of(&holdings.of_identity(identity)).unwrap_or_default(), of(&holdings.of_account()).unwrap_or_default());
    let ignored = |scope: &&str| refused.rules.ignore_scopes.iter().any(|ignored| ignored.as_str() == *scope);
    let request_names: Vec<&str> = refused
        .request_names
        .scope
        .unwrap_or_default()
        .split(' ')
        .filter(|scope| !scope.is_empty() && !ignored(scope))
        .collect();
    let missing: Vec<&str> = request_names.iter().copied().filter(|scope| !granted_scopes.contains(scope)).collect();
    let first = missing.first().copied().unwrap_or_default();
    let why = why_missing(refused, first, api, &of_account, (&holdings, &matched));
    let lacking = refused.lacking(&holdings);
    let granted = if granted_scopes.is_empty() { "nothing".to_owned() } else { quoted(&granted_scopes.to_string()) };
    let cause = format!(
        "{}; {matched} matches, but not all scopes are granted for API {}: {} is not ({why}{lacking}); granted are {granted}",
        refused.account_title(),
        quoted(api.name.as_str()),
        names::list(missing.iter().copied()),
    );
    let found =
        Diagnosis::new("", cause).at("scope").actual(request_names.join(" ")).expected(granted_scopes.to_string());
    fix_scopes(
        refused,
        found,
        (&holdings, identity, &matched),
        api,
        (&request_names, &missing, &granted_scopes, &of_account),
    )
}

/// Proposes to request only granted scopes, or to grant the missing ones.
fn fix_scopes(
    refused: &Refused<'_>,
    found: Diagnosis,
    (holdings, identity, matched): (&Holdings<'_>, &Identity, &str),
    api: &Api,
    (request_names, missing, granted, of_account): (&[&str], &[&str], &ScopeSet, &ScopeSet),
) -> Diagnosis {
    let mut kept: Vec<&str> = Vec::new();
    for scope in request_names {
        let nearest = || names::nearest(scope, granted.iter().map(Scope::as_str)).map(|(name, _)| name);
        let split = scope.split(',').all(|part| granted.contains(part)).then(|| scope.split(',').collect::<Vec<_>>());
        let bare = scope.strip_prefix(api.audience.as_str()).map(|rest| rest.trim_start_matches(['/', ':']));
        match split {
            _ if granted.contains(scope) => kept.push(scope),
            None if bare.is_some_and(|bare| granted.contains(bare)) => kept.extend(bare),
            Some(parts) => kept.extend(parts),
            None => kept.extend(nearest()),
        }
    }
    let scope = if kept.is_empty() { granted.to_string() } else { kept.join(" ") };
    let ask = grants(refused, api.name.as_str(), Scopes::These(&scope)).then(|| format!("ask for {}", quoted(&scope)));
    let declared: ScopeSet = missing.iter().filter_map(|scope| Scope::new(scope).ok()).collect();
    let add = widened(refused, (holdings, identity), api, &declared).then(|| {
        let missing = names::list(missing.iter().copied());
        if declared.iter().all(|scope| of_account.contains(scope.as_str())) {
            format!("add {missing} to the scopes of identity {matched}")
        } else {
            format!(
                "add {missing} to the `grants` of the account {} or of a team of it",
                quoted(holdings.account.granted.name.as_str())
            )
        }
    });
    or(found, ask, add)
}

/// Explains why one scope is not granted.
fn why_missing(
    refused: &Refused<'_>,
    scope: &str,
    api: &Api,
    of_account: &ScopeSet,
    (holdings, matched): (&Holdings<'_>, &str),
) -> String {
    if of_account.contains(scope) {
        return format!("the account is granted it, and identity {matched} narrows it away");
    }
    if api.scopes.contains(scope) {
        return format!("it is not in {}", grantors(holdings));
    }
    if let Some(other) = refused.rules.apis.iter().find(|api| api.scopes.contains(scope)) {
        return format!("it is a scope of API {}", quoted(other.name.as_str()));
    }
    if scope.ends_with("/.default") {
        return "`.default` is Entra's way to ask for all that is granted: here that is a request without `scope`"
            .to_owned();
    }
    if let Some(bare) = scope.strip_prefix(api.audience.as_str()).map(|rest| rest.trim_start_matches(['/', ':']))
        && api.scopes.contains(bare)
    {
        return format!("a scope has no audience before it: it is {}", quoted(bare));
    }
    if scope.contains(',') {
        return "scopes are separated by spaces, not by commas".to_owned();
    }
    match names::nearest(scope, api.scopes.iter().map(Scope::as_str)) {
        Some((name, Some(how))) => format!("no API declares it; the nearest is {}: {how}", quoted(name)),
        Some((name, None)) => format!("no API declares it; the nearest is {}", quoted(name)),
        None => "no API declares it".to_owned(),
    }
}

/// The target is not an API, or several.
fn unusable_target(refused: &Refused<'_>, matched: &str, of_identity: &[ApiGrant]) -> Diagnosis {
    let rules = refused.rules;
    let account = refused.account_title();
    let request_names = refused.request_names;
    let is_api = |name: &&str| rules.api_by_name.contains_key(*name) || rules.api_by_audience.contains_key(*name);
    let named =
        || request_names.audience.iter().map(String::as_str).filter(|name| !rules.account_by_name.contains_key(*name));
    let unknown_audience = named().find(|name| !name.is_empty() && !is_api(name)).map(|name| ("audience", name));
    let resources = || request_names.resource.iter().map(String::as_str).filter(|uri| !uri.is_empty());
    let unknown = unknown_audience.or_else(|| {
        let is_fine = |uri: &str| uri.contains(':') && !uri.contains('#') && rules.api_by_audience.contains_key(uri);
        resources().find(|uri| !is_fine(uri)).map(|uri| ("resource", uri))
    });
    let granted = || of_identity.iter().map(|grant| grant.name.as_str());
    let Some((parameter, wrong)) = unknown else {
        let all: Vec<&str> = named().chain(resources()).collect();
        let cause =
            format!("{account}; {matched} matches, but more than one API is asked for: {}", names::list(all.clone()));
        let found = Diagnosis::new("", cause).at("audience").actual(all.join(" ")).expected("one API");
        let one = granted().find(|api| grants(refused, api, Scopes::AsRequested));
        return or(found, one.map(|api| format!("ask for one, such as the API {}", quoted(api))), None);
    };
    let why = if parameter == "resource" && rules.api_by_name.contains_key(wrong) {
        "is a name, and `resource` takes the API's URI".to_owned()
    } else if parameter == "resource" && wrong.contains('#') {
        "has a fragment, which no resource may have".to_owned()
    } else if parameter == "resource" && !wrong.contains(':') {
        "is no absolute URI".to_owned()
    } else {
        "is no API's audience".to_owned()
    };
    let known =
        || rules.apis.iter().map(|api| api.audience.as_str()).chain(rules.apis.iter().map(|api| api.name.as_str()));
    let by_name =
        rules.api_by_name.get(wrong).and_then(|index| rules.apis.get(*index)).map(|api| (api.audience.as_str(), None));
    let nearest = by_name.or_else(|| names::nearest(wrong, known()));
    let near = match &nearest {
        Some((name, Some(how))) => format!("; the nearest is {}: {how}", quoted(name)),
        Some((name, None)) => format!("; the nearest is {}", quoted(name)),
        None => format!("; granted are {}", names::list(granted())),
    };
    let cause = format!("{account}; {matched} matches, but `{parameter}` {} {why}{near}", quoted(wrong));
    let expected =
        nearest.as_ref().map_or_else(|| granted().collect::<Vec<_>>().join(" or "), |(name, _)| (*name).to_owned());
    let found = Diagnosis::new("", cause).at(parameter).actual(wrong).expected(expected);
    let nearest = nearest.map(|(name, _)| name).filter(|name| grants(refused, name, Scopes::AsRequested));
    let other = || granted().find(|api| grants(refused, api, Scopes::AsRequested));
    or(found, nearest.or_else(other).map(|name| format!("ask for {} in `audience`", quoted(name))), None)
}

/// The identity that matched without covering the request: its title, account and itself.
fn matched<'a>(refused: &Refused<'a>) -> Option<(String, &'a Account, &'a Identity)> {
    let trace: &IdentityTrace = refused.decision.trace.iter().find(|identity| identity.matched)?;
    let (account, identity) = refused.identity(trace)?;
    Some((super::title(trace), account, identity))
}

/// The scopes of a request to try.
enum Scopes<'a> {
    AsRequested,
    These(&'a str),
}

/// Whether a request for this API would be granted.
fn grants(refused: &Refused<'_>, api: &str, scopes: Scopes<'_>) -> bool {
    let changed = Changed::new(refused.request_names).for_api(refused.rules, api);
    let changed = match scopes {
        Scopes::AsRequested => changed,
        Scopes::These(scope) => changed.with_scope(Some(scope.to_owned())),
    };
    refused.grant_for(&changed.request_names()).is_some()
}

/// Whether it is safe and enough to grant `scopes` of `api` to account and identity, too.
fn widened(
    refused: &Refused<'_>,
    (holdings, identity): (&Holdings<'_>, &Identity),
    api: &Api,
    scopes: &ScopeSet,
) -> bool {
    // Never propose our own API's scopes: they give power over all tokens.
    if api.name.as_str() == "sts" {
        return false;
    }
    let with = |grants: &[ApiGrant]| {
        let mut all: Vec<GrantSpec> = grants.iter().map(grant_spec).collect();
        let more = || scopes.iter().cloned().map(Located::nowhere);
        match all.iter_mut().find(|grant| grant.api.value == api.name.as_str()) {
            Some(grant) => grant.scopes.extend(more()),
            None => all.push(GrantSpec { api: Located::nowhere(api.name.to_string()), scopes: more().collect() }),
        }
        all
    };
    Candidate::new(refused.rules, holdings, identity).is_some_and(|candidate| {
        let changed = candidate.changed(|spec| {
            spec.grants = with(&holdings.of_account());
            if let Some(changed) = identity_of(spec) {
                changed.grants = Some(with(&holdings.of_identity(identity)));
            }
        });
        changed.holds(refused.facts, refused.request_names)
    })
}

/// Names the places that the grants of an account come from.
fn grantors(holdings: &Holdings<'_>) -> String {
    let own = holdings.account.granted.teams.iter().map(|team| team.as_str());
    let teams: Vec<&str> = own.chain(holdings.given.iter().map(|(team, _)| team.name.as_str())).collect();
    match teams.as_slice() {
        [] => "its `grants`".to_owned(),
        [team] => format!("its `grants` and team {}", quoted(team)),
        teams => format!("its `grants` and teams {}", names::list(teams.iter().copied())),
    }
}

/// Formats a grant as the configuration writes it.
fn written(api: &Api, scopes: &ScopeSet) -> String {
    let scopes = scopes.iter().map(|scope| format!("{:?}", scope.as_str())).collect::<Vec<_>>().join(", ");
    format!("{}: [{scopes}]", api.name)
}

/// Adds the caller's and the owner's change as alternatives.
fn or(found: Diagnosis, caller: Option<String>, owner: Option<String>) -> Diagnosis {
    let fix: Vec<String> = caller.into_iter().chain(owner).collect();
    if fix.is_empty() { found } else { found.fix(fix.join(", or ")) }
}
