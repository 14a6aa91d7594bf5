//! Effect of a policy change: the verdict on a token under the old rules and under the new ones.

use serde::Serialize;

use crate::case::Case;
use crate::membership::GroupsOfTest;
use crate::resolve::RequestedNames;
use crate::{Facts, Outcome, RuleSet};

/// The result for one token, in the terms that callers and records see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// The token is exchanged.
    Granted {
        /// The account's id, which becomes `sub`.
        account: String,
        /// The identity that decides.
        identity: String,
        /// `aud` of the minted token.
        audience: String,
        /// `scope` of the minted token.
        scope: String,
        /// Lifetime of the minted token in seconds.
        expires_in: u32,
    },
    /// The token is refused.
    Refused {
        /// The stable reason.
        reason: &'static str,
    },
}

/// How a verdict changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Refused before, granted now.
    NewlyAllowed,
    /// Granted before, refused now.
    NewlyDenied,
    /// Granted before and now, but with another account, identity, audience, scope or lifetime.
    Changed,
}

impl RuleSet {
    /// The verdict on a token whose signature, times and issuer entry are verified already.
    #[must_use]
    pub fn verdict(&self, case: &Case) -> Verdict {
        let names = RequestedNames {
            audience: &case.audience,
            resource: &case.resource,
            scope: case.scope.as_deref(),
            client_id: None,
            client_is_account: false,
            lifetime: None,
        };
        let memberships = GroupsOfTest(&case.groups);
        let facts = Facts { entry: &case.entry, claims: &case.claims, now: case.now, memberships: &memberships };
        self.verdict_on(facts, &names)
    }

    /// As [`RuleSet::verdict`], for a request that came.
    #[must_use]
    pub fn verdict_on(&self, facts: Facts<'_>, names: &RequestedNames<'_>) -> Verdict {
        if !self.entry_by_name.contains_key(facts.entry) {
            return Verdict::Refused { reason: "issuer_unknown" };
        }
        let Ok(requested) = self.resolve(names) else {
            return Verdict::Refused { reason: "request_malformed" };
        };
        if !self.knows_audience(facts.entry, facts.claims) {
            return Verdict::Refused { reason: "token_audience" };
        }
        match self.decide(facts, &requested) {
            Outcome::Refused(refusal) => Verdict::Refused { reason: refusal.reason() },
            Outcome::Granted(grant) => Verdict::Granted {
                account: grant.account.id.to_string(),
                identity: grant.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
                audience: grant.audience.to_string(),
                scope: grant.scopes.to_string(),
                expires_in: grant.lifetime.as_secs(),
            },
        }
    }
}

impl Change {
    /// The change from `before` to `after`. `None` if they are equal, or both refuse.
    #[must_use]
    pub fn between(before: &Verdict, after: &Verdict) -> Option<Self> {
        match (before, after) {
            (Verdict::Refused { .. }, Verdict::Granted { .. }) => Some(Self::NewlyAllowed),
            (Verdict::Granted { .. }, Verdict::Refused { .. }) => Some(Self::NewlyDenied),
            (Verdict::Granted { .. }, Verdict::Granted { .. }) if before != after => Some(Self::Changed),
            _ => None,
        }
    }

    /// The change in words, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly allowed",
            Self::NewlyDenied => "newly denied",
            Self::Changed => "changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{IdentitySpec, Spec};
    use serde_json::json;

    const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

    fn case(changes: serde_json::Value) -> Case {
        Case {
            entry: entry("github"),
            claims: token(changes),
            audience: words(&["octo"]),
            resource: vec![],
            scope: None,
            groups: vec![],
            now: NOW,
        }
    }

    fn between(before: &Spec, after: &Spec, case: &Case) -> Option<Change> {
        Change::between(&rules(before).verdict(case), &rules(after).verdict(case))
    }

    #[test]
    fn a_change_of_policy_is_told_by_what_comes_of_a_token() {
        let of = |identity: IdentitySpec| spec(vec![account("octo", vec![identity])]);
        let (main, all) = (of(subject("i", MAIN)), of(subject("i", "repo:octo-org/**")));
        let (on_main, on_dev) = (case(json!({})), case(json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/dev" })));
        assert_eq!(between(&main, &all, &on_main), None);
        assert_eq!(between(&main, &all, &on_dev), Some(Change::NewlyAllowed));
        assert_eq!(between(&all, &main, &on_dev), Some(Change::NewlyDenied));
        let renamed = of(subject("j", MAIN));
        let less = of(IdentitySpec { scopes: Some(scopes(&["read"])), ..subject("i", MAIN) });
        for after in [&renamed, &less] {
            assert_eq!(between(&main, after, &on_main), Some(Change::Changed));
        }
        let mut gone = main.clone();
        gone.issuers[0] = issuer("other", GITHUB);
        gone.accounts[0].identities[0].issuers = vec![at("other".to_owned())];
        assert_eq!(rules(&gone).verdict(&on_main), Verdict::Refused { reason: "issuer_unknown" });
        let elsewhere = case(json!({ "aud": "https://elsewhere.example" }));
        assert_eq!(rules(&main).verdict(&elsewhere), Verdict::Refused { reason: "token_audience" });
        let two = Case { audience: words(&["octo", "other"]), ..on_main };
        assert_eq!(rules(&main).verdict(&two), Verdict::Refused { reason: "request_malformed" });
    }
}
