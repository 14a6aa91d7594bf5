//! Decides on a token of ours that is exchanged for another. The new token is of the same account,
//! and no more is granted than the identity of the first token grants today, and, for the API of an
//! ancestor, than that ancestor has.

use std::borrow::Cow;
use std::sync::Arc;

use sts_types::{AccountId, ApiName, Audience, EntryName, IdentityName, Lifetime, NamedGroup, ScopeSet, UnixTime};

use crate::evaluate::{target, within};
use crate::external::{Holdings, Named};
use crate::finding::quoted;
use crate::identity::ApiGrant;
use crate::ruleset::{Provenance, RuleSet};
use crate::{Diagnosis, Grant, Memberships, Outcome, Refusal, Replay, Requested, RequestedAccount};

/// A token of ours in an exchange. Whether it and its ancestors are in force is the caller's duty.
#[derive(Clone, Copy, Debug)]
pub struct ParentToken<'a> {
    /// Its account's id.
    pub account: &'a AccountId,
    /// Its `iat`.
    pub issued: UnixTime,
    /// What the first of its ancestors was minted on.
    pub root: Root<'a>,
    /// What the token and each ancestor are for.
    pub ancestors: &'a [AncestorLimit<'a>],
    /// The groups that the ID token at its root named, with the teams that the token has by them.
    pub named_groups: &'a [NamedGroup],
}

/// What an ancestor is for. A token that came from it has no other scopes for the same API.
#[derive(Clone, Copy, Debug)]
pub struct AncestorLimit<'a> {
    /// The API's name.
    pub api: &'a ApiName,
    /// Its audience.
    pub audience: &'a Audience,
    /// The scopes.
    pub scopes: &'a ScopeSet,
}

impl AncestorLimit<'_> {
    /// Whether it limits `grant`. A renamed API keeps its audience, and with it the services that take its
    /// tokens.
    fn is_for(&self, grant: &ApiGrant) -> bool {
        *self.api == grant.name || *self.audience == grant.audience
    }
}

/// What a token that came from no other of ours was minted on.
#[derive(Clone, Copy, Debug)]
pub enum Root<'a> {
    /// An ID token.
    Identity {
        /// The identity that let it in.
        identity: &'a IdentityName,
        /// Its issuer entry.
        entry: &'a EntryName,
    },
    /// An API key of the account.
    ApiKey {
        /// What the key is narrowed to, in every API.
        scopes: Option<&'a ScopeSet>,
    },
}

/// What a root grants today.
struct RootGrants<'a> {
    index: usize,
    holdings: Holdings<'a>,
    grants: Cow<'a, [ApiGrant]>,
    identity: Option<IdentityName>,
    ttl: Option<Lifetime>,
}

impl RuleSet {
    /// Decides on a request that presents a token of ours.
    #[must_use]
    pub fn decide_descendant(
        &self,
        parent: &ParentToken<'_>,
        requested: &Requested,
        memberships: &dyn Memberships,
        now: UnixTime,
    ) -> Outcome {
        match self.descendant(parent, requested, memberships, now) {
            Ok(grant) => Outcome::Granted(grant),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn descendant(
        &self,
        parent: &ParentToken<'_>,
        requested: &Requested,
        memberships: &dyn Memberships,
        now: UnixTime,
    ) -> Result<Grant, Refusal> {
        let root = self.root_grants(parent, memberships, now, now).ok_or(Refusal::NoIdentityMatched)?;
        match requested.account {
            RequestedAccount::Any => {}
            RequestedAccount::Known(named) if named == root.index => {}
            RequestedAccount::Known(_) | RequestedAccount::Nobody => return Err(Refusal::NoSuchAccount),
        }
        let account = root.holdings.account;
        let grant = self.limited(&root.holdings, &root.grants, parent.ancestors, requested)?;
        within(&grant, requested)?;
        Ok(Grant {
            account: Arc::clone(&account.granted),
            given_teams: root.holdings.given_teams(),
            identity: root.identity,
            api: grant.name,
            audience: grant.audience,
            scopes: requested.scopes.clone().unwrap_or(grant.scopes),
            lifetime: self.lifetime([root.ttl, account.terms.ttl], requested),
            // Only ID tokens are used up.
            replay: Replay::Allow,
            copy_claims: Arc::default(),
            requires_proof: account.terms.require_proof,
        })
    }

    /// What the root of `parent` grants if it is judged as of `at` and memberships as of `now`. `None` if
    /// the rules do not support the token any more.
    fn root_grants(
        &self,
        parent: &ParentToken<'_>,
        memberships: &dyn Memberships,
        at: UnixTime,
        now: UnixTime,
    ) -> Option<RootGrants<'_>> {
        match parent.root {
            Root::Identity { identity, entry } => {
                let provenance = Provenance { account: parent.account, identity, entry, issued: parent.issued };
                let (index, account, identity) = self.live_identity(&provenance, at)?;
                let entry = self.entry_by_name.get(entry);
                let named = entry.map_or(Named::Nothing, |entry| Named::Earlier(*entry, parent.named_groups));
                let holdings = self.holdings_by(account, named, memberships, now);
                Some(RootGrants {
                    index,
                    grants: holdings.of_identity(identity),
                    holdings,
                    identity: Some(identity.name.clone()),
                    ttl: identity.terms.ttl,
                })
            }
            Root::ApiKey { scopes } => {
                let (index, account) = self.account_of_id(parent.account)?;
                let is_live = account.terms.window.is_live(parent.issued, at);
                let holdings = self.holdings_by(account, Named::Nothing, memberships, now);
                let all = holdings.of_account();
                let grants = match scopes {
                    None => all,
                    Some(scopes) => Cow::Owned(self.narrowed(&all, scopes)),
                };
                is_live.then_some(RootGrants { index, holdings, grants, identity: None, ttl: None })
            }
        }
    }

    /// `grants` without the scopes that are not among `scopes`.
    fn narrowed(&self, grants: &[ApiGrant], scopes: &ScopeSet) -> Vec<ApiGrant> {
        let narrow = |grant: &ApiGrant| {
            let kept: ScopeSet = grant.scopes.iter().filter(|scope| scopes.contains(scope.as_str())).cloned().collect();
            self.is_granted(grant.api, &kept).then(|| ApiGrant { scopes: kept, ..grant.clone() })
        };
        grants.iter().filter_map(narrow).collect()
    }

    /// Whether `scopes` are a grant: an API that declares scopes and keeps none is not granted.
    fn is_granted(&self, api: usize, scopes: &ScopeSet) -> bool {
        !scopes.is_empty() || self.apis.get(api).is_some_and(|api| api.scopes.is_empty())
    }

    /// The grant for the requested API, without the scopes that an ancestor for the same API lacks.
    fn limited(
        &self,
        holdings: &Holdings<'_>,
        grants: &[ApiGrant],
        ancestors: &[AncestorLimit<'_>],
        requested: &Requested,
    ) -> Result<ApiGrant, Refusal> {
        let grant = target(holdings, grants, requested)?;
        let is_kept = |scope: &str| {
            ancestors.iter().filter(|limit| limit.is_for(grant)).all(|limit| limit.scopes.contains(scope))
        };
        let scopes: ScopeSet = grant.scopes.iter().filter(|scope| is_kept(scope.as_str())).cloned().collect();
        if !self.is_granted(grant.api, &scopes) {
            return Err(Refusal::TargetNotGranted);
        }
        Ok(ApiGrant { scopes, ..grant.clone() })
    }

    /// Explains why a request that presents a token of ours is refused, and what would end that.
    #[must_use]
    pub fn diagnose_descendant(
        &self,
        parent: &ParentToken<'_>,
        requested: &Requested,
        memberships: &dyn Memberships,
        now: UnixTime,
        refusal: Refusal,
    ) -> Diagnosis {
        let id = parent.account;
        let Some((_, account)) = self.account_of_id(id) else {
            let cause = format!("the presented token is of account {}, which is gone", quoted(id.as_str()));
            return Diagnosis::new(refusal.reason(), cause).at("subject_token");
        };
        let name = quoted(account.granted.name.as_str());
        // The time of the token itself, so that what ended since is named and not left out.
        let root = self.root_grants(parent, memberships, parent.issued, now);
        let grants = root.as_ref().map_or(&[][..], |root| &root.grants);
        let apis = grants.iter().map(|grant| quoted(grant.name.as_str())).collect::<Vec<_>>().join(", ");
        let origin = match parent.root {
            Root::Identity { identity, .. } => format!("identity {} of account {name}", quoted(identity.as_str())),
            Root::ApiKey { .. } => format!("the API key of account {name}"),
        };
        let lacking =
            || root.as_ref().map_or_else(String::new, |root| self.lacking(&root.holdings, requested, memberships, now));
        let found = |cause: String| Diagnosis::new(refusal.reason(), cause);
        match refusal {
            Refusal::NoSuchAccount => {
                found(format!("the presented token is of account {name}, and the request names another"))
                    .at("audience")
                    .expected(account.granted.name.as_str())
                    .fix(format!("name {name}, or no account"))
            }
            Refusal::TargetRequired => {
                found(format!("no API was asked for, and account {name} has several and no `default_api`"))
                    .at("audience")
                    .expected(apis.clone())
                    .fix(format!("name one of {apis} in `audience`"))
            }
            Refusal::TargetNotGranted => {
                found(format!("{origin} does not grant the API that was asked for{}", lacking()))
                    .at("audience")
                    .expected(apis.clone())
                    .fix(format!("ask for one of {apis}"))
            }
            Refusal::ScopeNotGranted => {
                let left = root
                    .as_ref()
                    .and_then(|root| self.limited(&root.holdings, &root.grants, parent.ancestors, requested).ok());
                let left = quoted(&left.map(|grant| grant.scopes).unwrap_or_default().to_string());
                let cause = format!(
                    "a token that is exchanged for another of account {name} has no more scopes than that one and {origin}: {left}{}",
                    lacking()
                );
                found(cause)
                    .at("scope")
                    .actual(requested.scopes.as_ref().map(ToString::to_string).unwrap_or_default())
                    .expected(left.clone())
                    .fix(format!("ask for scopes among {left}"))
            }
            Refusal::AccountDisabled | Refusal::NoIdentityMatched | Refusal::AmbiguousAccount => {
                found(format!("the presented token came from {origin}, which does not accept tokens any more"))
                    .at("subject_token")
                    .fix("present a new ID token or API key")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{AccountSpec, NoDirectory, RequestedNames};

    /// `octo` may create and read at `deploy` and use `logs`, which has no scopes; its identity `reads` only reads.
    fn rules() -> RuleSet {
        let octo = AccountSpec {
            grants: vec![grant("deploy", &["create", "read"]), grant("logs", &[])],
            identities: vec![
                subject("all", "repo:acme/app:ref:refs/heads/main"),
                crate::IdentitySpec {
                    scopes: Some(scopes(&["read"])),
                    ..subject("reads", "repo:acme/app:ref:refs/heads/dev")
                },
            ],
            ..account("octo", vec![])
        };
        crate::fixture::rules(&spec(vec![octo, account("other", vec![])]))
    }

    /// The scopes for `audience` and `scope` with a token of identity `of` and these ancestors.
    fn decide(of: &str, ancestors: &[(&str, &str)], audience: &[&str], scope: &str) -> Result<String, Refusal> {
        let rules = rules();
        let audience = words(audience);
        let asked = RequestedNames { audience: &audience, scope: Some(scope), ..RequestedNames::default() };
        let requested = rules.resolve(&asked).unwrap();
        let ancestors: Vec<_> = ancestors
            .iter()
            .map(|(api, scope)| {
                // `name=audience` for an API that had another name or audience.
                let own = rules.api(api).map(|api| api.audience.to_string()).unwrap_or_default();
                let (api, audience) = api.split_once('=').unwrap_or((api, &own));
                let audience = if audience.is_empty() { "gone" } else { audience };
                (ApiName::new(api).unwrap(), Audience::new(audience).unwrap(), ScopeSet::parse(scope).unwrap())
            })
            .collect();
        let borrowed: Vec<_> =
            ancestors.iter().map(|(api, audience, scopes)| AncestorLimit { api, audience, scopes }).collect();
        let (account, identity) = (AccountId::new("octo").unwrap(), IdentityName::new(of).unwrap());
        let entry = EntryName::new("github").unwrap();
        let root = match of {
            "key" => Root::ApiKey { scopes: None },
            _ => Root::Identity { identity: &identity, entry: &entry },
        };
        let reading = ScopeSet::parse("read").unwrap();
        let root = if of == "reading key" { Root::ApiKey { scopes: Some(&reading) } } else { root };
        let parent = ParentToken { account: &account, issued: NOW, root, ancestors: &borrowed, named_groups: &[] };
        match rules.decide_descendant(&parent, &requested, &NoDirectory, NOW) {
            Outcome::Granted(grant) => Ok(format!("{} {}", grant.api, grant.scopes)),
            Outcome::Refused(refusal) => {
                let diagnosis = rules.diagnose_descendant(&parent, &requested, &NoDirectory, NOW, refusal);
                assert!(!diagnosis.cause.is_empty() && diagnosis.reason == refusal.reason(), "{diagnosis:?}");
                Err(refusal)
            }
        }
    }

    #[test]
    fn c085_a_token_of_a_token_has_no_more_than_its_identity_and_every_ancestor_for_the_same_api() {
        use Refusal::{NoIdentityMatched, NoSuchAccount, ScopeNotGranted, TargetNotGranted, TargetRequired};
        let parent = &[("deploy", "read")][..];
        for (of, ancestors, audience, scope, wanted) in [
            ("all", &[("deploy", "create read")][..], &["deploy"][..], "", Ok("deploy create read")),
            ("all", &[("deploy", "create read")], &["deploy"], "create", Ok("deploy create")),
            ("all", parent, &["deploy"], "", Ok("deploy read")),
            ("all", parent, &["deploy"], "create", Err(ScopeNotGranted)),
            ("all", parent, &["octo", "logs"], "", Ok("logs ")),
            ("all", &[("logs", ""), ("deploy", "read")], &["deploy"], "create", Err(ScopeNotGranted)),
            ("all", &[("logs", ""), ("deploy", "read")], &["deploy"], "", Ok("deploy read")),
            ("all", &[("deploy", "gone")], &["deploy"], "", Err(TargetNotGranted)),
            // An API under a new name or with a new audience is narrowed as before.
            ("all", &[("renamed=https://deploy.example.com", "read")], &["deploy"], "create", Err(ScopeNotGranted)),
            ("all", &[("renamed=https://deploy.example.com", "read")], &["deploy"], "", Ok("deploy read")),
            ("all", &[("deploy=before", "read")], &["deploy"], "create", Err(ScopeNotGranted)),
            // An API without scopes is not narrowed by scopes.
            ("reads", parent, &["logs"], "", Ok("logs ")),
            ("reads", &[("deploy", "create read")], &["deploy"], "create", Err(ScopeNotGranted)),
            ("all", parent, &[], "", Err(TargetRequired)),
            ("all", parent, &["other", "deploy"], "", Err(NoSuchAccount)),
            ("all", parent, &["nobody", "deploy"], "", Err(NoSuchAccount)),
            ("all", parent, &["deploy"], "unheard:of", Err(ScopeNotGranted)),
            ("key", &[("deploy", "create read")], &["deploy"], "create", Ok("deploy create")),
            ("key", parent, &["logs"], "", Ok("logs ")),
            ("key", parent, &["deploy"], "create", Err(ScopeNotGranted)),
            ("reading key", &[("deploy", "create read")], &["deploy"], "", Ok("deploy read")),
            ("reading key", &[("deploy", "create read")], &["deploy"], "create", Err(ScopeNotGranted)),
            ("gone", parent, &["deploy"], "", Err(NoIdentityMatched)),
        ] {
            let wanted = wanted.map(str::to_owned);
            assert_eq!(decide(of, ancestors, audience, scope), wanted, "{of} {ancestors:?} {audience:?} {scope}");
        }
    }

    proptest::proptest! {
        /// No chain of requests makes a token with a scope that its identity does not grant, or that an
        /// ancestor for the same API lacks.
        #[test]
        fn c085_no_chain_of_exchanges_ever_widens_a_scope_or_an_audience(
            of in proptest::sample::select(vec!["all", "reads", "key", "reading key"]),
            steps in proptest::collection::vec((0_usize..3, 0_u8..8), 1..6),
        ) {
            let granted: &[&str] = match of {
                "all" | "key" => &["deploy create", "deploy read", "logs"],
                "reads" | "reading key" => &["deploy read", "logs"],
                _ => &[],
            };
            let mut chain: Vec<(String, String)> = Vec::new();
            for (api, mask) in steps {
                let api = ["deploy", "logs", "other"][api];
                let asked: Vec<&str> = ["create", "read", "delete"]
                    .into_iter()
                    .enumerate()
                    .filter(|(bit, _)| mask & 1 << bit != 0)
                    .map(|(_, scope)| scope)
                    .collect();
                let ancestors: Vec<(&str, &str)> =
                    chain.iter().map(|(api, scope)| (api.as_str(), scope.as_str())).collect();
                let Ok(outcome) = decide(of, &ancestors, &[api], &asked.join(" ")) else { continue };
                let (api, scopes) = outcome.split_once(' ').unwrap();
                for scope in scopes.split(' ').filter(|scope| !scope.is_empty()) {
                    proptest::prop_assert!(granted.contains(&format!("{api} {scope}").as_str()), "{of}: {outcome}");
                    let same_api = chain.iter().filter(|(other, _)| other == api);
                    for (_, before) in same_api {
                        proptest::prop_assert!(before.split(' ').any(|other| other == scope), "{chain:?}: {outcome}");
                    }
                }
                proptest::prop_assert!(granted.iter().any(|own| own.starts_with(api)), "{of}: {outcome}");
                chain.push((api.to_owned(), scopes.to_owned()));
            }
        }
    }
}
