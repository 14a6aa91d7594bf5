//! Checks that every actor is a service account.

use std::collections::HashMap;

use sts_types::CheckCode;

use crate::Spec;
use crate::account::Account;
use crate::finding::{Findings, name_help, quoted};

/// Reports actors that do not exist, and accounts that are to act for themselves. An actor may be one of
/// the `kept` accounts, which were compiled before.
pub(super) fn check(spec: &Spec, kept: &[Account], findings: &mut Findings) {
    if spec.accounts.iter().all(|account| account.actors.is_empty()) {
        return;
    }
    let mut by_name: HashMap<&str, &str> = HashMap::new();
    for account in kept {
        let name = account.granted.name.as_str();
        by_name.insert(name, name);
        by_name.insert(account.granted.id.as_str(), name);
    }
    for account in &spec.accounts {
        let name = account.name.value.as_str();
        by_name.insert(name, name);
        if let Some(id) = &account.id {
            by_name.insert(id.value.as_str(), name);
        }
    }
    for account in &spec.accounts {
        for actor in &account.actors {
            match by_name.get(actor.value.as_str()) {
                Some(name) if *name == account.name.value.as_str() => findings.warning(
                    CheckCode::SelfDelegation,
                    actor.origin,
                    format!("service account {} needs nobody's permission to act as itself", quoted(name)),
                    "leave it out, or name the account that acts for it".to_owned(),
                ),
                Some(_) => {}
                None if findings.faulty.accounts.contains(&actor.value) => {}
                None => {
                    let names = by_name.values().copied();
                    let message = format!("there is no service account {}", quoted(&actor.value));
                    findings.error(CheckCode::UnknownActor, actor.origin, message, name_help(&actor.value, names));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::{AccountSpec, RuleSet};

    #[test]
    fn an_actor_is_another_account_by_its_username_or_id() {
        let codes = |actors: &[&str]| {
            let actors = actors.iter().map(|actor| at((*actor).to_owned())).collect();
            let subject = AccountSpec { actors, ..account("octo", vec![]) };
            let spec = spec(vec![subject, with_id(account("robot", vec![]), UUID)]);
            let findings = match RuleSet::compile(&spec) {
                Ok(compiled) => compiled.warnings,
                Err(findings) => findings,
            };
            findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>()
        };
        let without = codes(&[]);
        assert_eq!(codes(&["robot"]), without);
        assert_eq!(codes(&[UUID]), without);
        for (actor, code) in [("robt", "unknown-actor"), ("deploy", "unknown-actor"), ("octo", "self-delegation")] {
            assert!(codes(&[actor]).contains(&code), "{actor}: {:?}", codes(&[actor]));
        }
    }
}
