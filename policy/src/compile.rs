//! Compiling a policy: every name looked up, every pattern parsed, and everything that is wrong said at once.

mod accounts;
mod broad;
mod conditions;
mod grants;
mod names;

use std::collections::{HashMap, HashSet};

use sts_types::{Audience, Lifetime, Located, Origin, Scope, ScopeSet};

use crate::finding::{Finding, Findings, quoted};
use crate::index::{IdentityAt, Index};
use crate::ruleset::{Api, Compiled, Entry, RuleSet};
use crate::{IssuerSpec, Spec};

/// The scopes of the built-in API `sts`.
const BUILT_IN_SCOPES: [&str; 4] = ["sts:introspect", "sts:revoke", "sts:read", "sts:admin"];

/// The name of the built-in API.
const BUILT_IN: &str = "sts";

impl RuleSet {
    /// Compiles a policy, or says everything that is wrong with it, lints included.
    ///
    /// # Errors
    /// All findings, when any of them is worse than a lint.
    pub fn compile(spec: &Spec) -> Result<Compiled, Vec<Finding>> {
        let mut findings = Findings::default();
        lifetimes(spec, &mut findings);
        let apis = apis(spec, &mut findings);
        names::check(spec, &mut findings);
        let accounts = accounts::compile(spec, &apis, &mut findings);
        let entries = entries(spec, &accounts);
        let mut account_by_name = HashMap::new();
        for (at, account) in accounts.iter().enumerate() {
            account_by_name.insert(account.granted.name.as_str().into(), at);
            account_by_name.insert(account.granted.id.as_str().into(), at);
        }
        let refuse = findings.refuse();
        let findings = findings.into_vec();
        if refuse {
            return Err(findings);
        }
        let rules = Self {
            ttl: spec.tokens.ttl.value,
            max_ttl: spec.tokens.max_ttl.value,
            require_account: spec.tokens.require_account,
            ignore_scopes: spec.tokens.ignore_scopes.clone(),
            entry_by_name: spec.issuers.iter().enumerate().map(|(at, entry)| (entry.name.value.clone(), at)).collect(),
            entries,
            api_by_name: apis.iter().enumerate().map(|(at, api)| (api.name.clone(), at)).collect(),
            api_by_audience: apis.iter().enumerate().map(|(at, api)| (api.audience.clone(), at)).collect(),
            declared_scopes: apis.iter().flat_map(|api| api.scopes.iter().cloned()).collect(),
            apis,
            accounts,
            account_by_name,
        };
        Ok(Compiled { rules, warnings: findings })
    }
}

/// `ttl` over `max_ttl`, wherever it is written. A default is not written: it is cut instead.
fn lifetimes(spec: &Spec, findings: &mut Findings) {
    let most = spec.tokens.max_ttl.value;
    let mut check = |ttl: &Located<Lifetime>| {
        if ttl.value > most && ttl.origin != Origin::NONE {
            let message = format!("`ttl` is {}, over the `max_ttl` of {}", duration(ttl.value), duration(most));
            let help = format!("write at most {}, or raise `tokens.max_ttl`", duration(most));
            findings.error(ttl.origin, message, help);
        }
    };
    check(&spec.tokens.ttl);
    for account in &spec.accounts {
        let own = account.identities.iter().filter_map(|identity| identity.ttl.as_ref());
        account.ttl.iter().chain(own).for_each(&mut check);
    }
}

/// A lifetime as the configuration writes it.
pub(crate) fn duration(lifetime: Lifetime) -> String {
    let seconds = lifetime.as_secs();
    match [(86_400, 'd'), (3_600, 'h'), (60, 'm')].into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// The APIs, the built-in one first.
fn apis(spec: &Spec, findings: &mut Findings) -> Vec<Api> {
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
        Err(error) => findings.error(Origin::NONE, format!("our `issuer` cannot be an audience: {error}"), None),
    }
    apis.extend(spec.apis.iter().map(|api| Api {
        name: api.name.value.clone(),
        audience: api.audience.value.clone(),
        display_name: api.display_name.clone(),
        scopes: api.scopes.iter().map(|scope| scope.value.clone()).collect(),
    }));
    apis
}

/// The issuer entries, each with the audiences and the index of the identities that accept it.
fn entries(spec: &Spec, accounts: &[crate::ruleset::Account]) -> Vec<Entry> {
    let ours = Audience::new(spec.issuer.as_str());
    let configured =
        |entry: &IssuerSpec| entry.audience.iter().map(|audience| audience.value.clone()).collect::<HashSet<_>>();
    let mut entries: Vec<Entry> = spec
        .issuers
        .iter()
        .map(|entry| {
            let audiences = configured(entry).into_iter().chain(ours.clone()).collect();
            Entry { enabled: entry.enabled, audiences, index: Index::default() }
        })
        .collect();
    for (account, own) in accounts.iter().enumerate() {
        for (identity, compiled) in own.identities.iter().enumerate() {
            for rule in &compiled.entries {
                let Some(entry) = entries.get_mut(rule.entry) else { continue };
                entry.audiences.extend(rule.audiences.iter().cloned());
                let preset = spec.issuers.get(rule.entry).and_then(|spec| spec.preset);
                let preferred = preset.map_or(&[][..], crate::Preset::lent_claims);
                entry.index.insert(IdentityAt { account, identity }, compiled, preferred);
            }
        }
    }
    entries
}

/// An account and identity, as messages name them.
fn identity_title(account: &str, identity: &str) -> String {
    format!("identity {} of {}", quoted(identity), quoted(account))
}
