//! Identities that meet: one that never decides because an earlier one takes all, and accounts that one token can reach.

mod relation;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Map;
use sts_types::{AccountName, ClaimPath, ClaimSet, IdentityName, Json, Origin};

use crate::identity::{ApiGrant, Identity};
use crate::index::IdentityAt;
use crate::ruleset::{Account, RuleSet};
use crate::{Preset, Spec};
use relation::{Meeting, meet, takes_all};

/// The most pairs of identities that are looked at: some seconds of work in a policy that is made to be slow.
const MOST_PAIRS: usize = 100_000;

/// The most overlaps that are told.
const MOST_TOLD: usize = 200;

/// What identities of a policy have in common. It is judged as if every claim had one value.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overlaps {
    /// Identities that never decide.
    pub shadowed: Vec<Shadowed>,
    /// Accounts that one token can reach.
    pub ambiguous: Vec<Ambiguous>,
    /// Whether there was too much to look at or to tell all of it.
    pub incomplete: bool,
}

/// An identity that never decides: an earlier one of its account accepts every token that it does, and grants all that it does.
#[derive(Clone, Debug, Serialize)]
pub struct Shadowed {
    /// The account.
    pub account: AccountName,
    /// The identity that never decides.
    pub identity: IdentityName,
    /// The earlier one.
    pub by: IdentityName,
    /// Where the identity was written.
    #[serde(skip)]
    pub origin: Origin,
}

/// Two accounts that one token can reach, so that a request which names neither is ambiguous.
#[derive(Clone, Debug, Serialize)]
pub struct Ambiguous {
    /// The accounts, in file order.
    pub accounts: [AccountName; 2],
    /// The identity of each.
    pub identities: [IdentityName; 2],
    /// A subject that both accept, when either has a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether such a token surely exists; else the conditions are of kinds that were not compared.
    pub certain: bool,
    /// Where the second identity was written.
    #[serde(skip)]
    pub origin: Origin,
}

impl RuleSet {
    /// What identities have in common, of the policy that was compiled from `spec`.
    #[must_use]
    pub fn overlaps(&self, spec: &Spec) -> Overlaps {
        let mut found = Overlaps::default();
        let mut told = HashSet::new();
        let mut looked_at = HashSet::new();
        for (entry, spec) in self.entries.iter().zip(&spec.issuers) {
            let members: Vec<IdentityAt> = entry.index.members().collect();
            for (a, b) in pairs(&members, &self.accounts, spec.preset) {
                if found.shadowed.len() + found.ambiguous.len() >= MOST_TOLD || looked_at.len() >= MOST_PAIRS {
                    found.incomplete = true;
                    return found;
                }
                let pair = if a < b { (a, b) } else { (b, a) };
                if looked_at.insert(pair) {
                    self.compare(pair.0, pair.1, spec.preset, &mut told, &mut found);
                }
            }
        }
        found
    }

    fn compare(
        &self,
        first: IdentityAt,
        second: IdentityAt,
        preset: Option<Preset>,
        told: &mut HashSet<(usize, usize, usize)>,
        found: &mut Overlaps,
    ) {
        let (Some((a_account, a)), Some((b_account, b))) = (self.identity(first), self.identity(second)) else {
            return;
        };
        if !a.terms.window.enabled || !b.terms.window.enabled {
            return;
        }
        if first.account == second.account {
            // Each is told once.
            if takes_all(a, b) && told.insert((second.account, second.identity, usize::MAX)) {
                found.shadowed.push(Shadowed {
                    account: b_account.granted.name.clone(),
                    identity: b.name.clone(),
                    by: a.name.clone(),
                    origin: b.origin,
                });
            }
            return;
        }
        let enabled = a_account.terms.window.enabled && b_account.terms.window.enabled;
        if self.require_account || !enabled || !same_request(a_account, a, b_account, b) {
            return;
        }
        // Two accounts are told once.
        if told.contains(&(first.account, second.account, 0)) {
            return;
        }
        let Some(Meeting { subject, certain }) = meet(a, b, preset) else { return };
        told.insert((first.account, second.account, 0));
        found.ambiguous.push(Ambiguous {
            accounts: [a_account.granted.name.clone(), b_account.granted.name.clone()],
            identities: [a.name.clone(), b.name.clone()],
            subject,
            certain,
            origin: b.origin,
        });
    }
}

/// The pairs of identities that can have a token in common, rarest kinship first; a pair may come more than once.
fn pairs<'a>(
    members: &'a [IdentityAt],
    accounts: &'a [Account],
    preset: Option<Preset>,
) -> impl Iterator<Item = (IdentityAt, IdentityAt)> + 'a {
    let mut heads: BTreeMap<&str, Vec<IdentityAt>> = BTreeMap::new();
    let mut texts: HashMap<(&ClaimPath, String), Vec<IdentityAt>> = HashMap::new();
    let mut rest = Vec::new();
    for at in members.iter().copied() {
        let Some(identity) = at.of(accounts) else { continue };
        let mut filed = false;
        if let Some(subject) = &identity.subject {
            heads.entry(subject.literal_head()).or_default().push(at);
            filed = true;
        }
        for condition in identity.conditions.iter() {
            for text in condition.exact_texts().unwrap_or_default() {
                texts.entry((&condition.path, text.to_owned())).or_default().push(at);
                filed = true;
            }
        }
        if !filed {
            rest.push(at);
        }
    }
    // A subject that names the repository is kin to the rules that name it in a claim.
    let paths: HashSet<&ClaimPath> = texts.keys().map(|(path, _)| *path).collect();
    for (head, under) in &heads {
        let named = claims_of(preset, head);
        for path in &paths {
            if let Some(text) = named.find(path).and_then(Json::as_str)
                && let Some(group) = texts.get_mut(&(*path, text.to_owned()))
            {
                group.extend(under);
            }
        }
    }
    let mut groups: Vec<(Vec<IdentityAt>, Vec<IdentityAt>)> = Vec::new();
    let mut open: Vec<(&str, &Vec<IdentityAt>)> = Vec::new();
    for (head, under) in &heads {
        while open.last().is_some_and(|(beginning, _)| !head.starts_with(beginning)) {
            open.pop();
        }
        groups.extend(open.iter().map(|(_, shorter)| ((*shorter).clone(), under.clone())));
        groups.push((under.clone(), under.clone()));
        open.push((head, under));
    }
    groups.extend(texts.into_values().map(|group| (group.clone(), group)));
    groups.push((rest, members.to_vec()));
    groups.sort_by_key(|(left, right)| left.len() * right.len());
    let both = |(left, right): (Vec<IdentityAt>, Vec<IdentityAt>)| {
        left.into_iter().flat_map(move |a| right.clone().into_iter().map(move |b| (a, b)))
    };
    groups.into_iter().flat_map(both).filter(|(a, b)| a != b)
}

/// The claims that follow from the beginning of a subject.
fn claims_of(preset: Option<Preset>, head: &str) -> ClaimSet {
    let mut claims = Map::new();
    if let Some(preset) = preset {
        preset.adopt_subject(head, &mut claims);
    }
    claims.into()
}

/// Whether a request that names nothing, or one that names an API which both grant, is covered by both.
fn same_request(a_account: &Account, a: &Identity, b_account: &Account, b: &Identity) -> bool {
    let default = |account: &Account, own: &Identity| {
        account.terms.default_target.is_some_and(|api| own.terms.grants.iter().any(|grant| grant.api == api))
    };
    let shares = |own: &ApiGrant| b.terms.grants.iter().any(|other| other.api == own.api);
    (default(a_account, a) && default(b_account, b)) || a.terms.grants.iter().any(shares)
}

#[cfg(test)]
mod tests;
