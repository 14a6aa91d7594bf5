//! Compiles the APIs.

use sts_types::{Audience, CheckCode, Origin, Scope, ScopeSet};

use crate::Spec;
use crate::account::Api;
use crate::finding::Findings;

/// The scopes of the built-in API `sts`.
const BUILT_IN_SCOPES: [&str; 4] = ["sts:introspect", "sts:revoke", "sts:read", "sts:admin"];

/// The name of the built-in API.
pub(super) const BUILT_IN: &str = "sts";

/// The APIs, the built-in one first.
pub(super) fn compile(spec: &Spec, findings: &mut Findings) -> Vec<Api> {
    let mut apis = Vec::with_capacity(spec.apis.len() + 1);
    let built_in = || -> Result<Api, sts_types::NameError> {
        Ok(Api {
            name: sts_types::ApiName::new(BUILT_IN)?,
            audience: Audience::new(spec.issuer.as_str())?,
            display_name: None,
            scopes: BUILT_IN_SCOPES.into_iter().map(Scope::new).collect::<Result<ScopeSet, _>>()?,
        })
    };
    match built_in() {
        Ok(api) => apis.push(api),
        Err(error) => findings.error(
            CheckCode::InvalidName,
            Origin::NONE,
            format!("our `issuer` cannot be an audience: {error}"),
            None,
        ),
    }
    apis.extend(spec.apis.iter().map(|api| Api {
        name: api.name.value.clone(),
        audience: api.audience.value.clone(),
        display_name: api.display_name.clone(),
        scopes: api.scopes.iter().map(|scope| scope.value.clone()).collect(),
    }));
    apis
}
