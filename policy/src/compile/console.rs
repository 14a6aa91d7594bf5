//! Compiles `console:`, and refuses conditions that a service account or a stranger could meet.

use std::sync::Arc;

use serde_json::{Map, Value};
use smallvec::smallvec;
use sts_claims::{ClaimPath, ClaimSet};
use sts_types::{CheckCode, Origin};

use super::conditions;
use crate::account::Account;
use crate::condition::{Condition, Matcher, Test};
use crate::console::{ConsoleConditions, ConsoleRight, ConsoleRules};
use crate::finding::{Findings, identity_title, quoted};
use crate::identity::Identity;
use crate::overlap::can_meet;
use crate::pattern::Pattern;
use crate::spec::ConditionSpecs;
use crate::{ConsoleSpec, Spec};

/// Compiles the conditions of `console:`.
pub(super) fn compile(spec: &Spec, findings: &mut Findings) -> ConsoleRules {
    let Some(console) = &spec.console else { return ConsoleRules::default() };
    if console.issuer.value == spec.issuer {
        let message = "`issuer` of `console` is our own `issuer`, whose tokens are those of service accounts";
        let help = "write the issuer of the OpenID provider where people sign in".to_owned();
        findings.error(CheckCode::ConsoleOverlap, console.issuer.origin, message, help);
    }
    let admin = right(console, ConsoleRight::Admin, console.admin.as_ref(), findings);
    let read = right(console, ConsoleRight::Read, console.read.as_ref(), findings);
    ConsoleRules { admin, read }
}

fn right(
    console: &ConsoleSpec,
    right: ConsoleRight,
    written: Option<&ConditionSpecs>,
    findings: &mut Findings,
) -> Option<ConsoleConditions> {
    let written = written?;
    let origin = written.first().map_or(console.issuer.origin, |(name, _)| name.origin);
    if written.is_empty() {
        let message = format!("`{}` of `console` has no condition, so it would let everybody in", right.key());
        findings.error(CheckCode::EmptyCondition, origin, message, "write at least one claim".to_owned());
        return None;
    }
    let before = findings.errors();
    let compiled = conditions::claims(written, &[], findings);
    if findings.errors() == before {
        refuse_strangers(console, right, &compiled, origin, findings);
        doubt_email(right, &compiled, origin, findings);
        doubt_username(console, right, &compiled, origin, findings);
    }
    Some(compiled.into_iter().map(Arc::new).collect())
}

/// Claims that name nobody: people choose the value, or everybody at the provider has the same, or
/// each token has another.
const NAMES_NOBODY: [&str; 48] = [
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "locale",
    "zoneinfo",
    "address",
    "updated_at",
    "email_verified",
    "phone_number_verified",
    "iss",
    "aud",
    "azp",
    "azpacr",
    "appid",
    "appidacr",
    "app_displayname",
    "client_id",
    "cid",
    "ver",
    "idp",
    "idtyp",
    "acr",
    "amr",
    "typ",
    "token_use",
    "scope",
    "scp",
    "iat",
    "nbf",
    "exp",
    "auth_time",
    "nonce",
    "jti",
    "sid",
    "session_state",
    "at_hash",
    "c_hash",
    "s_hash",
    "uti",
    "rh",
    "aio",
];

/// The claim that names one person of a provider, as long as nobody else has the name.
const USERNAME: &str = "preferred_username";

/// Claims in which providers send an id as a number. Any other number may be that of many people.
const NUMERIC_IDS: [&str; 29] = [
    "sub",
    "id",
    "uid",
    "user_id",
    "userid",
    "uidNumber",
    "gidNumber",
    "employee_id",
    "employeeId",
    "employee_number",
    "employeeNumber",
    "account_id",
    "organization_id",
    "org_id",
    "group",
    "group_id",
    "group_ids",
    "groups",
    "gids",
    "role",
    "role_id",
    "role_ids",
    "roles",
    "team",
    "team_id",
    "team_ids",
    "teams",
    "orgs",
    "organizations",
];

/// Domains where anybody can get an address.
const MAIL_FOR_ALL: [&str; 8] =
    ["gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "proton.me"];

/// Hosts of providers where anybody can get an account.
const OPEN_PROVIDERS: [&str; 9] = [
    "accounts.google.com",
    "appleid.apple.com",
    "facebook.com",
    "www.facebook.com",
    "gitlab.com",
    "id.twitch.tv",
    "login.yahoo.com",
    "slack.com",
    "www.linkedin.com",
];

/// The tenant of personal Microsoft accounts.
const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn is_open_provider(issuer: &str) -> bool {
    let Some(rest) = issuer.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or(rest);
    OPEN_PROVIDERS.contains(&host) || (host == "login.microsoftonline.com" && rest.contains(PERSONAL_TENANT))
}

/// Refuses conditions that say neither which person nor which organisation.
fn refuse_strangers(
    console: &ConsoleSpec,
    right: ConsoleRight,
    compiled: &[Condition],
    origin: Origin,
    findings: &mut Findings,
) {
    let issuer = console.issuer.value.as_str();
    let (is_open, key) = (is_open_provider(issuer), right.key());
    let narrows =
        |condition: &Condition| if is_open { names_person(issuer, condition) } else { is_narrow(issuer, condition) };
    if compiled.iter().any(narrows) {
        return;
    }
    let (who, help) = if is_open {
        let help = "name people by `sub`, by `email` with `email_verified: true`, or their organisation, such as `hd` of Google";
        ("anybody can get an account there", help)
    } else {
        (
            "everybody with an account there meets them",
            "add a condition on a group, on `sub`, or on `email` with `email_verified: true`",
        )
    };
    let message = format!("the conditions of `{key}` let strangers into the console: {who} ({})", quoted(issuer));
    findings.unsafe_rule(CheckCode::ConsoleOpen, origin, message, help.to_owned());
}

/// Whether the condition asks for certain values, and not only for the presence of some.
fn is_narrow(issuer: &str, condition: &Condition) -> bool {
    let claim = condition.path.claim();
    let fixed = |matcher: &Matcher| match matcher {
        Matcher::Text(pattern) if claim == "email" => pattern.is_exact() || has_fixed_domain(pattern),
        Matcher::Text(pattern) if claim == USERNAME => pattern.is_exact(),
        Matcher::Text(pattern) => pattern.as_str().chars().any(|c| !matches!(c, '*' | '?')),
        Matcher::Number(_) => has_numeric_ids(condition),
        Matcher::Bool(_) => true,
    };
    is_of_some(issuer, condition) && asks_for(condition, &fixed)
}

/// Whether the condition asks for people or an organisation by a claim that a stranger cannot choose.
fn names_person(issuer: &str, condition: &Condition) -> bool {
    let claim = condition.path.claim();
    let fixed = |matcher: &Matcher| match matcher {
        Matcher::Text(pattern) if pattern.is_exact() => true,
        Matcher::Text(pattern) => claim == "email" && has_fixed_domain(pattern),
        Matcher::Number(_) => has_numeric_ids(condition),
        Matcher::Bool(_) => false,
    };
    // Where anybody can have an account, anybody can choose a free name.
    claim != USERNAME && is_of_some(issuer, condition) && asks_for(condition, &fixed)
}

/// Whether a number in the claim is an id. Below a pointer, the last name counts.
fn has_numeric_ids(condition: &Condition) -> bool {
    let is_index = |step: &&str| step.bytes().all(|byte| byte.is_ascii_digit());
    condition.path.as_str().rsplit('/').find(|step| !is_index(step)).is_some_and(|name| NUMERIC_IDS.contains(&name))
}

/// Whether the claim can tell some people of the provider from the others.
fn is_of_some(issuer: &str, condition: &Condition) -> bool {
    let claim = condition.path.claim();
    // Everybody in a tenant of Microsoft has the `tid` that is in its issuer. The tenant of personal
    // accounts has everybody.
    let is_tenant_of_all = |matcher: &Matcher| match matcher {
        Matcher::Text(pattern) => {
            pattern.matches(PERSONAL_TENANT) || issuer.split('/').any(|segment| pattern.matches(segment))
        }
        Matcher::Number(_) | Matcher::Bool(_) => true,
    };
    let is_of_one_tenant = |test: &Test| match test {
        Test::AnyOf(any) => !any.iter().any(is_tenant_of_all),
        Test::AllOf(all) => !all.iter().all(is_tenant_of_all),
        Test::NoneOf(_) | Test::Regex(_) | Test::Present(_) => false,
    };
    !NAMES_NOBODY.contains(&claim) && (claim != "tid" || condition.tests.iter().any(is_of_one_tenant))
}

/// Whether the pattern is of addresses of one domain, and not everybody can get one there.
fn has_fixed_domain(address: &Pattern) -> bool {
    address.as_str().rsplit_once('@').is_some_and(|(_, domain)| {
        !domain.is_empty()
            && !domain.contains(['*', '?', '\\'])
            && !MAIL_FOR_ALL.contains(&domain.to_ascii_lowercase().as_str())
    })
}

fn asks_for(condition: &Condition, fixed: &dyn Fn(&Matcher) -> bool) -> bool {
    let is_fixed = |test: &Test| match test {
        Test::AnyOf(any) => any.iter().all(fixed),
        Test::AllOf(all) => all.iter().any(fixed),
        Test::Regex(_) | Test::NoneOf(_) | Test::Present(_) => false,
    };
    !condition.or_absent && condition.tests.iter().any(is_fixed)
}

/// Warns of an address that the provider may not have verified.
fn doubt_email(right: ConsoleRight, compiled: &[Condition], origin: Origin, findings: &mut Findings) {
    let on = |claim: &str| compiled.iter().find(|condition| condition.claim_name() == claim);
    let is_verified = on("email_verified").is_some_and(|condition| {
        let is_true = |test: &Test| matches!(test, Test::AnyOf(any) if any.as_slice() == [Matcher::Bool(true)]);
        !condition.or_absent && condition.tests.iter().any(is_true)
    });
    if on("email").is_some() && on("sub").is_none() && !is_verified {
        let message = format!(
            "`{}` of `console` trusts an `email` that the provider may not have verified: at some providers users type any address",
            right.key()
        );
        let help = "add `email_verified: true`, or name people by `sub`".to_owned();
        findings.warning(CheckCode::UnverifiedEmail, origin, message, help);
    }
}

/// Warns of people who are named by nothing but a username.
fn doubt_username(
    console: &ConsoleSpec,
    right: ConsoleRight,
    compiled: &[Condition],
    origin: Origin,
    findings: &mut Findings,
) {
    let narrows = |condition: &&Condition| is_narrow(console.issuer.value.as_str(), condition);
    let (by_name, by_more): (Vec<&Condition>, Vec<&Condition>) =
        compiled.iter().filter(narrows).partition(|condition| condition.path.claim() == USERNAME);
    if !by_name.is_empty() && by_more.is_empty() {
        let message = format!(
            "`{}` of `console` names people by `{USERNAME}` alone: at some providers people change it, and a name that is free again gets to \
             somebody else",
            right.key()
        );
        let help = "name people by `sub`, or add a condition on a group".to_owned();
        findings.warning(CheckCode::ReassignableUsername, origin, message, help);
    }
}

/// Refuses identities whose tokens may meet the conditions of the console: an entry has the issuer
/// of the console, and one token must never be both a person's and a service account's.
pub(super) fn refuse_overlaps(spec: &Spec, rules: &ConsoleRules, accounts: &[Account], findings: &mut Findings) {
    let Some(console) = &spec.console else { return };
    let covers = |entry: usize| {
        spec.issuers.get(entry).is_some_and(|entry| entry.issuer.value.covers(console.issuer.value.as_str()))
    };
    if !(0..spec.issuers.len()).any(covers) {
        return;
    }
    for account in accounts {
        for identity in &account.identities {
            let Some(rule) = identity.terms.entries.iter().find(|rule| covers(rule.entry)) else { continue };
            if is_of_other_member(spec, identity, rule.entry, console) {
                continue;
            }
            let claims = with_subject(identity);
            let meets =
                |conditions: &ConsoleConditions| can_meet(&claims, conditions, identity.subject.as_ref(), rule.preset);
            let Some((right, _)) = rules.rights().find(|(_, conditions)| meets(conditions)) else { continue };
            let message = format!(
                "a token of {} may meet the conditions of `{}` of `console`, whose issuer is that of the entry {}: a service \
                 account must never sign in",
                identity_title(account.granted.name.as_str(), identity.name.as_str()),
                right.key(),
                quoted(rule.name.as_str()),
            );
            let help = "let the two ask for different values of one claim, such as `sub`, or exclude the identity's values from \
                        the console's with `none_of`"
                .to_owned();
            findings.unsafe_rule(CheckCode::ConsoleOverlap, identity.origin, message, help);
        }
    }
}

/// Whether the identity takes tokens of other members of its family only.
fn is_of_other_member(spec: &Spec, identity: &Identity, entry: usize, console: &ConsoleSpec) -> bool {
    let template = spec.issuers.get(entry).and_then(|entry| entry.issuer.value.template());
    let values = template.and_then(|template| template.values(console.issuer.value.as_str()));
    let Some(values) = values else { return false };
    let variables: Map<String, Value> =
        values.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let variables = ClaimSet::from(variables);
    identity.conditions.iter().any(|condition| condition.on_variable && !condition.holds(&variables))
}

/// The conditions of an identity on claims, with its subject pattern as one on `sub`. Conditions on
/// variables of a template are left out: they are on no claim.
fn with_subject(identity: &Identity) -> Vec<Arc<Condition>> {
    let on_claims = identity.conditions.iter().filter(|condition| !condition.on_variable).cloned();
    let subject = identity.subject.as_ref().zip(ClaimPath::parse("sub").ok()).map(|(pattern, path)| {
        let tests = smallvec![Test::AnyOf(smallvec![Matcher::Text(pattern.clone())])];
        Arc::new(Condition { path: Arc::new(path), on_variable: false, tests, or_absent: false })
    });
    on_claims.chain(subject).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sts_types::{Issuer, IssuerTemplate, Issuers, VariableSpec};

    use super::*;
    use crate::fixture::*;
    use crate::spec::ConditionSpecs;
    use crate::{ConsoleDecision, IdentitySpec, RuleSet};

    const OWN: &str = "https://login.example.com/realms/staff";
    const GOOGLE: &str = "https://accounts.google.com";
    const ENTRA: &str = "https://login.microsoftonline.com/8d1f6c0e-4b7a-4f5e-9a39-0a6a3d1f2b11/v2.0";
    const PERSONAL: &str = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";

    fn specs(written: Value) -> ConditionSpecs {
        claims(identity("i"), written).claims
    }

    fn console_at(url: &str, admin: Value) -> ConsoleSpec {
        ConsoleSpec { issuer: at(Issuer::new(url).unwrap()), admin: Some(specs(admin)), read: None }
    }

    fn report(url: &str, admin: Value) -> String {
        findings(&Spec { console: Some(console_at(url, admin)), ..spec(vec![]) }).join("\n")
    }

    #[test]
    fn the_greatest_right_whose_conditions_hold_is_given() {
        let console = ConsoleSpec {
            read: Some(specs(json!({ "email_verified": true, "email": "*@example.com" }))),
            ..console_at(OWN, json!({ "groups": "sts-admins" }))
        };
        let rules = rules(&Spec { console: Some(console), ..spec(vec![]) });
        let right = |claims: Value| match rules.decide_console(&token(claims)) {
            ConsoleDecision::Admitted(right) => right.key().to_owned(),
            ConsoleDecision::Refused(refused) => {
                let failed =
                    refused.iter().flat_map(|refusal| &refusal.conditions).filter(|condition| !condition.holds);
                failed
                    .map(|condition| format!("{}: {:?}", condition.on, condition.actual))
                    .collect::<Vec<_>>()
                    .join(", ")
            }
        };
        let mail = json!({ "email": "a@example.com", "email_verified": true, "groups": ["x"] });
        assert_eq!(right(json!({ "groups": ["x", "sts-admins"] })), "admin");
        assert_eq!(right(mail), "read");
        assert_eq!(
            right(json!({ "email": "a@example.org", "email_verified": "true" })),
            "groups: None, email: Some(\"\\\"a@example.org\\\"\"), email_verified: Some(\"\\\"true\\\"\")"
        );
        let nobody = RuleSet::compile(&spec(vec![])).unwrap().rules;
        assert!(
            matches!(nobody.decide_console(&token(json!({ "sub": "a" }))), ConsoleDecision::Refused(why) if why.is_empty())
        );
    }

    #[test]
    fn conditions_that_strangers_meet_are_refused() {
        for (url, admin) in [
            (OWN, json!({ "sub": "**" })),
            (OWN, json!({ "email": { "present": true } })),
            (OWN, json!({ "email_verified": true })),
            (OWN, json!({ "groups": { "none_of": ["guests"] } })),
            (OWN, json!({ "groups": { "any_of": ["admins"], "or_absent": true } })),
            (OWN, json!({ "aud": "sts-console" })),
            (OWN, json!({ "/aud/0": "sts-console" })),
            (OWN, json!({ "azp": "sts-console", "iss": OWN, "ver": "2.0" })),
            (OWN, json!({ "idp": "ldap", "acr": "1" })),
            (OWN, json!({ "preferred_username": "a*" })),
            (OWN, json!({ "preferred_username": { "any_of": ["ada"], "or_absent": true } })),
            (GOOGLE, json!({ "preferred_username": "ada" })),
            (OWN, json!({ "/ext/level": 42 })),
            (OWN, json!({ "email": "*@*", "email_verified": true })),
            (OWN, json!({ "email": "*@*.com", "email_verified": true })),
            (OWN, json!({ "email": "ada*", "email_verified": true })),
            (OWN, json!({ "email": "*@gmail.com", "email_verified": true })),
            (OWN, json!({ "auth_level": 1 })),
            (OWN, json!({ "tid": PERSONAL_TENANT })),
            (OWN, json!({ "tid": ["8d1f6c0e-4b7a-4f5e-9a39-0a6a3d1f2b11", PERSONAL_TENANT] })),
            (ENTRA, json!({ "tid": "8d1f6c0e-4b7a-4f5e-9a39-0a6a3d1f2b11", "ver": "2.0", "acct": 0 })),
            (PERSONAL, json!({ "tid": PERSONAL_TENANT })),
            (GOOGLE, json!({ "acr": "1", "idp": "x" })),
            (GOOGLE, json!({ "age": 30 })),
            (GOOGLE, json!({ "email": "*@gmail.com", "email_verified": true })),
            (GOOGLE, json!({ "email": "**", "email_verified": true })),
            (GOOGLE, json!({ "email": "a*", "email_verified": true })),
            (GOOGLE, json!({ "name": "Ada Lovelace" })),
            (GOOGLE, json!({ "sub": "1*" })),
            (GOOGLE, json!({ "aud": "client" })),
        ] {
            let report = report(url, admin.clone());
            assert!(report.contains("Unsafe: the conditions of `admin` let strangers in"), "{url} {admin}: {report}");
        }
        for (url, admin) in [
            (OWN, json!({ "groups": "sts-*" })),
            (OWN, json!({ "sub": "1*" })),
            (OWN, json!({ "employee_id": 7 })),
            (OWN, json!({ "groups": 42 })),
            (OWN, json!({ "groups": { "all_of": [42, 43] } })),
            (OWN, json!({ "/ext/group_ids": [42, 43] })),
            (OWN, json!({ "/groups/0": 42 })),
            (OWN, json!({ "preferred_username": "ada", "groups": "staff" })),
            (OWN, json!({ "is_admin": true })),
            (OWN, json!({ "tid": "8d1f6c0e-4b7a-4f5e-9a39-0a6a3d1f2b11" })),
            (OWN, json!({ "email": "*@example.com", "email_verified": true })),
            (OWN, json!({ "email": "ada@gmail.com", "email_verified": true })),
            (ENTRA, json!({ "oid": "5c1b7a90-3b1c-4f9e-8f0a-2d7f7a0c9e42" })),
            (GOOGLE, json!({ "sub": ["117", "118"] })),
            (GOOGLE, json!({ "hd": "example.com" })),
            (GOOGLE, json!({ "email": "ada@gmail.com", "email_verified": true })),
            (GOOGLE, json!({ "email": "*@example.com", "email_verified": true })),
        ] {
            assert_eq!(report(url, admin.clone()), "", "{url} {admin}");
        }
    }

    #[test]
    fn an_empty_block_and_our_own_issuer_are_errors() {
        assert!(report(OWN, json!({})).starts_with("Error: `admin` of `console` has no condition"));
        assert!(report(OURS, json!({ "sub": "a" })).starts_with("Error: `issuer` of `console` is our own"));
    }

    #[test]
    fn a_username_alone_is_doubted() {
        for (admin, is_doubted) in [
            (json!({ "preferred_username": "ada" }), true),
            (json!({ "preferred_username": ["ada", "grace"], "email_verified": true, "acr": "1" }), true),
            (json!({ "preferred_username": "ada", "sub": "7" }), false),
            (json!({ "preferred_username": { "present": true }, "groups": 42 }), false),
        ] {
            let report = report(OWN, admin.clone());
            let warning = "Warning: `admin` of `console` names people by `preferred_username` alone";
            assert_eq!(report.starts_with(warning), is_doubted, "{admin}: {report}");
            assert!(is_doubted || report.is_empty(), "{admin}: {report}");
        }
    }

    #[test]
    fn an_address_that_nobody_verified_is_doubted() {
        for (admin, is_doubted) in [
            (json!({ "email": "ada@example.com" }), true),
            (json!({ "email": "ada@example.com", "email_verified": { "any_of": [true], "or_absent": true } }), true),
            (json!({ "email": "ada@example.com", "email_verified": true }), false),
            (json!({ "email": "ada@example.com", "sub": "7" }), false),
            (json!({ "groups": "admins" }), false),
        ] {
            let report = report(OWN, admin.clone());
            assert_eq!(
                report.starts_with("Warning: `admin` of `console` trusts an `email`"),
                is_doubted,
                "{admin}: {report}"
            );
        }
    }

    fn overlap(identity: IdentitySpec, admin: Value) -> bool {
        let mut spec = spec(vec![account("octo", vec![of("e", identity)])]);
        spec.issuers = vec![issuer("e", OWN)];
        spec.console = Some(console_at(OWN, admin));
        let found = findings(&spec).join("\n");
        found.contains("Unsafe: a token of identity `i` of `octo` may meet the conditions of `admin` of `console`")
    }

    #[test]
    fn no_identity_may_meet_the_conditions_of_the_console() {
        let group = |group: &str| claims(identity("i"), json!({ "groups": group }));
        for (identity, admin, may_meet) in [
            (subject("i", "robot-*"), json!({ "sub": "ada" }), false),
            (subject("i", "robot-*"), json!({ "sub": "robot-7" }), true),
            (subject("i", "robot-*"), json!({ "sub": { "none_of": ["robot-*"] }, "groups": "admins" }), false),
            (subject("i", "robot-*"), json!({ "groups": "admins" }), true),
            (claims(identity("i"), json!({ "sub": ["robot"] })), json!({ "sub": "ada" }), false),
            (claims(identity("i"), json!({ "idtyp": "app" })), json!({ "idtyp": "user", "oid": "7" }), false),
            (
                claims(identity("i"), json!({ "idtyp": "app" })),
                json!({ "idtyp": { "present": false }, "oid": "7" }),
                false,
            ),
            // One token may have both groups.
            (group("ci"), json!({ "groups": "admins" }), true),
            (group("ci"), json!({ "groups": { "any_of": ["admins"], "none_of": ["ci"] } }), false),
        ] {
            assert_eq!(overlap(identity.clone(), admin.clone()), may_meet, "{identity:?} {admin}");
        }
    }

    #[test]
    fn a_claim_that_may_be_a_list_keeps_nobody_apart() {
        for claim in [
            "groups_direct",
            "cognito:groups",
            "memberOf",
            "teams",
            "permissions",
            "/realm_access/roles",
            "department",
            "name",
        ] {
            let robot = claims(identity("i"), json!({ claim: "ci" }));
            assert!(overlap(robot.clone(), json!({ claim: "staff", "sub": "ada" })), "{claim}");
            assert!(
                !overlap(robot, json!({ claim: { "any_of": ["staff"], "none_of": ["ci"] }, "sub": "ada" })),
                "{claim}"
            );
        }
        for claim in ["sub", "email", "hd", "tid", "oid", "idtyp", "azp"] {
            let robot = claims(identity("i"), json!({ claim: "ci" }));
            assert!(!overlap(robot, json!({ claim: "staff", "groups": "admins" })), "{claim}");
        }
    }

    #[test]
    fn a_text_claim_of_the_platform_has_one_value() {
        let may_meet = |claim: &str| {
            let mut spec = spec(vec![account("octo", vec![of("e", claims(identity("i"), json!({ claim: "ci" })))])]);
            spec.issuers = vec![crate::IssuerSpec { preset: Some(crate::Preset::Gitlab), ..issuer("e", OWN) }];
            spec.console = Some(console_at(OWN, json!({ claim: "staff", "sub": "ada" })));
            findings(&spec).join("\n").contains("may meet the conditions of `admin` of `console`")
        };
        assert!(!may_meet("project_path") && !may_meet("user_login"));
        assert!(may_meet("groups_direct") && may_meet("userinfo"));
    }

    #[test]
    fn a_change_of_an_account_is_judged_beside_the_console() {
        let mut spec = spec(vec![]);
        spec.issuers = vec![issuer("e", OWN)];
        spec.console = Some(console_at(OWN, json!({ "groups": "admins" })));
        let old = rules(&spec);
        let change = |identity: IdentitySpec| {
            let accounts = vec![account("octo", vec![of("e", identity)])];
            old.recompile(vec![], accounts, &Default::default(), &Default::default())
        };
        let found = change(subject("i", "robot")).unwrap_err();
        assert!(found.iter().any(|finding| finding.code == CheckCode::ConsoleOverlap), "{found:?}");
        assert!(change(claims(subject("i", "robot"), json!({ "groups": { "none_of": ["admins"] } }))).is_ok());
    }

    #[test]
    fn an_identity_of_another_member_of_the_family_is_none_of_the_console() {
        let mut spec = spec(vec![account("octo", vec![of("e", claims(identity("i"), json!({ "realm": "robots" })))])]);
        let realms = VariableSpec::OneOf(vec!["staff".to_owned(), "robots".to_owned()]);
        let variables = [("realm".to_owned(), realms)].into();
        let template = IssuerTemplate::new("https://login.example.com/realms/{realm}", &variables).unwrap();
        spec.issuers = vec![crate::IssuerSpec { issuer: at(Issuers::Family(Arc::new(template))), ..issuer("e", OWN) }];
        spec.console = Some(console_at(OWN, json!({ "groups": "admins" })));
        let found = findings(&spec).join("\n");
        assert!(!found.contains("`console`"), "{found}");
        spec.console = Some(console_at("https://login.example.com/realms/robots", json!({ "groups": "admins" })));
        let found = findings(&spec).join("\n");
        assert!(found.contains("may meet the conditions of `admin` of `console`"), "{found}");
    }
}
