//! The members of families that the rules name: an identity whose conditions fix every variable says which issuers it means.

use std::collections::BTreeSet;

use jwks_cache::{FamilySpec, Specs};
use sts_policy::{AccountSpec, ConditionSpec, IdentitySpec, ScalarSpec, Spec};
use sts_types::{Issuer, IssuerTemplate, Located};

/// The most members of a family that are named; a rule that lists more means a pattern.
const MOST: usize = 10_000;

/// Tells each family which of its members the rules of `policy` name.
pub(super) fn assign(specs: &mut Specs, policy: &Spec) {
    for family in &mut specs.families {
        let identities = policy.accounts.iter().flat_map(|account| &account.identities);
        let own =
            identities.filter(|identity| identity.issuers.iter().any(|issuer| issuer.value == family.name.as_str()));
        let named: BTreeSet<Issuer> = own.flat_map(|identity| members(family, identity)).take(MOST).collect();
        family.named = named.into_iter().collect();
    }
}

/// Adds the members that `accounts` name to those that the families have. Returns whether there are new
/// ones. A member that nobody names any more stays until the next load: it only keeps its place in the
/// cache.
pub(crate) fn assign_more(specs: &mut Specs, accounts: &[AccountSpec]) -> bool {
    let mut is_changed = false;
    for family in &mut specs.families {
        let identities = accounts.iter().flat_map(|account| &account.identities);
        let own =
            identities.filter(|identity| identity.issuers.iter().any(|issuer| issuer.value == family.name.as_str()));
        let fresh: BTreeSet<Issuer> = own
            .flat_map(|identity| members(family, identity))
            .filter(|member| !family.named.contains(member))
            .collect();
        let room = MOST.saturating_sub(family.named.len());
        is_changed |= !fresh.is_empty() && room > 0;
        family.named.extend(fresh.into_iter().take(room));
    }
    is_changed
}

/// The members that the identity's conditions name; none when they leave a variable open.
fn members(family: &FamilySpec, identity: &IdentitySpec) -> Vec<Issuer> {
    let names: Vec<&str> = family.template.names().collect();
    let Some(values) = names.iter().map(|name| values(&family.template, identity, name)).collect::<Option<Vec<_>>>()
    else {
        return Vec::new();
    };
    let mut choices: Vec<Vec<&str>> = vec![Vec::new()];
    for values in &values {
        if choices.len().saturating_mul(values.len()) > MOST {
            return Vec::new();
        }
        choices = choices
            .iter()
            .flat_map(|choice| values.iter().map(move |value| [choice.as_slice(), &[*value]].concat()))
            .collect();
    }
    let member = |choice: &Vec<&str>| {
        let value_of = |name: &str| {
            let chosen = names.iter().zip(choice).find(|(own, _)| **own == name);
            chosen.map(|(_, value)| (*value).to_owned())
        };
        family.template.member(value_of)
    };
    choices.iter().filter_map(member).collect()
}

/// The values that may stand for a variable, by the identity's condition on it or by the template's list.
fn values<'a>(template: &'a IssuerTemplate, identity: &'a IdentitySpec, name: &str) -> Option<Vec<&'a str>> {
    let condition = identity.claims.iter().find(|(claim, _)| claim.value == name).map(|(_, condition)| condition);
    condition
        .and_then(exact)
        .or_else(|| template.listed(name).map(|values| values.iter().map(String::as_str).collect()))
}

/// The texts that a condition lists, if it lists nothing but exact texts.
fn exact(condition: &ConditionSpec) -> Option<Vec<&str>> {
    match condition {
        ConditionSpec::Scalar(scalar) => text_of(scalar).map(|text| vec![text]),
        ConditionSpec::AnyOf(scalars) => scalars.iter().map(text_of).collect(),
        ConditionSpec::Object(object) => object.any_of.as_ref()?.iter().map(text_of).collect(),
    }
}

fn text_of(scalar: &Located<ScalarSpec>) -> Option<&str> {
    match &scalar.value {
        ScalarSpec::Text(text) if !text.contains(['*', '?', '\\']) => Some(text),
        _ => None,
    }
}
