//! Overlaps between identities: an identity that never decides because an earlier one accepts all
//! its tokens, and two accounts that one token can reach.

mod relation;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use sts_claims::{ClaimPath, Json};
use sts_types::{AccountName, IdentityName, Origin};

use crate::account::Account;
use crate::identity::{ApiGrant, Identity};
use crate::index::IdentityPosition;
use crate::ruleset::RuleSet;
use crate::{Preset, Spec};
pub(crate) use relation::can_meet;
use relation::{CommonToken, claims_of, meet, takes_all};

/// Bound on the pairs of identities compared: some seconds of work in a policy built to be slow.
const MOST_PAIRS: usize = 100_000;

/// Bound on the overlaps reported.
const MOST_TOLD: usize = 200;

/// The overlaps in a policy. The comparison assumes that every claim has one value, not a list.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overlaps {
    /// Identities that never decide.
    pub shadowed: Vec<Shadowed>,
    /// Accounts that one token can reach.
    pub ambiguous: Vec<Ambiguous>,
    /// Whether the comparison stopped at a bound, so that overlaps may be missing.
    pub incomplete: bool,
}

/// An identity that never decides: an earlier identity of its account accepts every token that it
/// accepts, and grants everything that it grants.
#[derive(Clone, Debug, Serialize)]
pub struct Shadowed {
    /// The account.
    pub account: AccountName,
    /// The identity that never decides.
    pub identity: IdentityName,
    /// The earlier identity that decides in its place.
    pub by: IdentityName,
    /// Position of the identity in the files.
    #[serde(skip)]
    pub origin: Origin,
}

/// Two accounts that one token can reach. A request that names neither is ambiguous.
#[derive(Clone, Debug, Serialize)]
pub struct Ambiguous {
    /// The accounts, in file order.
    pub accounts: [AccountName; 2],
    /// The identity of each.
    pub identities: [IdentityName; 2],
    /// A subject that both identities accept, if at least one of them has a subject pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether a token that both accept surely exists. `false` where the two have conditions that
    /// the comparison cannot relate.
    pub certain: bool,
    /// Position of the second identity in the files.
    #[serde(skip)]
    pub origin: Origin,
}

impl RuleSet {
    /// Finds the overlaps between identities. `spec` must be the spec that this rule set was
    /// compiled from.
    #[must_use]
    pub fn overlaps(&self, spec: &Spec) -> Overlaps {
        let mut found = Overlaps::default();
        let mut reported = HashSet::new();
        let mut compared = HashSet::new();
        for (entry, spec) in self.entries.iter().zip(&spec.issuers) {
            let members: Vec<IdentityPosition> = entry.index.members().collect();
            for (a, b) in pairs(&members, &self.accounts, spec.preset) {
                if found.shadowed.len() + found.ambiguous.len() >= MOST_TOLD || compared.len() >= MOST_PAIRS {
                    found.incomplete = true;
                    return found;
                }
                let pair = if a < b { (a, b) } else { (b, a) };
                if compared.insert(pair) {
                    self.compare(pair.0, pair.1, spec.preset, &mut reported, &mut found);
                }
            }
        }
        found
    }

    fn compare(
        &self,
        first: IdentityPosition,
        second: IdentityPosition,
        preset: Option<Preset>,
        reported: &mut HashSet<(usize, usize, usize)>,
        found: &mut Overlaps,
    ) {
        let (Some((a_account, a)), Some((b_account, b))) = (self.identity(first), self.identity(second)) else {
            return;
        };
        if !a.terms.window.enabled || !b.terms.window.enabled {
            return;
        }
        if first.account() == second.account() {
            // What groups may give later is narrowed, too.
            let leaves_all = a.terms.narrowing.is_none()
                || a.terms.narrowing == b.terms.narrowing
                || self.possible_teams(a_account).is_empty();
            // Several earlier identities may shadow one; report it once.
            if leaves_all && takes_all(a, b) && reported.insert((second.account(), second.identity(), usize::MAX)) {
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
        // Several identities of two accounts may overlap; report the accounts once.
        if reported.contains(&(first.account(), second.account(), 0)) {
            return;
        }
        let Some(CommonToken { subject, certain }) = meet(a, b, preset) else { return };
        reported.insert((first.account(), second.account(), 0));
        found.ambiguous.push(Ambiguous {
            accounts: [a_account.granted.name.clone(), b_account.granted.name.clone()],
            identities: [a.name.clone(), b.name.clone()],
            subject,
            certain,
            origin: b.origin,
        });
    }
}

/// The pairs of identities that may share a token: their subject heads or exact claim values fit
/// together. The smallest groups come first, and a pair may come more than once.
fn pairs<'a>(
    members: &'a [IdentityPosition],
    accounts: &'a [Account],
    preset: Option<Preset>,
) -> impl Iterator<Item = (IdentityPosition, IdentityPosition)> + 'a {
    let mut heads: BTreeMap<&str, Vec<IdentityPosition>> = BTreeMap::new();
    let mut texts: HashMap<(&ClaimPath, String), Vec<IdentityPosition>> = HashMap::new();
    let mut rest = Vec::new();
    for position in members.iter().copied() {
        let Some(identity) = position.of(accounts) else { continue };
        let mut filed = false;
        if let Some(subject) = &identity.subject {
            heads.entry(subject.literal_head()).or_default().push(position);
            filed = true;
        }
        for condition in identity.conditions.iter() {
            for text in condition.exact_texts().unwrap_or_default() {
                texts.entry((&condition.path, text.to_owned())).or_default().push(position);
                filed = true;
            }
        }
        if !filed {
            rest.push(position);
        }
    }
    // A subject pattern that names the repository joins the identities that name it in a claim.
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
    let mut groups: Vec<(Vec<IdentityPosition>, Vec<IdentityPosition>)> = Vec::new();
    // The heads are sorted, so the heads that a head begins with form a stack.
    let mut open: Vec<(&str, &Vec<IdentityPosition>)> = Vec::new();
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
    let both = |(left, right): (Vec<IdentityPosition>, Vec<IdentityPosition>)| {
        left.into_iter().flat_map(move |a| right.clone().into_iter().map(move |b| (a, b)))
    };
    groups.into_iter().flat_map(both).filter(|(a, b)| a != b)
}

/// Whether both identities cover the same request: one without a target, or one for an API that
/// both grant.
fn same_request(a_account: &Account, a: &Identity, b_account: &Account, b: &Identity) -> bool {
    let default = |account: &Account, identity: &Identity| {
        account.terms.default_target.is_some_and(|api| identity.terms.grants.iter().any(|grant| grant.api == api))
    };
    let shares = |grant: &ApiGrant| b.terms.grants.iter().any(|other| other.api == grant.api);
    (default(a_account, a) && default(b_account, b)) || a.terms.grants.iter().any(shares)
}

#[cfg(test)]
mod tests;
