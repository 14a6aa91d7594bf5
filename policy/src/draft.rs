//! What a draft of an identity for one refused token needs: the claims that tell where the token comes
//! from, and whether its owner is one that the account trusts already.
//!
//! Anybody can send a token of a shared issuer that names an account. A draft must not turn that into a
//! way in.

mod fork;
mod near;
mod owner;

use serde_json::{Map, Value};
use sts_claims::{ClaimPath, ClaimSet};
use sts_types::EntryName;

use crate::condition::{Condition, Matcher, Test};
use crate::identity::{ConditionCache, Identity};
use crate::pattern::Pattern;
use crate::preset::OwnerGrammar;
use crate::{Facts, IssuerSpec, Outcome, Preset, Requested, RequestedAccount, RequestedNames, RuleSet, events};
pub use fork::ForkCode;
pub use near::{Guard, NearestIdentity, SoleFault};
use owner::{OwnerClaims, OwnerMatch};

/// The longest value of a claim to keep, in octets.
const MAX_VALUE: usize = 1024;

/// How the owner of a token relates to the identities that an account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRelation {
    /// The issuer has one owner.
    SoleOwner,
    /// Many tenants share the issuer, and nothing but the whole subject tells them apart.
    Untold,
    /// The account has no identity of this issuer yet.
    First,
    /// An identity of the account accepts tokens of this owner.
    Known,
    /// The same, but all that tells is a name, which may have got to somebody else.
    KnownByName,
    /// Every identity of the account accepts other owners or other issuers of the family only, or one
    /// accepts an owner of the same name and with another id.
    Stranger,
}

impl RuleSet {
    /// `sub`, the claims that tell where the token comes from, those that say whether its branch and
    /// environment are protected, and what started the job: by name or pointer. Long values and those that
    /// are no text or number are left out.
    #[must_use]
    pub fn origin_claims(&self, facts: Facts<'_>) -> Map<String, Value> {
        let issuer = self.issuer_spec(facts.entry);
        let owner = issuer.map(OwnerClaims::of);
        let event = issuer.is_some_and(has_events).then_some("event_name");
        let source = owner.iter().filter_map(|owner| -> Option<&str> { owner.source() });
        let names = owner.iter().flat_map(OwnerClaims::names).chain(source).chain(event).chain(near::PROTECTIONS);
        let names = names.chain(["sub"]);
        let value = |name: &str| Some((name.to_owned(), origin_value(facts.claims, name)?));
        names.filter_map(value).collect()
    }

    /// What fixes the owner of the token beside its subject, as `facts` has it: the variables of the issuer
    /// template, the ids of the place where the job runs, and the claims that name the owner by an id that is
    /// never reused. Without these claims if the subject has such an id, or if the platform never reuses names.
    #[must_use]
    pub fn owner_pins(&self, facts: Facts<'_>) -> Map<String, Value> {
        let grammar = self.issuer_spec(facts.entry).and_then(grammar);
        let has_id =
            |grammar: &&OwnerGrammar| facts.claims.text("sub").is_some_and(|subject| (grammar.subject_has_id)(subject));
        let ids = grammar.filter(|grammar| !has_id(grammar)).map_or(&[][..], |grammar| grammar.ids);
        let places = grammar.into_iter().flat_map(|grammar| grammar.runs_in).map(|(place, _)| place);
        let ids = ids.iter().chain(places);
        let ids = ids.filter_map(|name| Some(((*name).to_owned(), origin_value(facts.claims, name)?)));
        // A condition of a variable's name is on the variable.
        ids.chain(self.variables(facts).to_map()).collect()
    }

    /// How the owner of the token relates to the identities of `account`.
    #[must_use]
    pub fn owner_relation(&self, account: &str, facts: Facts<'_>) -> OwnerRelation {
        let Some(issuer) = self.issuer_spec(facts.entry) else { return OwnerRelation::Stranger };
        let account = self.account_by_name.get(account).and_then(|index| self.accounts.get(*index));
        let Some(account) = account else { return OwnerRelation::Stranger };
        let owner = OwnerClaims::of(issuer);
        let matches = self.owner_matches(&owner, &account.identities, facts);
        let has = |wanted: OwnerMatch| matches.contains(&wanted);
        if !matches.is_empty() && matches.iter().all(|found| *found == OwnerMatch::OtherMember) {
            OwnerRelation::Stranger
        } else if !is_shared(issuer) {
            OwnerRelation::SoleOwner
        } else if has(OwnerMatch::OtherOfThatName) {
            OwnerRelation::Stranger
        } else if has(OwnerMatch::ById) {
            OwnerRelation::Known
        } else if self.is_other_of_that_name(&owner, facts) {
            OwnerRelation::Stranger
        } else if matches.is_empty() {
            OwnerRelation::First
        } else if owner.is_untold() {
            OwnerRelation::Untold
        } else if has(OwnerMatch::ByName) {
            OwnerRelation::KnownByName
        } else {
            OwnerRelation::Stranger
        }
    }

    /// Whether an identity of any account accepts an owner of the same name and with another id: the name
    /// has got to somebody else.
    fn is_other_of_that_name(&self, owner: &OwnerClaims<'_>, facts: Facts<'_>) -> bool {
        let all = self.accounts.iter().flat_map(|account| &account.identities);
        self.owner_matches(owner, all, facts).contains(&OwnerMatch::OtherOfThatName)
    }

    /// What each of the identities that accept the entry says of the token's owner.
    fn owner_matches<'a>(
        &self,
        owner: &OwnerClaims<'_>,
        identities: impl IntoIterator<Item = &'a Identity>,
        facts: Facts<'_>,
    ) -> Vec<OwnerMatch> {
        let variables = self.variables(facts);
        let memo = ConditionCache::default();
        let context = self.context(facts, &variables, &memo);
        let accepts = |identity: &&Identity| context.entry.and_then(|entry| identity.rule(entry)).is_some();
        identities.into_iter().filter(accepts).map(|identity| owner.compare(identity, &context)).collect()
    }

    /// The event of the token, if a stranger can cause it.
    #[must_use]
    pub fn strangers_event(&self, facts: Facts<'_>) -> Option<String> {
        self.issuer_spec(facts.entry).filter(|issuer| has_events(issuer))?;
        let event = facts.claims.get("event_name");
        if events::is_writers(event, || facts.claims.text("sub")) {
            return None;
        }
        // Without an event, the subject is that of a pull request.
        let Some(event) = event else { return Some("pull_request".to_owned()) };
        Some(event.as_str().map_or_else(|| event.to_value().to_string(), str::to_owned))
    }

    /// An event that a stranger can cause and that these rules would grant the token for.
    #[must_use]
    pub fn granted_event(&self, facts: Facts<'_>, names: &RequestedNames<'_>) -> Option<String> {
        self.issuer_spec(facts.entry).filter(|issuer| has_events(issuer))?;
        let requested = self.resolve(names).ok()?;
        let is_granted = |event: &String| self.grants_event(facts, &requested, event);
        self.strangers_event(facts)
            .into_iter()
            .chain(self.events_to_try(facts.entry, requested.account))
            .find(is_granted)
    }

    /// Whether the token would be granted if `event` were its event.
    pub(crate) fn grants_event(&self, facts: Facts<'_>, requested: &Requested, event: &str) -> bool {
        let mut claims = facts.claims.to_map();
        claims.insert("event_name".to_owned(), event.into());
        let claims = claims.into();
        matches!(self.decide(Facts { claims: &claims, ..facts }, requested), Outcome::Granted(_))
    }

    /// Events of strangers that an identity may accept: those that are known, and those that an
    /// identity names. None if every identity refuses them.
    pub(crate) fn events_to_try(&self, entry: &EntryName, account: RequestedAccount) -> Vec<String> {
        let Some(entry) = self.entry_by_name.get(entry) else { return Vec::new() };
        let is_asked = |index: usize| match account {
            RequestedAccount::Known(known) => index == known,
            RequestedAccount::Any => true,
            RequestedAccount::Nobody => false,
        };
        let accounts = self.accounts.iter().enumerate().filter(|(index, _)| is_asked(*index));
        let accepts = |identity: &&Identity| identity.rule(*entry).is_some_and(|rule| !rule.ban_events);
        let mut identities = accounts.flat_map(|(_, account)| &account.identities).filter(accepts).peekable();
        if identities.peek().is_none() {
            return Vec::new();
        }
        let named =
            identities.flat_map(|identity| identity.conditions.iter()).filter(|condition| is_on_event(condition));
        let mut named: Vec<String> =
            named.flat_map(|condition| patterns(condition).map(Pattern::example).collect::<Vec<_>>()).collect();
        named.retain(|event| !events::WRITERS_EVENTS.contains(&event.as_str()));
        events::STRANGERS_EVENTS.iter().map(|event| (*event).to_owned()).chain(named).collect()
    }

    fn issuer_spec(&self, entry: &EntryName) -> Option<&IssuerSpec> {
        self.frame.issuers.get(*self.entry_by_name.get(entry)?)
    }
}

fn grammar(issuer: &IssuerSpec) -> Option<&'static OwnerGrammar> {
    issuer.preset.and_then(Preset::owner).or_else(|| issuer.known?.owner())
}

fn has_events(issuer: &IssuerSpec) -> bool {
    issuer.preset.is_some_and(Preset::is_github_grammar)
}

fn is_on_event(condition: &Condition) -> bool {
    matches!(condition.path.as_str(), "event_name" | "/event_name")
}

/// Whether the tokens of the entry come from many owners.
fn is_shared(issuer: &IssuerSpec) -> bool {
    issuer.shared
        || issuer.preset.is_some_and(|preset| preset.defaults().shared)
        || issuer.known.is_some_and(|known| known.shared_member)
        || !issuer.owner_claims.is_empty()
        || issuer.issuer.value.template().is_some_and(|template| template.open_variables().next().is_some())
}

/// The value of a claim, if it is a text or number that is not long.
fn origin_value(claims: &ClaimSet, name: &str) -> Option<Value> {
    let value = claims.find(&ClaimPath::parse(name).ok()?)?;
    let value = match value.as_str() {
        Some(text) => Value::from(text),
        None => Value::Number(value.as_number()?.clone()),
    };
    (value.to_string().len() <= MAX_VALUE).then_some(value)
}

/// The patterns of a condition that lists accepted values.
fn patterns(condition: &Condition) -> impl Iterator<Item = &Pattern> {
    let matchers = condition.tests.iter().flat_map(|test| match test {
        Test::AnyOf(matchers) => matchers.as_slice(),
        _ => &[],
    });
    matchers.filter_map(Matcher::pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdentitySpec;
    use crate::fixture::*;
    use serde_json::json;
    use std::sync::Arc;
    use sts_types::{IdentityName, IssuerTemplate, Issuers, Located, VariableSpec};

    fn relation(identities: Vec<IdentitySpec>, changes: Value) -> OwnerRelation {
        let rules = rules(&spec(vec![account("octo", identities)]));
        let claims = token(changes);
        rules.owner_relation(
            "octo",
            Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &crate::NoDirectory },
        )
    }

    fn block(rule: Value) -> IdentitySpec {
        short(identity("i"), "github", rule)
    }

    #[test]
    fn an_owner_is_known_by_its_ids_where_the_identity_has_some_and_else_by_its_name() {
        let of = |owner: &str, repository: &str, owner_id: &str, id: &str| {
            json!({
                "sub": format!("repo:{owner}/{repository}:ref:refs/heads/dev"), "repository": format!("{owner}/{repository}"),
                "repository_owner": owner, "repository_owner_id": owner_id, "repository_id": id,
            })
        };
        let by_name = || vec![block(json!({ "repository": "octo-org/app" }))];
        let by_subject = || vec![subject("i", "repo:octo-org/app:ref:refs/heads/main")];
        let by_ids = || vec![block(json!({ "repository": "octo-org/app", "repository_owner_id": "65" }))];
        for (identities, claims, expected) in [
            (by_name(), of("octo-org", "other", "65", "2"), OwnerRelation::KnownByName),
            (by_name(), of("Octo-Org", "other", "65", "2"), OwnerRelation::KnownByName),
            (by_name(), of("octo-org-evil", "app", "66", "2"), OwnerRelation::Stranger),
            (by_subject(), of("octo-org", "other", "65", "2"), OwnerRelation::KnownByName),
            (by_subject(), of("evil", "app", "66", "2"), OwnerRelation::Stranger),
            (by_ids(), of("octo-org", "other", "65", "2"), OwnerRelation::Known),
            (by_ids(), of("octo-org", "app", "66", "2"), OwnerRelation::Stranger),
            (by_ids(), of("renamed", "app", "65", "2"), OwnerRelation::Known),
            (vec![], of("octo-org", "app", "65", "1"), OwnerRelation::First),
        ] {
            assert_eq!(relation(identities, claims.clone()), expected, "{claims}");
        }
    }

    /// A token of the owner `octo-org`. Its id is 65; any other id is somebody who took the name over.
    fn of_owner(id: &str) -> Value {
        json!({
            "sub": "repo:octo-org/app:ref:refs/heads/dev", "repository": "octo-org/app", "repository_owner": "octo-org",
            "repository_owner_id": id, "repository_id": "1", "enterprise_id": "5",
        })
    }

    #[test]
    fn only_an_exact_id_of_the_owner_itself_fixes_the_owner() {
        let excused = |identity: IdentitySpec| IdentitySpec {
            allow_broad: Some(Located::nowhere("a test".to_owned())),
            ..identity
        };
        for (id, other) in [
            (json!("6*"), OwnerRelation::Stranger),
            (json!(["65", "6*"]), OwnerRelation::Stranger),
            (json!({ "present": true }), OwnerRelation::Stranger),
            (json!({ "none_of": ["7"] }), OwnerRelation::Stranger),
            (json!({ "regex": "6." }), OwnerRelation::Stranger),
            (json!({ "any_of": ["65"], "or_absent": true }), OwnerRelation::Stranger),
            (json!("65"), OwnerRelation::Known),
            (json!(["7", "65"]), OwnerRelation::Known),
        ] {
            for path in ["repository_owner_id", "/repository_owner_id"] {
                let identities = vec![excused(claims(identity("i"), json!({ path: id })))];
                assert_eq!(relation(identities, of_owner("65")), other, "{path}: {id}");
            }
        }
        for (identity, expected) in [
            (excused(subject("i", "repo:**")), OwnerRelation::Stranger),
            (excused(subject("i", "repo:octo-org**")), OwnerRelation::Stranger),
            (
                excused(block(json!({ "repository_owner": { "any_of": ["octo-org"], "or_absent": true } }))),
                OwnerRelation::Stranger,
            ),
            // A repository can be handed over, and an enterprise has many owners.
            (block(json!({ "repository_id": "1", "repository_owner": "acme" })), OwnerRelation::Stranger),
            (block(json!({ "enterprise_id": "5", "repository_owner": "acme" })), OwnerRelation::Stranger),
            (block(json!({ "repository_id": "1", "repository_owner_id": "7" })), OwnerRelation::Stranger),
            (block(json!({ "repository_id": "1" })), OwnerRelation::Known),
            (block(json!({ "enterprise_id": "5" })), OwnerRelation::Known),
        ] {
            assert_eq!(relation(vec![identity.clone()], of_owner("65")), expected, "{identity:?}");
        }
    }

    #[test]
    fn where_a_job_of_gitlab_runs_makes_its_owner_no_known_one() {
        let excused = |rest: Value| IdentitySpec {
            allow_broad: Some(Located::nowhere("a test".to_owned())),
            ..of("gitlab", claims(identity("i"), rest))
        };
        let relation = |rest: Value| {
            let mut spec = spec(vec![account("octo", vec![excused(rest)])]);
            spec.issuers.push(issuer("gitlab", "https://gitlab.com"));
            // A fork's merge request, which runs in the project of `octo-group`.
            let claims: ClaimSet = Map::from_iter(
                [
                    ("sub", "project_path:stranger/fork:ref_type:branch:ref:main"),
                    ("project_path", "stranger/fork"),
                    ("namespace_path", "stranger"),
                    ("project_id", "777"),
                    ("namespace_id", "99"),
                    ("job_project_path", "octo-group/octo-project"),
                    ("job_namespace_path", "octo-group"),
                    ("job_project_id", "20"),
                    ("job_namespace_id", "72"),
                ]
                .map(|(name, value)| (name.to_owned(), json!(value))),
            )
            .into();
            let compiled = rules(&spec);
            let facts = Facts { entry: &entry("gitlab"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            let pins = compiled.owner_pins(facts);
            assert_eq!(pins.len(), 4, "the draft names the code's owner and the place: {pins:?}");
            compiled.owner_relation("octo", facts)
        };
        for rest in [
            json!({ "job_project_id": "20" }),
            json!({ "job_namespace_id": "72" }),
            json!({ "job_project_path": "octo-group/octo-project" }),
            json!({ "job_namespace_id": "72", "project_path": "octo-group/*" }),
            json!({ "job_project_id": "20", "project_id": "20" }),
        ] {
            assert_eq!(relation(rest.clone()), OwnerRelation::Stranger, "{rest}");
        }
        assert_eq!(relation(json!({ "namespace_id": "99" })), OwnerRelation::Known);
    }

    #[test]
    fn a_name_that_an_identity_knows_with_another_id_has_got_to_somebody_else() {
        let by_name = || subject("name", "repo:octo-org/lib:ref:refs/heads/main");
        let ids = || block(json!({ "repository": "octo-org/app", "repository_owner_id": "65" }));
        let in_subject = || subject("id", "repo:octo-org@65/app@1:ref:refs/heads/main");
        for with_id in [ids(), in_subject()] {
            for (id, expected) in [("65", OwnerRelation::Known), ("66", OwnerRelation::Stranger)] {
                assert_eq!(relation(vec![by_name(), with_id.clone()], of_owner(id)), expected, "{id}");
                // The same if another account knows.
                let of = |identities| account("octo", identities);
                let expected = if id == "65" { OwnerRelation::KnownByName } else { expected };
                for (own, wanted) in
                    [(vec![by_name()], expected), (vec![], if id == "65" { OwnerRelation::First } else { expected })]
                {
                    let rules = rules(&spec(vec![of(own), account("other", vec![with_id.clone()])]));
                    let claims = token(of_owner(id));
                    let facts =
                        Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
                    assert_eq!(rules.owner_relation("octo", facts), wanted, "{id}");
                }
            }
        }
        let mut subject_with_id = of_owner("66");
        subject_with_id["sub"] = json!("repo:octo-org@66/app@7:ref:refs/heads/dev");
        assert_eq!(relation(vec![in_subject()], subject_with_id), OwnerRelation::Stranger);
    }

    /// The issuers `https://{region}.ci.example/{tenant}`, of which anybody can have a tenant.
    fn family() -> IssuerSpec {
        let rules = [
            ("region", VariableSpec::OneOf(words(&["eu", "us"]))),
            ("tenant", VariableSpec::Pattern("[a-z]+".to_owned())),
        ];
        let rules = rules.map(|(name, rule)| (name.to_owned(), rule)).into();
        let template = IssuerTemplate::new("https://{region}.ci.example/{tenant}", &rules).unwrap();
        IssuerSpec { issuer: at(Issuers::Family(Arc::new(template))), ..issuer("family", "https://ci.example") }
    }

    #[test]
    fn another_member_of_an_issuer_family_is_a_stranger() {
        let of_tenant = |values: Value| claims(of("family", subject("i", "job:1")), values);
        let check = |issuer: IssuerSpec, identities: Vec<IdentitySpec>, iss: &str| {
            let mut spec = spec(vec![account("octo", identities)]);
            spec.issuers.push(issuer);
            let claims = token(json!({ "sub": "job:2", "iss": iss }));
            let rules = rules(&spec);
            let facts = Facts { entry: &entry("family"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            (rules.owner_relation("octo", facts), Value::Object(rules.owner_pins(facts)))
        };
        let acme = || of_tenant(json!({ "tenant": "acme" }));
        let both = || of_tenant(json!({ "tenant": "acme", "region": "eu" }));
        let (eu, us, evil) = ("https://eu.ci.example/acme", "https://us.ci.example/acme", "https://eu.ci.example/evil");
        let shared = || IssuerSpec { shared: true, owner_claims: vec![at("org".to_owned())], ..family() };
        for (identities, iss, expected) in [
            (vec![acme()], eu, OwnerRelation::Known),
            (vec![acme()], us, OwnerRelation::Known),
            (vec![acme()], evil, OwnerRelation::Stranger),
            (vec![both()], us, OwnerRelation::Stranger),
            (vec![both(), IdentitySpec { name: IdentityName::new("j").unwrap(), ..acme() }], us, OwnerRelation::Known),
            (vec![], evil, OwnerRelation::First),
        ] {
            let (relation, pins) = check(family(), identities.clone(), iss);
            assert_eq!(relation, expected, "{iss}: {identities:?}");
            let tenant = iss.rsplit('/').next().unwrap();
            assert_eq!(pins, json!({ "region": &iss[8..10], "tenant": tenant }), "the draft names the member");
        }
        // An identity is not widened to another member, though the other one knows the owner.
        let mut spec =
            spec(vec![account("octo", vec![IdentitySpec { subject: Some(at("job:2".to_owned())), ..both() }])]);
        spec.issuers.push(family());
        let claims = token(json!({ "sub": "job:2", "iss": us }));
        let facts = Facts { entry: &entry("family"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
        assert_eq!(rules(&spec).nearest_identity("octo", None, facts).unwrap().fault, None);
        // Where the members are shared as well, naming one fixes no owner.
        let org = || of_tenant(json!({ "tenant": "acme", "org": "7" }));
        assert_eq!(check(shared(), vec![org()], eu).0, OwnerRelation::Stranger);
    }

    #[test]
    fn an_issuer_of_one_owner_or_of_untold_ones_is_told_apart() {
        let of = |change: fn(&mut IssuerSpec)| {
            let mut spec = spec(vec![account("octo", vec![of("own", subject("i", "job:1"))])]);
            let mut own = issuer("own", "https://ci.octo.example");
            change(&mut own);
            spec.issuers.push(own);
            let claims: ClaimSet = Map::from_iter([("sub".to_owned(), json!("job:2"))]).into();
            let compiled = rules(&spec);
            compiled.owner_relation(
                "octo",
                Facts { entry: &entry("own"), claims: &claims, now: NOW, memberships: &crate::NoDirectory },
            )
        };
        assert_eq!(of(|_| {}), OwnerRelation::SoleOwner);
        assert_eq!(of(|own| own.shared = true), OwnerRelation::Untold);
        assert_eq!(of(|own| own.owner_claims = vec![at("org".to_owned())]), OwnerRelation::Stranger);
    }

    #[test]
    fn a_refused_token_keeps_its_subject_its_owner_and_its_event_and_no_more() {
        let rules = rules(&spec(vec![account("octo", vec![subject("i", "repo:o/r:**")])]));
        let claims = token(
            json!({ "actor": "somebody", "workflow": "x".repeat(2000), "repository": "o/".to_owned() + &"r".repeat(2000) }),
        );
        let kept = rules.origin_claims(Facts {
            entry: &entry("github"),
            claims: &claims,
            now: NOW,
            memberships: &crate::NoDirectory,
        });
        for name in ["sub", "repository_id", "repository_owner_id", "repository_owner", "event_name"] {
            assert_eq!(kept.get(name), claims.to_map().get(name), "{name}");
        }
        for name in ["actor", "workflow", "repository", "aud", "run_id"] {
            assert_eq!(kept.get(name), None, "{name}");
        }
    }

    #[test]
    fn an_identity_is_pinned_to_ids_unless_its_subject_has_them() {
        let rules = rules(&spec(vec![]));
        let ids = |subject: &str| {
            let claims = token(json!({ "sub": subject, "enterprise_id": null }));
            rules.owner_pins(Facts {
                entry: &entry("github"),
                claims: &claims,
                now: NOW,
                memberships: &crate::NoDirectory,
            })
        };
        let names: Vec<String> = ids("repo:o/r:ref:refs/heads/main").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["repository_id", "repository_owner_id"]);
        assert!(ids("repo:o@1/r@2:ref:refs/heads/main").is_empty());
    }

    #[test]
    fn an_event_of_strangers_that_would_be_granted_is_named() {
        let granted = |identity: IdentitySpec, changes: Value| {
            let rules = rules(&spec(vec![account("octo", vec![identity])]));
            let claims = token(changes);
            let names = RequestedNames { audience: &words(&["octo"]), ..RequestedNames::default() };
            let facts = Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            rules.granted_event(facts, &names)
        };
        let pull = || json!({ "sub": "repo:o/r:pull_request" });
        assert!(granted(subject("i", "repo:o/r:pull_request"), pull()).is_some());
        assert_eq!(granted(subject("i", "repo:o/r:**"), pull()), None);
        let on = |events: Value| claims(subject("i", "repo:o/r:**"), json!({ "event_name": events }));
        let pushed = || json!({ "sub": "repo:o/r:ref:refs/heads/main", "event_name": "push" });
        for event in ["fork", "watch", "discussion", "check_run", "pull_request_review", "brand_new"] {
            assert_eq!(granted(on(json!(["push", event])), pushed()).as_deref(), Some(event));
        }
        assert_eq!(granted(on(json!({ "none_of": ["pull_request"] })), pushed()), None, "it names no event");
        assert!(granted(on(json!("brand_*")), json!({ "sub": "repo:o/r:x", "event_name": "brand_new" })).is_some());
        assert_eq!(granted(on(json!(["push", "schedule"])), pushed()), None);
    }

    #[test]
    fn an_event_that_no_list_calls_a_writer_s_is_a_stranger_s() {
        let rules = rules(&spec(vec![]));
        let event = |changes: Value| {
            let claims = token(changes);
            let facts = Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            rules.strangers_event(facts)
        };
        for strangers in ["fork", "watch", "discussion", "check_run", "pull_request_review", "brand_new"] {
            assert_eq!(event(json!({ "event_name": strangers })).as_deref(), Some(strangers));
        }
        let pull = event(json!({ "event_name": null, "sub": "repo:o/r:pull_request" }));
        assert_eq!(pull.as_deref(), Some("pull_request"));
        assert_eq!(event(json!({ "event_name": ["push", "fork"] })).as_deref(), Some(r#"["push","fork"]"#));
        for writers in ["push", "schedule", "workflow_dispatch"] {
            assert_eq!(event(json!({ "event_name": writers })), None, "{writers}");
        }
    }
}
