//! Compiles a policy: resolves every name, parses every pattern, and reports all findings of one
//! run.

mod accounts;
mod apis;
mod broad;
mod conditions;
mod console;
mod delegation;
mod external;
mod grants;
mod interner;
mod lints;
mod names;
mod platform_use;
mod recompile;
mod witness;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sts_types::{Audience, CheckCode, Issuers, Lifetime, Located, Origin};

use crate::account::Account;
use crate::finding::{Finding, Findings, Severity, duration};
use crate::index::{IdentityPosition, Index};
use crate::ruleset::{Compiled, Entry, RuleSet};
use crate::{IssuerSpec, Spec};

impl RuleSet {
    /// Compiles a policy.
    ///
    /// # Errors
    /// All findings, lints included, if one of them is worse than a lint.
    pub fn compile(spec: &Spec) -> Result<Compiled, Vec<Finding>> {
        match Self::compile_with_unsafe(spec) {
            Ok(Compiled { warnings, .. }) if warnings.iter().any(|finding| finding.severity > Severity::Warning) => {
                Err(warnings)
            }
            other => other,
        }
    }

    /// Compiles a policy even if it has unsafe patterns or rules, which are then among the
    /// warnings. Use the result to explain what the rules would do. Never serve them.
    ///
    /// # Errors
    /// All findings, if one of them is an error.
    pub fn compile_with_unsafe(spec: &Spec) -> Result<Compiled, Vec<Finding>> {
        Self::compile_beside(spec, Vec::new())
    }

    /// Compiles `spec` beside accounts that are compiled already.
    fn compile_beside(spec: &Spec, mut accounts: Vec<Account>) -> Result<Compiled, Vec<Finding>> {
        let mut findings = Findings::beside(&spec.faulty);
        lifetimes(spec, &mut findings);
        let apis = apis::compile(spec, &mut findings);
        names::check(spec, &accounts, &mut findings);
        lints::entries(spec, &mut findings);
        delegation::check(spec, &accounts, &mut findings);
        external::check_logins(spec, &accounts, &mut findings);
        let console = console::compile(spec, &mut findings);
        let (compiled, external) = accounts::compile(spec, &apis, &mut findings);
        console::refuse_overlaps(spec, &console, &compiled, &mut findings);
        accounts.extend(compiled);
        let entries = entries(spec, &accounts);
        let account_by_name = by_name(&accounts);
        let has_errors = findings.has_errors();
        let findings = findings.into_vec();
        if has_errors {
            return Err(findings);
        }
        let rules = Self {
            ttl: spec.tokens.ttl.value,
            max_ttl: spec.tokens.max_ttl.value,
            require_account: spec.tokens.require_account,
            ignore_scopes: spec.tokens.ignore_scopes.clone(),
            entry_by_name: spec
                .issuers
                .iter()
                .enumerate()
                .map(|(index, entry)| (entry.name.value.clone(), index))
                .collect(),
            entries,
            api_by_name: apis.iter().enumerate().map(|(index, api)| (api.name.clone(), index)).collect(),
            api_by_audience: apis.iter().enumerate().map(|(index, api)| (api.audience.clone(), index)).collect(),
            declared_scopes: apis.iter().flat_map(|api| api.scopes.iter().cloned()).collect(),
            apis,
            external,
            accounts,
            account_by_name,
            console,
            frame: Spec {
                issuer: spec.issuer.clone(),
                tokens: spec.tokens.clone(),
                issuers: spec.issuers.clone(),
                apis: spec.apis.clone(),
                directories: spec.directories.clone(),
                teams: Vec::new(),
                accounts: Vec::new(),
                console: spec.console.clone(),
                faulty: crate::FaultyNames::default(),
            },
            guards: Some(Vec::new()),
        };
        Ok(Compiled { rules, warnings: findings })
    }
}

/// Reports every written `ttl` above `max_ttl`. A default above it is no error: the decision caps
/// it.
fn lifetimes(spec: &Spec, findings: &mut Findings) {
    let most = spec.tokens.max_ttl.value;
    let mut check = |ttl: &Located<Lifetime>| {
        if ttl.value > most && ttl.origin != Origin::NONE {
            let message = format!("`ttl` is {}, over the `max_ttl` of {}", duration(ttl.value), duration(most));
            let help = format!("write at most {}, or raise `tokens.max_ttl`", duration(most));
            findings.error(CheckCode::TtlOverMaximum, ttl.origin, message, help);
        }
    };
    check(&spec.tokens.ttl);
    for account in &spec.accounts {
        let identities = account.identities.iter().filter_map(|identity| identity.ttl.as_ref());
        account.ttl.iter().chain(identities).for_each(&mut check);
    }
}

/// The index of each account by its username and by its id.
fn by_name(accounts: &[Account]) -> HashMap<Arc<str>, usize> {
    let mut by_name = HashMap::with_capacity(accounts.len());
    for (index, account) in accounts.iter().enumerate() {
        let (name, id) = (account.granted.name.shared(), account.granted.id.shared());
        // Mostly they are the same.
        if id != name {
            by_name.insert(id, index);
        }
        by_name.insert(name, index);
    }
    by_name
}

/// The issuer entries, each with the audiences and the index of the identities that name it.
fn entries(spec: &Spec, accounts: &[Account]) -> Vec<Entry> {
    let ours = Audience::new(spec.issuer.as_str());
    let configured =
        |entry: &IssuerSpec| entry.audience.iter().map(|audience| audience.value.clone()).collect::<HashSet<_>>();
    let mut entries: Vec<Entry> = spec
        .issuers
        .iter()
        .map(|entry| {
            let audiences = configured(entry).into_iter().chain(ours.clone()).collect();
            let template = match &entry.issuer.value {
                Issuers::One(_) => None,
                Issuers::Family(template) => Some(Arc::clone(template)),
            };
            Entry { enabled: entry.enabled, audiences, template, index: Index::default() }
        })
        .collect();
    let mut members = vec![Vec::new(); entries.len()];
    for (account, compiled_account) in accounts.iter().enumerate() {
        for (identity, compiled) in compiled_account.identities.iter().enumerate() {
            for rule in &compiled.terms.entries {
                let Some(entry) = entries.get_mut(rule.entry) else { continue };
                entry.audiences.extend(rule.audiences.iter().cloned());
                members
                    .get_mut(rule.entry)
                    .into_iter()
                    .for_each(|list| list.push(IdentityPosition::new(account, identity)));
            }
        }
    }
    for ((entry, members), spec) in entries.iter_mut().zip(members).zip(&spec.issuers) {
        let preferred = spec.preset.map_or(&[][..], crate::Preset::lent_claims);
        entry.index = Index::new(members, accounts, preferred);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{IdentitySpec, PresetSource, Severity};
    use serde_json::json;
    use sts_claims::ClaimPath;
    use sts_types::{AccountId, Issuer, UnixTime};

    const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

    fn sound() -> Spec {
        spec(vec![account("octo", vec![main()])])
    }

    fn main() -> IdentitySpec {
        claims(subject("main", MAIN), json!({ "repository_owner_id": "65" }))
    }

    /// The findings after `change` to a policy without findings.
    fn report(change: impl FnOnce(&mut Spec)) -> String {
        let mut spec = sound();
        change(&mut spec);
        findings(&spec).join("\n")
    }

    #[test]
    fn a_sound_policy_has_no_findings() {
        assert_eq!(report(|_| {}), "");
    }

    #[test]
    fn names_are_one_namespace() {
        let id = |text: &str| Some(at(AccountId::new(text).unwrap()));
        for (wanted, change) in [
            (
                "Error: the name `octo` is taken by another service account",
                (|spec| spec.accounts.push(account("octo", vec![]))) as fn(&mut Spec),
            ),
            ("Error: the name `deploy` is taken by an API", |spec| spec.accounts.push(account("deploy", vec![]))),
            ("Error: the name `deploy` is taken by another API", |spec| {
                spec.apis.push(ApiSpecWith::audience("deploy", "https://x.example"))
            }),
            ("Error: the name `deploy` is taken by an API", |spec| {
                spec.accounts[0].id = Some(at(AccountId::new("deploy").unwrap()))
            }),
            ("Error: the name `octo` is taken by a service account's id", |spec| {
                spec.accounts.insert(0, with_id(account("a", vec![]), "octo"));
            }),
            ("Error: the name `sts` is reserved", |spec| spec.accounts.push(account("sts", vec![]))),
            ("Error: the name `sts` is reserved", |spec| spec.apis.push(api("sts", &[]))),
            ("Error: the name `octo` is taken by a service account", |spec| {
                spec.apis.push(ApiSpecWith::audience("x", "octo"))
            }),
            ("Error: our `issuer` is the audience", |spec| spec.apis.push(ApiSpecWith::audience("x", OURS))),
            ("Error: API `deploy` already has the audience `https://deploy.example.com`", |spec| {
                spec.apis.push(ApiSpecWith::audience("x", "https://deploy.example.com"));
            }),
            ("Error: there is another issuer entry `github`", |spec| spec.issuers.push(issuer("github", GITHUB))),
            ("Error: there is another team `t`", |spec| spec.teams.extend([team("t", vec![]), team("t", vec![])])),
            ("Error: issuer entry `self` is our own `issuer`", |spec| spec.issuers.push(issuer("self", OURS))),
        ] {
            let report = report(change);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
        }
        assert_eq!(report(|spec| spec.accounts[0].id = id("octo")), "", "an account may be its own id");
    }

    struct ApiSpecWith;
    impl ApiSpecWith {
        fn audience(name: &str, audience: &str) -> crate::ApiSpec {
            crate::ApiSpec { audience: at(Audience::new(audience).unwrap()), ..api(name, &[]) }
        }
    }

    #[test]
    fn what_is_referred_to_exists() {
        for (wanted, change) in [
            (
                "Error: there is no issuer entry `githbu` / write `github`",
                (|spec| spec.accounts[0].identities[0].issuers = vec![at("githbu".to_owned())]) as fn(&mut Spec),
            ),
            ("Error: there is no team `deployer` / write `deployers`", |spec| {
                spec.teams.push(team("deployers", vec![]));
                spec.accounts[0].teams.push(at("deployer".to_owned()));
            }),
            ("Error: there is no API `deply` / write `deploy`", |spec| {
                spec.accounts[0].grants.push(grant("deply", &[]))
            }),
            ("Error: there is no API `deply` / write `deploy`", |spec| {
                spec.teams.push(team("t", vec![grant("deply", &[])]))
            }),
            ("Error: there is no API `deply` / write `deploy`", |spec| {
                spec.accounts[0].default_api = Some(at("deply".to_owned()))
            }),
            ("Error: `default_api` `logs` is not granted to `octo`", |spec| {
                spec.accounts[0].default_api = Some(at("logs".to_owned()))
            }),
            ("Error: API `deploy` declares no scope `raed` / write `read`", |spec| {
                spec.accounts[0].grants.push(grant("deploy", &["raed"]));
            }),
            ("Error: identity `main` of `octo` names no issuer", |spec| spec.accounts[0].identities[0].issuers.clear()),
            ("Error: service account `octo` has two identities named `main`", |spec| {
                spec.accounts[0].identities.push(subject("main", MAIN))
            }),
            ("Warning: no scope of API `deploy` is granted", |spec| {
                spec.accounts[0].grants = vec![grant("deploy", &[])]
            }),
        ] {
            let report = report(change);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
        }
    }

    #[test]
    fn an_identity_never_goes_beyond_its_account() {
        let narrowed = |identity: IdentitySpec| report(|spec| spec.accounts[0].identities = vec![identity]);
        let base = main;
        for (wanted, identity) in [
            (
                "Error: the service account is not granted the scope `delete`",
                IdentitySpec { scopes: Some(scopes(&["delete"])), ..base() },
            ),
            (
                "Error: the service account is not granted the scope `delete`",
                IdentitySpec { grants: Some(vec![grant("deploy", &["delete"])]), ..base() },
            ),
            (
                "Error: the service account is not granted the API `logs`",
                IdentitySpec { grants: Some(vec![grant("logs", &[])]), ..base() },
            ),
            (
                "Error: API `deploy` declares no scope `x`",
                IdentitySpec { grants: Some(vec![grant("deploy", &["x"])]), ..base() },
            ),
        ] {
            let report = narrowed(identity);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
        }
        assert_eq!(narrowed(IdentitySpec { scopes: Some(scopes(&["read"])), ..base() }), "");
    }

    #[test]
    fn grants_are_united_over_teams_and_narrowed_by_identities() {
        let mut spec = sound();
        spec.teams = vec![
            team("a", vec![grant("deploy", &["delete"])]),
            team("b", vec![grant("deploy", &["read"]), grant("logs", &[])]),
        ];
        spec.accounts[0].teams = vec![at("a".to_owned()), at("b".to_owned())];
        spec.accounts[0].grants = vec![];
        spec.accounts[0].identities = vec![
            IdentitySpec { grants: Some(vec![grant("logs", &[])]), ..subject("logs", "repo:o/r:a") },
            IdentitySpec { scopes: Some(vec![]), ..subject("none", "repo:o/r:b") },
            subject("all", "repo:o/r:c"),
        ];
        let rules = rules(&spec);
        let of = |sub: &str, names: &[&str], scope: &str| {
            outcome(&rules, &token(json!({ "sub": sub })), &ask(&rules, names, scope))
        };
        assert_eq!(of("repo:o/r:c", &["deploy"], ""), "octo/all: deploy [read delete]");
        assert_eq!(of("repo:o/r:c", &["logs"], ""), "octo/all: logs []");
        assert_eq!(of("repo:o/r:a", &["deploy"], ""), "TargetNotGranted");
        assert_eq!(of("repo:o/r:a", &["logs"], ""), "octo/logs: logs []");
        // A grant of an API that declares scopes needs at least one. An API without scopes needs
        // none.
        assert_eq!(of("repo:o/r:b", &["deploy"], ""), "TargetNotGranted");
        assert_eq!(of("repo:o/r:b", &["logs"], ""), "octo/none: logs []");
        let view = rules.account("octo").unwrap();
        assert_eq!(view.teams.iter().map(|team| team.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(rules.apis().map(|api| api.name.as_str()).collect::<Vec<_>>(), ["sts", "deploy", "logs"]);
        assert!(rules.api_by_audience(OURS).is_some_and(|api| api.scopes.contains("sts:introspect")));
    }

    #[test]
    fn lifetimes_and_times_are_checked() {
        let life = |seconds| Lifetime::from_secs(seconds).unwrap();
        let written = |seconds| Located::new(life(seconds), Origin(7));
        for (wanted, change) in [
            ("Error: `ttl` is 2h, over the `max_ttl` of 1h / write at most 1h", {
                Box::new(move |spec: &mut Spec| spec.tokens.ttl = written(7200)) as Box<dyn FnOnce(&mut Spec)>
            }),
            ("Error: `ttl` is 61m", Box::new(move |spec| spec.accounts[0].ttl = Some(written(3660)))),
            ("Error: `ttl` is 3601s", Box::new(move |spec| spec.accounts[0].identities[0].ttl = Some(written(3601)))),
            (
                "Error: `octo` is never in force",
                Box::new(|spec| {
                    spec.accounts[0].not_before = Some(NOW);
                    spec.accounts[0].not_after = Some(NOW);
                }),
            ),
            (
                "Error: identity `main` of `octo` is never in force",
                Box::new(|spec| {
                    spec.accounts[0].identities[0].not_before = Some(NOW);
                    spec.accounts[0].identities[0].not_after = Some(UnixTime::from_secs(0));
                }),
            ),
        ] {
            let report = report(change);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut spec = sound();
        spec.accounts[0].teams.push(at("t".to_owned()));
        spec.accounts[0].grants.push(grant("x", &[]));
        spec.accounts[0].identities.push(subject("bad", "a***"));
        spec.accounts[0].identities.push(subject("wide", "**"));
        let findings = RuleSet::compile(&spec).unwrap_err();
        let severities = findings.iter().map(|finding| finding.severity).collect::<Vec<_>>();
        assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Error, Severity::Unsafe], "{findings:#?}");
    }

    #[test]
    fn c084_there_are_no_templates_and_claims_are_copied_by_path_only() {
        // A claim never becomes a name: only paths of claims are configured, and they are no
        // patterns.
        let report = report(|spec| {
            spec.tokens.copy_claims = vec![at("/a~2".to_owned())];
            spec.accounts[0].identities[0].copy_claims = vec![at(String::new())];
        });
        assert!(
            report.contains("`/a~2` is not the name of a claim") && report.contains("`` is not the name of a claim"),
            "{report}"
        );
        let mut spec = sound();
        spec.accounts[0].identities[0].copy_claims = vec![at("*".to_owned())];
        let copied = rules(&spec).accounts[0].identities[0].terms.copy_claims.clone();
        assert_eq!(*copied, [ClaimPath::parse("*").unwrap()]);
    }

    #[test]
    fn conditions_that_mean_nothing_are_refused() {
        let on = |condition: serde_json::Value| {
            report(|spec| {
                let all = json!({ "c": condition, "repository_owner_id": "65" });
                spec.accounts[0].identities[0] = claims(subject("main", MAIN), all);
            })
        };
        for (wanted, condition) in [
            ("Error: the condition on `c` lists no value", json!([])),
            ("Error: the condition on `c` lists no value", json!({ "none_of": [] })),
            ("Error: the condition on `c` tests nothing", json!({ "or_absent": true })),
            ("Error: `present: false` on `c` must stand alone", json!({ "present": false, "any_of": ["a"] })),
            ("Error: `present: false` on `c` must stand alone", json!({ "present": false, "or_absent": true })),
            ("Error: `a\\` is not a pattern / a pattern ends in a lone", json!("a\\")),
            ("Error: `(a` is not a regular expression / unclosed group", json!({ "regex": "(a" })),
            ("Error: `a)|(?:b` is not a regular expression", json!({ "regex": "a)|(?:b" })),
            ("Error: the regular expression `(\\w{1000}){1000}` is too big", json!({ "regex": "(\\w{1000}){1000}" })),
        ] {
            let report = on(condition);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
        }
        assert_eq!(on(json!({ "regex": "(?i)prod|test" })), "");
        let pointer =
            report(|spec| spec.accounts[0].identities[0] = claims(subject("main", MAIN), json!({ "/a~": "x" })));
        assert!(pointer.starts_with("Error: `/a~` is not the name of a claim / in a pointer"), "{pointer}");
    }

    #[test]
    fn a_plain_number_where_the_platform_sends_a_string_is_named() {
        let on = |name: &str, value: serde_json::Value| {
            report(|spec| {
                let all = json!({ name: value, "repository_id": "74" });
                spec.accounts[0].identities[0] = claims(subject("main", MAIN), all);
            })
        };
        let wanted = "Error: `github-actions` sends this claim as a string, which `65` never matches / write it in quotes: \"65\"";
        assert_eq!(on("repository_owner_id", json!(65)), wanted);
        assert_eq!(on("repository_owner_id", json!(["64", 65])), wanted);
        assert!(on("ref_protected", json!(true)).contains("write it in quotes: \"true\""));
        assert_eq!(on("iat", json!(65)), "");
        assert_eq!(on("repository_owner_id", json!("65")), "");
    }

    #[test]
    fn a_short_rule_fits_its_platform_and_has_its_members() {
        let on = |key: &str, rule: serde_json::Value| {
            report(|spec| spec.accounts[0].identities[0] = short(subject("main", MAIN), key, rule))
        };
        for (wanted, key, rule) in [
            ("Error: there is no short rule `gitlub`", "gitlub", json!({})),
            (
                "Error: `gitlab:` cannot be used with the issuer entry `github`, which has the preset `github-actions` / write `github:`, with \
                 members such as `repository`, `repository_id`, `repository_owner`",
                "gitlab",
                json!({ "project_id": 1 }),
            ),
            ("Error: there is no short rule `githubb` / write `github`", "githubb", json!({ "repository": "a" })),
            ("Error: `github:` has no member `repositry` / write `repository`", "github", json!({ "repositry": "a" })),
            ("Error: `github:` has no member `repo_id` / write `repository_id`", "github", json!({ "repo_id": 1 })),
            ("Error: `github:` is empty", "github", json!({})),
            ("Error: `1.5` is not a whole number", "github", json!({ "repository_id": 1.5 })),
        ] {
            let report = on(key, rule);
            assert!(report.starts_with(wanted), "wanted {wanted}, got {report}");
            assert_eq!(report.matches("Error").count(), 1, "one cause, one error: {report}");
        }
        assert_eq!(on("github", json!({ "repository_id": 74, "ref_protected": true, "repo_property_team": "x" })), "");
        let mut spec = sound();
        spec.issuers[0].preset = None;
        spec.issuers[0].preset_source = PresetSource::Unsaid;
        spec.issuers[0].known = None;
        spec.issuers[0].issuer = at(Issuer::new("https://ghes.example/_services/token").unwrap().into());
        spec.issuers[0].shared = false;
        spec.accounts[0].identities[0] = short(identity("main"), "github", json!({ "repository": "o/r" }));
        assert!(
            findings(&spec)
                .join("")
                .contains("which has no preset / write the conditions under `claims:`, or `preset: github-actions`")
        );
    }
}
