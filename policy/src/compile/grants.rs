//! Compiles grants: scopes of APIs, united over teams and narrowed by identities.

use sts_types::{CheckCode, Located, Scope};

use crate::GrantSpec;
use crate::account::Api;
use crate::external::Narrowing;
use crate::finding::{Findings, name_help, quoted};
use crate::identity::ApiGrant;

/// The grants of an account.
#[derive(Clone, Copy)]
pub(super) struct Granted<'a> {
    pub(super) grants: &'a [ApiGrant],
    /// What it could be granted: external teams count.
    pub(super) possible: &'a [ApiGrant],
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

/// Narrows the grants of `account` to `scopes` (in every API) and to `grants`. Reports what they
/// have beyond those of the account.
pub(super) fn narrow(
    Granted { grants: account, possible, is_known }: Granted<'_>,
    scopes: Option<&[Located<Scope>]>,
    grants: Option<&[GrantSpec]>,
    apis: &[Api],
    findings: &mut Findings,
) -> (Vec<ApiGrant>, Option<Box<Narrowing>>) {
    for scope in scopes.unwrap_or_default() {
        if is_known && !possible.iter().any(|grant| grant.scopes.contains(scope.value.as_str())) {
            let message = format!("the service account is not granted the scope {}", quoted(scope.value.as_str()));
            let known = possible.iter().flat_map(|grant| grant.scopes.iter()).map(Scope::as_str);
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
            within(possible, spec, apis, findings);
        }
        compile(specs, apis, findings)
    });
    if scopes.is_none() && kept.is_none() {
        return (account.to_vec(), None);
    }
    let scopes = scopes.map(|list| list.iter().map(|scope| scope.value.clone()).collect());
    let narrowing = Narrowing { scopes, grants: kept };
    (narrowing.of(account, apis), Some(Box::new(narrowing)))
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
