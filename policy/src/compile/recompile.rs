//! Compiles a change of some accounts and teams, and keeps what the change does not touch.

use std::collections::HashSet;

use sts_types::AccountName;

use crate::account::Account;
use crate::ruleset::{Compiled, RuleSet};
use crate::{AccountSpec, FaultyNames, Finding, Severity, Spec, TeamSpec};

impl RuleSet {
    /// Compiles a change: `teams` are all teams, `accounts` the accounts that are new or changed, or
    /// whose teams changed. Accounts named in `gone` go; all others stay as they were compiled.
    /// Issuer entries, APIs and `tokens` are those of this rule set. Only `accounts` and `teams` have
    /// findings. A name in `faulty` has a reported fault, and its consequences are not reported again.
    ///
    /// # Errors
    /// All findings, if one of them is worse than a lint.
    pub fn recompile(
        &self,
        teams: Vec<TeamSpec>,
        accounts: Vec<AccountSpec>,
        gone: &HashSet<String>,
        faulty: &FaultyNames,
    ) -> Result<Compiled, Vec<Finding>> {
        let changed: HashSet<&str> = accounts.iter().map(|account| account.name.value.as_str()).collect();
        let is_kept = |account: &&Account| {
            let name = account.granted.name.as_str();
            !gone.contains(name) && !changed.contains(name)
        };
        let kept = self.accounts.iter().filter(is_kept).cloned().collect();
        let spec = Spec { teams, accounts, faulty: faulty.clone(), ..self.frame.clone() };
        let mut compiled = Self::compile_beside(&spec, kept)?;
        if compiled.warnings.iter().any(|finding| finding.severity > Severity::Warning) {
            return Err(compiled.warnings);
        }
        compiled.rules.guards.clone_from(&self.guards);
        Ok(compiled)
    }

    /// The usernames of the accounts in any of `teams`, and of those that were compiled by what an external
    /// one of them grants.
    #[must_use]
    pub fn members(&self, teams: &HashSet<String>) -> Vec<AccountName> {
        let external = &self.external.teams;
        let is_external = external.iter().any(|team| teams.contains(team.name.as_str()));
        let names = |index: &usize| external.get(*index).is_some_and(|team| teams.contains(team.name.as_str()));
        let is_member = |account: &&Account| {
            account.granted.teams.iter().any(|team| teams.contains(team.as_str()))
                || (is_external && account.terms.relies_on_external && self.possible_teams(account).iter().any(names))
        };
        self.accounts.iter().filter(is_member).map(|account| account.granted.name.clone()).collect()
    }

    /// The usernames of the accounts that let any of `actors`, usernames or ids, act for them.
    #[must_use]
    pub fn delegating_to(&self, actors: &HashSet<String>) -> Vec<AccountName> {
        let delegates = |account: &&Account| account.terms.actors.iter().any(|actor| actors.contains(&**actor));
        self.accounts.iter().filter(delegates).map(|account| account.granted.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::AccountChanges;
    use crate::fixture::*;

    fn block(id: u32) -> crate::IdentitySpec {
        short(identity("i"), "github", json!({ "repository_id": id }))
    }

    fn member(name: &str, id: u32) -> AccountSpec {
        AccountSpec { teams: vec![at("t".to_owned())], grants: vec![], ..account(name, vec![block(id)]) }
    }

    fn spec_of(scopes: &[&str], accounts: Vec<AccountSpec>) -> Spec {
        let t = external("t", vec![grant("deploy", scopes)], vec![directory_group("CN=T")]);
        with_directory(Spec { teams: vec![t], ..spec(accounts) })
    }

    fn names(list: &[&str]) -> HashSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The account and scopes that a token of each repository is granted.
    fn decisions(rules: &RuleSet) -> Vec<String> {
        let requested = ask(rules, &[], "");
        let (entry, groups) = (entry("github"), ["cn=t".into()]);
        let of_group = |claims: &sts_claims::ClaimSet| {
            let memberships = crate::membership::GroupsOfTest(&groups);
            let facts = crate::Facts { entry: &entry, claims, now: NOW, memberships: &memberships };
            format!("{:?}", rules.decide(facts, &requested))
        };
        let tokens = (0..8_u32).map(|id| token(json!({ "repository_id": id.to_string() })));
        tokens.map(|claims| format!("{} {}", outcome(rules, &claims, &requested), of_group(&claims))).collect()
    }

    #[test]
    fn a_change_compiles_to_what_a_load_would() {
        let old = rules(&spec_of(&["read"], vec![member("a", 1), account("b", vec![block(2)]), member("c", 3)]));
        let new = spec_of(&["read", "create"], vec![account("b", vec![block(2)]), member("c", 3), member("d", 4)]);
        let whole = rules(&new);
        let members = old.members(&names(&["t"]));
        assert_eq!(members.iter().map(AccountName::as_str).collect::<Vec<_>>(), ["a", "c"]);
        let changed = vec![member("c", 3), member("d", 4)];
        let part = old.recompile(new.teams.clone(), changed, &names(&["a"]), &FaultyNames::default()).unwrap().rules;
        assert_eq!(AccountChanges::between(&part, &whole), AccountChanges::default());
        assert_eq!(sorted_accounts(&part), sorted_accounts(&whole));
        assert_eq!(decisions(&part), decisions(&whole));
        assert_ne!(decisions(&part), decisions(&old));
    }

    /// An account by its number: the repository that it takes tokens of, and how it comes to the team.
    type Model = BTreeMap<u32, (u32, Tie)>;

    /// How an account is tied to the team.
    #[derive(Clone, Copy, Debug)]
    enum Tie {
        None,
        Member,
        /// A group may give it the team.
        Login,
        /// So it is, and its identity is narrowed to what only the team may grant.
        Narrowed,
    }

    fn account_of(number: u32, (id, tie): (u32, Tie)) -> AccountSpec {
        let name = format!("a{number}");
        match tie {
            Tie::None => account(&name, vec![block(id)]),
            Tie::Member => member(&name, id),
            Tie::Login => with_login(account(&name, vec![block(id)]), &name),
            Tie::Narrowed => {
                let identity = crate::IdentitySpec { scopes: Some(scopes(&["delete"])), ..block(id) };
                with_login(account(&name, vec![identity]), &name)
            }
        }
    }

    fn ties() -> impl Strategy<Value = Tie> {
        prop::sample::select(vec![Tie::None, Tie::Member, Tie::Login, Tie::Narrowed])
    }

    fn sorted_accounts(rules: &RuleSet) -> Vec<String> {
        let mut all: Vec<String> = rules.accounts().map(|account| format!("{account:?}")).collect();
        all.sort();
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_history_of_changes_compiles_to_what_a_load_would(
            history in vec((0..6_u32, option::of((0..8_u32, ties())), 0..3_usize), 1..12),
        ) {
            const SCOPES: [&[&str]; 3] = [&["read"], &["read", "create"], &["delete"]];
            let (mut model, mut team_scopes) = (Model::new(), SCOPES[0]);
            let mut part = rules(&spec_of(team_scopes, vec![]));
            for (number, state, scopes) in history {
                let (before, scopes_before) = (model.clone(), team_scopes);
                match state {
                    Some(state) => model.insert(number, state),
                    None => model.remove(&number),
                };
                let mut changed: BTreeSet<u32> = BTreeSet::from([number]);
                if SCOPES[scopes] != team_scopes {
                    team_scopes = SCOPES[scopes];
                    let members = part.members(&names(&["t"]));
                    changed.extend(before.keys().filter(|own| members.iter().any(|name| name.as_str() == format!("a{own}"))));
                }
                let gone = if state.is_none() { names(&[&format!("a{number}")]) } else { HashSet::new() };
                let whole = spec_of(team_scopes, model.iter().map(|(own, state)| account_of(*own, *state)).collect());
                let specs = changed.iter().filter_map(|own| Some(account_of(*own, *model.get(own)?))).collect();
                let changed = part.recompile(whole.teams.clone(), specs, &gone, &FaultyNames::default());
                let whole = RuleSet::compile(&whole);
                prop_assert_eq!(changed.is_ok(), whole.is_ok());
                let (Ok(changed), Ok(whole)) = (changed, whole) else {
                    // A refused change changes nothing.
                    (model, team_scopes) = (before, scopes_before);
                    continue;
                };
                let whole = whole.rules;
                part = changed.rules;
                prop_assert_eq!(decisions(&part), decisions(&whole));
                prop_assert_eq!(sorted_accounts(&part), sorted_accounts(&whole));
                prop_assert_eq!(AccountChanges::between(&part, &whole), AccountChanges::default());
            }
        }
    }

    #[test]
    fn a_collision_is_the_fault_of_what_is_new() {
        let old = rules(&spec(vec![with_id(account("a", vec![]), "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11")]));
        let none = HashSet::new();
        for name in ["deploy", "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11"] {
            let findings =
                old.recompile(vec![], vec![account(name, vec![])], &none, &FaultyNames::default()).unwrap_err();
            assert!(findings.iter().any(|finding| finding.message.contains("is taken")), "{findings:?}");
        }
        let changed = with_id(account("a", vec![]), "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b12");
        assert!(old.recompile(vec![], vec![changed], &none, &FaultyNames::default()).is_ok());
    }

    #[test]
    fn an_unsafe_change_is_refused_and_the_tests_of_files_stay() {
        let mut old = rules(&spec(vec![]));
        old.guards = None;
        let broad = account("a", vec![subject("i", "repo:*")]);
        assert!(old.recompile(vec![], vec![broad], &HashSet::new(), &FaultyNames::default()).is_err());
        let fresh = old
            .recompile(vec![], vec![account("a", vec![block(1)])], &HashSet::new(), &FaultyNames::default())
            .unwrap()
            .rules;
        assert!(fresh.guards.is_none());
    }

    /// Prints what a change costs; a figure to look at. Run it optimised.
    #[test]
    #[ignore = "a measurement"]
    #[expect(clippy::disallowed_methods, reason = "a measurement takes real time")]
    fn a_change_among_many_accounts_takes_how_long() {
        const MANY: u32 = 100_000;
        let spec = spec((0..MANY).map(|id| account(&format!("a{id}"), vec![block(id)])).collect());
        let began = std::time::Instant::now();
        let old = rules(&spec);
        println!("a load of {MANY} accounts: {:?}", began.elapsed());
        for _ in 0..5 {
            let changed = account("a7", vec![block(MANY + 1)]);
            let began = std::time::Instant::now();
            let new = old.recompile(vec![], vec![changed], &HashSet::new(), &FaultyNames::default()).unwrap().rules;
            println!("a change of one: {:?}", began.elapsed());
            assert_eq!(new.accounts.len(), old.accounts.len());
        }
    }
}
