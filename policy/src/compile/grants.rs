//! Compiles grants: scopes of APIs, united over teams and narrowed by identities.

use std::collections::HashMap;

use sts_types::{CheckCode, Located, Scope, ScopeSet};

use crate::GrantSpec;
use crate::account::Api;
use crate::finding::{Findings, name_help, quoted};
use crate::identity::ApiGrant;

/// The grants of an account.
#[derive(Clone, Copy)]
pub(super) struct Granted<'a> {
    pub(super) grants: &'a [ApiGrant],
    /// Whether the list is complete. A team or grant with a fault may grant more.
    pub(super) is_known: bool,
}

/// Compiles grants. Reports unknown APIs and scopes, and empty grants.
pub(super) fn compile(specs: &[GrantSpec], apis: &[Api], findings: &mut Findings) -> Vec<ApiGrant> {
    let mut grants = Vec::new();
    for spec in specs {
        let Some((index, api)) = find(apis, &spec.api, findings) else { continue };
        let is_known = !findings.faulty.apis.contains(api.name.as_str());
        for scope in &spec.scopes {
            if is_known && !api.scopes.contains(scope.value.as_str()) {
                let message =
                    format!("API {} declares no scope {}", quoted(api.name.as_str()), quoted(scope.value.as_str()));
                let help = name_help(scope.value.as_str(), api.scopes.iter().map(Scope::as_str));
                let declare = || Some("declare it in the API's `scopes`".to_owned());
                findings.error(CheckCode::UnknownScope, scope.origin, message, help.or_else(declare));
            }
        }
        if spec.scopes.is_empty() && !api.scopes.is_empty() {
            let message = format!(
                "no scope of API {} is granted: the API declares scopes, and the grant lists none",
                quoted(api.name.as_str())
            );
            let help =
                format!("list some of `{}`", api.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join("`, `"));
            findings.warning(CheckCode::EmptyGrant, spec.api.origin, message, help);
        }
        let scopes = spec.scopes.iter().map(|scope| scope.value.clone()).collect();
        grants.push(ApiGrant { api: index, name: api.name.clone(), audience: api.audience.clone(), scopes });
    }
    grants
}

/// The API of that name.
pub(super) fn find<'a>(apis: &'a [Api], name: &Located<String>, findings: &mut Findings) -> Option<(usize, &'a Api)> {
    let found = apis.iter().enumerate().find(|(_, api)| api.name.as_str() == name.value);
    if found.is_none() && !findings.faulty.apis.contains(&name.value) {
        let help = name_help(&name.value, apis.iter().map(|api| api.name.as_str()));
        findings.error(CheckCode::UnknownApi, name.origin, format!("there is no API {}", quoted(&name.value)), help);
    }
    found
}

/// Unites `grants`: APIs in the order of their first grant, scopes in the order the API declares
/// them. An API that declares scopes is dropped if none of them is granted.
pub(super) fn unite<'a>(grants: impl IntoIterator<Item = &'a ApiGrant>, apis: &[Api]) -> Vec<ApiGrant> {
    let mut united: Vec<ApiGrant> = Vec::new();
    let mut indices = HashMap::new();
    for grant in grants {
        let index = *indices.entry(grant.api).or_insert(united.len());
        match united.get_mut(index) {
            Some(united_grant) => grant.scopes.iter().for_each(|scope| united_grant.scopes.insert(scope.clone())),
            None => united.push(grant.clone()),
        }
    }
    united.into_iter().filter_map(|grant| settle(grant, apis)).collect()
}

/// Sorts the scopes of `grant` in the API's order. `None` if nothing is granted.
fn settle(grant: ApiGrant, apis: &[Api]) -> Option<ApiGrant> {
    let api = apis.get(grant.api)?;
    let scopes: ScopeSet = api.scopes.iter().filter(|scope| grant.scopes.contains(scope.as_str())).cloned().collect();
    let kept = api.scopes.is_empty() || !scopes.is_empty();
    kept.then_some(ApiGrant { scopes, ..grant })
}

/// Narrows the grants of `account` to `scopes` (in every API) and to `grants`. Reports what they
/// have beyond those of the account.
pub(super) fn narrow(
    Granted { grants: account, is_known }: Granted<'_>,
    scopes: Option<&[Located<Scope>]>,
    grants: Option<&[GrantSpec]>,
    apis: &[Api],
    findings: &mut Findings,
) -> Vec<ApiGrant> {
    for scope in scopes.unwrap_or_default() {
        if is_known && !account.iter().any(|grant| grant.scopes.contains(scope.value.as_str())) {
            let message = format!("the service account is not granted the scope {}", quoted(scope.value.as_str()));
            let known = account.iter().flat_map(|grant| grant.scopes.iter()).map(Scope::as_str);
            let grant = || Some("grant it to the service account first".to_owned());
            findings.error(
                CheckCode::ScopeNotGranted,
                scope.origin,
                message,
                name_help(scope.value.as_str(), known).or_else(grant),
            );
        }
    }
    let kept = grants.map(|specs| {
        for spec in specs.iter().filter(|_| is_known) {
            within(account, spec, apis, findings);
        }
        compile(specs, apis, findings)
    });
    let narrowed = account.iter().filter_map(|grant| {
        let by_grants = match &kept {
            None => None,
            Some(kept) => Some(&kept.iter().find(|other| other.api == grant.api)?.scopes),
        };
        let lets = |scope: &&Scope| {
            scopes.is_none_or(|list| list.iter().any(|kept| kept.value == **scope))
                && by_grants.is_none_or(|granted| granted.contains(scope.as_str()))
        };
        settle(ApiGrant { scopes: grant.scopes.iter().filter(lets).cloned().collect(), ..grant.clone() }, apis)
    });
    narrowed.collect()
}

/// Reports what `spec` has beyond the account's grants.
fn within(account: &[ApiGrant], spec: &GrantSpec, apis: &[Api], findings: &mut Findings) {
    let Some(api) = apis.iter().find(|api| api.name.as_str() == spec.api.value) else { return };
    let Some(grant) = account.iter().find(|grant| grant.name.as_str() == spec.api.value) else {
        let message = format!("the service account is not granted the API {}", quoted(api.name.as_str()));
        let help = name_help(&spec.api.value, account.iter().map(|grant| grant.name.as_str()));
        findings.error(CheckCode::ApiNotGranted, spec.api.origin, message, help);
        return;
    };
    let beyond = |scope: &&Located<Scope>| {
        api.scopes.contains(scope.value.as_str()) && !grant.scopes.contains(scope.value.as_str())
    };
    for scope in spec.scopes.iter().filter(beyond) {
        let message = format!("the service account is not granted the scope {}", quoted(scope.value.as_str()));
        findings.error(
            CheckCode::ScopeNotGranted,
            scope.origin,
            message,
            name_help(scope.value.as_str(), grant.scopes.iter().map(Scope::as_str)),
        );
    }
}
