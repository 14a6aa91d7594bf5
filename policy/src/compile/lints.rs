//! Lints: doubtful rules that load all the same.

use sts_types::{Audience, CheckCode, Located, Origin};

use super::broad::{Owner, Rule, fixed_by, fixes, texts};
use super::conditions::names_event;
use crate::condition::{Condition, Matcher, Test};
use crate::finding::{Findings, quoted};
use crate::pattern::{Pattern, shortest};
use crate::preset::{OwnerGrammar, OwnerScope, OwnerText, shared_audience};
use crate::{IssuerSpec, Preset, PresetSource, Replay, Spec};

/// Reports what is doubtful about issuer entries.
pub(super) fn entries(spec: &Spec, findings: &mut Findings) {
    for issuer in &spec.issuers {
        audiences(&issuer.audience, &[issuer], spec.issuer.as_str(), findings);
        used_once(issuer.replay, issuer, issuer.name.origin, findings);
    }
}

/// Reports what is doubtful about an identity that accepts tokens of `issuers`.
pub(super) fn identity(rule: &Rule<'_>, issuers: &[&IssuerSpec], ours: &str, findings: &mut Findings) {
    audiences(&rule.spec.audience, issuers, ours, findings);
    unverified_email(rule, findings);
    for issuer in issuers {
        used_once(rule.spec.replay.unwrap_or_default(), issuer, rule.spec.origin, findings);
        if issuer.preset_source == PresetSource::Faulty {
            continue;
        }
        let owner = Owner::of(issuer);
        if issuer.preset.is_some_and(Preset::is_github_grammar) {
            owner.grammar.into_iter().for_each(|grammar| github(rule, grammar, findings));
            unnamed_events(rule, findings);
        }
        if issuer.preset == Some(Preset::Kubernetes) {
            default_service_account(rule, findings);
        }
        if issuer.shared {
            recycled_names(rule, issuer, &owner, findings);
        } else {
            breadth(rule, issuer, findings);
            tenancy_unsaid(rule, issuer, &owner, findings);
        }
    }
}

/// Reports an audience that other services accept, too. A token requested for such a service can be
/// presented to us, and ours to it.
fn audiences(list: &[Located<Audience>], issuers: &[&IssuerSpec], ours: &str, findings: &mut Findings) {
    // Tokens of Azure DevOps service connections always have a shared audience; nothing else can be
    // requested.
    let fixed = |issuer: &&IssuerSpec| issuer.preset == Some(Preset::AzureDevops);
    for audience in list {
        let text = audience.value.as_str();
        let Some(service) = shared_audience(text).filter(|_| !issuers.iter().any(fixed)) else { continue };
        let message =
            format!("the audience {} is that of {service}: tokens meant for it are accepted here", quoted(text));
        findings.warning(
            CheckCode::SharedAudience,
            audience.origin,
            message,
            format!("ask for tokens with an audience of our own, such as `{ours}`"),
        );
    }
}

/// Reports single use of tokens without `jti`. Such a platform may hand out the same token again.
fn used_once(replay: Replay, issuer: &IssuerSpec, origin: Origin, findings: &mut Findings) {
    let Some(preset) = issuer.preset.filter(|preset| replay != Replay::Allow && !preset.sends_jti()) else { return };
    let message = format!(
        "tokens of `{}` have no `jti`: with one use only, a token that the platform kept and hands out again is refused",
        preset.name()
    );
    findings.warning(
        CheckCode::SingleUseWithoutJti,
        origin,
        message,
        "make sure that each exchange asks for a token of its own".to_owned(),
    );
}

/// Reports a condition on `email` without one on `email_verified`.
fn unverified_email(rule: &Rule<'_>, findings: &mut Findings) {
    let on = |name: &'static str| move |condition: &&Condition| condition.claim_name() == name;
    if rule.conditions.iter().any(|condition| on("email")(&condition))
        && !rule.conditions.iter().any(|condition| on("email_verified")(&condition))
    {
        let origin = rule.claim_origin("email");
        let message =
            "`email` without `email_verified`: the issuer may not have checked whose address it is".to_owned();
        findings.warning(
            CheckCode::UnverifiedEmail,
            origin,
            message,
            "add `email_verified: true` under `claims:`".to_owned(),
        );
    }
}

/// Reports a rule that accepts a namespace's `default` service account. Every pod that names no
/// service account runs as it.
fn default_service_account(rule: &Rule<'_>, findings: &mut Findings) {
    const NAME: &str = "/kubernetes.io/serviceaccount/name";
    const UID: &str = "/kubernetes.io/serviceaccount/uid";
    let exact = |matcher: &Matcher| fixes(OwnerText::Whole, matcher);
    let on = |path: &'static str| move |condition: &&Condition| condition.path.as_str() == path;
    if rule.conditions.iter().filter(|condition| on(UID)(condition)).any(|condition| fixed_by(condition, &exact)) {
        return;
    }
    let excluded = |condition: &Condition| {
        let none =
            condition.tests.iter().filter_map(|test| if let Test::NoneOf(none) = test { Some(none) } else { None });
        none.flatten().any(|matcher| matches!(matcher, Matcher::Text(text) if text.matches("default")))
    };
    let named: Vec<&Condition> = rule.conditions.iter().filter(|condition| on(NAME)(condition)).collect();
    let by_claim = named.iter().all(|condition| {
        !excluded(condition)
            && (texts(condition).next().is_none() || texts(condition).any(|text| text.matches("default")))
    });
    let Ok(default) = Pattern::parse("system:serviceaccount:?*:default") else { return };
    let subjects: Vec<String> =
        rule.subjects().filter_map(|pattern| shortest([pattern, &default], []).text()).collect();
    let by_subject = rule.subjects().next().is_none() || !subjects.is_empty();
    if !by_claim || !by_subject {
        return;
    }
    let accepted = subjects.first().map_or("system:serviceaccount:NAMESPACE:default", String::as_str);
    let message =
        format!("{} accepts {}: every pod that names no service account runs as it", rule.title, quoted(accepted));
    let help = "make a service account for the workload, and name it".to_owned();
    findings.warning(CheckCode::DefaultServiceAccount, rule.subject_origin(), message, help);
}

/// Reports an owner that is fixed by name only. After a rename or deletion, somebody else can
/// register the name.
fn recycled_names(rule: &Rule<'_>, issuer: &IssuerSpec, owner: &Owner<'_>, findings: &mut Findings) {
    let Some(grammar) = owner.grammar.filter(|_| issuer.preset_source != PresetSource::WrittenNone) else { return };
    if grammar.ids.is_empty() || !rule.fixes_owner(owner) {
        return;
    }
    let is_id = |condition: &Condition| {
        let name = condition.claim_name();
        let is_id_claim = grammar.ids.iter().any(|id| *id == name || *id == condition.path.as_str());
        is_id_claim && fixed_by(condition, &|matcher| fixes(OwnerText::Whole, matcher))
    };
    if rule.conditions.iter().any(is_id)
        || rule.subjects().any(|pattern| (grammar.subject_has_id)(pattern.literal_head()))
    {
        return;
    }
    let message = format!(
        "{} names its owner without an id, and names are recycled: the next owner of the name gets in",
        rule.title
    );
    let help = format!("add {}", grammar.ids.iter().take(2).map(|id| quoted(id)).collect::<Vec<_>>().join(" or "));
    findings.warning(CheckCode::RecycledName, rule.subject_origin(), message, help);
}

/// Reports a public issuer whose tenancy is unknown: can strangers get tokens there? The question
/// matters if an identity would accept any tenant, because it has no subject and no claim that is
/// known to name the owner.
fn tenancy_unsaid(rule: &Rule<'_>, issuer: &IssuerSpec, owner: &Owner<'_>, findings: &mut Findings) {
    // An issuer of any other preset has one tenant: a cluster, a realm, an account.
    let is_unknown = match issuer.preset_source {
        PresetSource::Unsaid | PresetSource::WrittenNone => true,
        PresetSource::Written => owner.grammar.is_some(),
        PresetSource::Url | PresetSource::Faulty => false,
    };
    let names_subject = rule.subjects().any(|pattern| !pattern.literal_head().is_empty());
    let names_owner = if owner.grammar.is_some() { rule.fixes_owner(owner) } else { names_subject };
    if !is_unknown || !issuer.public || issuer.shared_written || names_owner || rule.spec.allow_broad.is_some() {
        return;
    }
    let entry = quoted(issuer.name.value.as_str());
    let message = format!(
        "{} names no subject and no owner, and nothing says whether others can get tokens of {entry}",
        rule.title
    );
    let help = format!(
        "write `shared: true` on the issuer entry {entry} if they can, with `owner_claims`; `shared: false` if it is yours alone"
    );
    findings.warning(CheckCode::TenancyUnknown, rule.spec.origin, message, help);
}

/// Reports conditions on `event_name` that list no event by its full name.
fn unnamed_events(rule: &Rule<'_>, findings: &mut Findings) {
    let on_event = |condition: &&Condition| !condition.on_variable && condition.claim_name() == "event_name";
    let named = |matcher: &Matcher| matches!(matcher, Matcher::Text(pattern) if pattern.is_exact());
    let conditions: Vec<&Condition> = rule.conditions.iter().filter(on_event).collect();
    if conditions.is_empty() || conditions.iter().any(|condition| fixed_by(condition, &named)) {
        return;
    }
    let message = if names_event(rule.conditions) {
        "this condition on `event_name` lists no event by its full name, and takes the place of the refusal of events that \
         anybody can cause, such as `issues`"
    } else {
        "this condition on `event_name` names no event: events that anybody can cause, such as `issues`, stay refused beside it"
    }
    .to_owned();
    findings.warning(
        CheckCode::UnnamedEvent,
        rule.claim_origin("event_name"),
        message,
        "list the events that are meant: `event_name: [push, workflow_dispatch]`".to_owned(),
    );
}

/// Reports a rule for an issuer of one tenant that accepts much more than one workload.
fn breadth(rule: &Rule<'_>, issuer: &IssuerSpec, findings: &mut Findings) {
    let entry = quoted(issuer.name.value.as_str());
    let empty = |pattern: &Pattern| !pattern.as_str().chars().any(char::is_alphanumeric);
    let any_account = |pattern: &Pattern| {
        issuer.preset == Some(Preset::Kubernetes)
            && pattern.as_str().strip_prefix("system:serviceaccount:").is_some_and(|rest| rest.starts_with('*'))
    };
    match rule.subject {
        None if rule.conditions.is_empty() => {
            let message = format!("{} accepts every token of {entry}", rule.title);
            findings.warning(
                CheckCode::BroadIdentity,
                rule.spec.origin,
                message,
                "add a `subject`, or a condition on a claim".to_owned(),
            );
        }
        Some(subject) if rule.conditions.is_empty() && (empty(subject) || any_account(subject)) => {
            let message = format!("{} accepts nearly every token of {entry}", quoted(subject.as_str()));
            findings.warning(
                CheckCode::BroadIdentity,
                rule.subject_origin(),
                message,
                "name the subject more closely".to_owned(),
            );
        }
        _ => {}
    }
}

fn github(rule: &Rule<'_>, grammar: &OwnerGrammar, findings: &mut Findings) {
    let Some(subject) = rule.subject else { return };
    let text = subject.as_str();
    let names_ref = rule.conditions.iter().any(|condition| {
        matches!(condition.claim_name(), "ref" | "ref_protected" | "workflow_ref" | "job_workflow_ref")
    });
    if text.starts_with("repo:") && text.contains(":environment:") && !names_ref {
        let message =
            format!("{} carries no branch: any branch that may deploy to the environment gets in", quoted(text));
        let help = "protect the environment on GitHub, or add a condition on `ref`".to_owned();
        findings.warning(CheckCode::EnvironmentWithoutBranch, rule.subject_origin(), message, help);
    } else if !subject.literal_head().starts_with("repo:") && grammar.subject_reach(subject) != OwnerScope::ManyOwners {
        let message = format!("{} follows a customised template, whose values nothing keeps apart", quoted(text));
        let help = "match on claims instead, with a `github:` block".to_owned();
        findings.warning(CheckCode::CustomisedSubject, rule.subject_origin(), message, help);
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::{IdentitySpec, Replay, Spec};
    use serde_json::json;

    /// The findings about an identity that accepts tokens of the issuer at `url`.
    fn report(url: &str, identity: IdentitySpec) -> String {
        findings(&with(url, identity)).join("\n")
    }

    fn with(url: &str, identity: IdentitySpec) -> Spec {
        let mut spec = spec(vec![account("octo", vec![of("e", identity)])]);
        spec.issuers = vec![issuer("e", url)];
        spec
    }

    const CLUSTER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";

    #[test]
    fn one_use_is_doubtful_where_tokens_have_no_jti() {
        const GOOGLE: &str = "https://accounts.google.com";
        const WANTED: &str = "Warning: tokens of `google` have no `jti`: with one use only, a token that the platform kept and hands out again is refused / make sure that each exchange asks for a token of its own";
        let machine = || subject("i", "112233445566778899001");
        let once = |replay| IdentitySpec { replay: Some(replay), ..machine() };
        assert_eq!(report(GOOGLE, machine()), "");
        assert_eq!(report(GOOGLE, once(Replay::Allow)), "");
        assert_eq!(report(GOOGLE, once(Replay::Once)), WANTED);
        assert_eq!(report(GOOGLE, once(Replay::OncePerAccount)), WANTED);
        let mut of_entry = with(GOOGLE, machine());
        of_entry.issuers[0].replay = Replay::Once;
        assert_eq!(findings(&of_entry).join("\n"), WANTED);
        let job = claims(subject("i", "repo:octo-org/r:**"), json!({ "repository_id": "74" }));
        assert_eq!(report(GITHUB, IdentitySpec { replay: Some(Replay::Once), ..job }), "");
    }

    #[test]
    fn c071_names_without_ids_are_doubtful_where_names_are_recycled() {
        let wanted = "Warning: identity `i` of `octo` names its owner without an id, and names are recycled: the next owner of the name gets in / add `repository_id` or `repository_owner_id`";
        for doubtful in [
            subject("i", "repo:octo-org/octo-repo:ref:refs/heads/main"),
            subject("i", "repo:octo-org/**"),
            claims(identity("i"), json!({ "repository": "octo-org/octo-repo" })),
            claims(subject("i", "repo:octo-org/**"), json!({ "repository_id": "7*" })),
            short(identity("i"), "github", json!({ "repository_owner": "octo-org" })),
        ] {
            assert_eq!(report(GITHUB, doubtful.clone()), wanted, "{doubtful:?}");
        }
        for sound in [
            claims(subject("i", "repo:octo-org/**"), json!({ "repository_owner_id": "65" })),
            short(identity("i"), "github", json!({ "repository": "octo-org/octo-repo", "repository_id": 74 })),
            subject("i", "repo:octo-org@65/octo-repo@74:ref:refs/heads/main"),
            subject("i", "repository_owner_id:65:**"),
        ] {
            assert!(!report(GITHUB, sound.clone()).contains("recycled"), "{sound:?}");
        }
        let enterprise = "https://token.actions.githubusercontent.com/octo-enterprise";
        assert_eq!(report(enterprise, subject("i", "repo:octo-org/**")), "", "names of one's own enterprise");
        assert!(
            report("https://gitlab.com", subject("i", "project_path:g/p:**"))
                .contains("`project_id` or `namespace_id`")
        );
        assert!(
            report("https://app.terraform.io", subject("i", "organization:o:**"))
                .contains("`terraform_organization_id`")
        );
        assert_eq!(report("https://accounts.google.com", subject("i", "100000000000000000001")), "");
    }

    #[test]
    fn an_address_that_nobody_verified_is_doubtful() {
        let email = json!({ "email": "deployer@octo.iam.gserviceaccount.com" });
        let wanted = "Warning: `email` without `email_verified`: the issuer may not have checked whose address it is";
        for url in ["https://accounts.google.com", "https://own.example"] {
            assert!(report(url, claims(subject("i", "1000"), email.clone())).contains(wanted), "{url}");
        }
        let mut both = email;
        both["email_verified"] = json!(true);
        assert_eq!(report("https://accounts.google.com", claims(subject("i", "1000"), both)), "");
    }

    #[test]
    fn c075_the_default_service_account_is_doubtful() {
        for (doubtful, wanted) in [
            (
                subject("i", "system:serviceaccount:prod:default"),
                "accepts `system:serviceaccount:prod:default`: every pod",
            ),
            (subject("i", "system:serviceaccount:prod:*"), "accepts `system:serviceaccount:prod:default`: every pod"),
            (
                short(identity("i"), "kubernetes", json!({ "namespace": "prod" })),
                "accepts `system:serviceaccount:NAMESPACE:default`",
            ),
            (
                short(identity("i"), "kubernetes", json!({ "namespace": "prod", "service_account": ["default", "x"] })),
                "accepts `system:serviceaccount:NAMESPACE:default`",
            ),
        ] {
            let report = report(CLUSTER, doubtful);
            assert!(report.starts_with("Warning: ") && report.contains(wanted), "{report}");
        }
        for sound in [
            subject("i", "system:serviceaccount:prod:deployer"),
            subject("i", "system:serviceaccount:prod:deployer-*"),
            short(identity("i"), "kubernetes", json!({ "namespace": "prod", "service_account": "deployer" })),
            short(identity("i"), "kubernetes", json!({ "namespace": "prod", "service_account_uid": "0c70c0ff" })),
            short(
                identity("i"),
                "kubernetes",
                json!({ "namespace": "prod", "service_account": { "none_of": ["default"] } }),
            ),
        ] {
            assert_eq!(report(CLUSTER, sound.clone()), "", "{sound:?}");
        }
    }

    #[test]
    fn an_audience_of_other_services_is_doubtful() {
        let audience = |text: &str| vec![at(sts_types::Audience::new(text).unwrap())];
        for (text, service) in [
            ("sts.amazonaws.com", "AWS STS"),
            ("https://github.com/octo-org", "GitHub"),
            ("https://kubernetes.default.svc", "the Kubernetes API server"),
            ("https://kubernetes.default.svc.cluster.local", "the Kubernetes API server"),
            ("api://AzureADTokenExchange", "Microsoft Entra"),
            ("sigstore", "Sigstore"),
        ] {
            let wanted = format!(
                "Warning: the audience `{text}` is that of {service}: tokens meant for it are accepted here / \
                 ask for tokens with an audience of our own, such as `{OURS}`"
            );
            let identity = IdentitySpec { audience: audience(text), ..subject("i", "job") };
            assert_eq!(report("https://own.example", identity), wanted);
            let mut spec = with("https://own.example", subject("i", "job"));
            spec.issuers[0].audience = audience(text);
            assert_eq!(findings(&spec), [wanted]);
        }
        let mine = IdentitySpec { audience: audience("https://sts.amazonaws.com.octo.example"), ..subject("i", "job") };
        assert_eq!(report("https://own.example", mine), "");
        let fixed = IdentitySpec { audience: audience("api://AzureADTokenExchange"), ..subject("i", "sc://o/p/c") };
        let devops = "https://vstoken.dev.azure.com/33333333-4444-4555-8666-777777777777";
        assert_eq!(report(devops, fixed), "", "nothing else can be asked for there");
    }

    #[test]
    fn lints_warn_and_load_all_the_same() {
        let owned = |sub: &str| claims(subject("i", sub), json!({ "repository_owner_id": "65" }));
        let environment = report(GITHUB, owned("repo:o/r:environment:prod"));
        assert!(environment.starts_with("Warning: `repo:o/r:environment:prod` carries no branch"), "{environment}");
        assert_eq!(
            report(
                GITHUB,
                claims(
                    subject("i", "repo:o/r:environment:prod"),
                    json!({ "ref": "refs/heads/main", "repository_id": "74" })
                )
            ),
            ""
        );
        let template = report(
            GITHUB,
            claims(subject("i", "environment:prod:repository_owner:o"), json!({ "repository_owner": "o" })),
        );
        assert!(
            template.starts_with("Warning: `environment:prod:repository_owner:o` follows a customised template"),
            "{template}"
        );
        assert!(
            report("https://own.example", identity("i"))
                .starts_with("Warning: identity `i` of `octo` accepts every token of `e`")
        );
        assert!(
            report("https://own.example", subject("i", "**")).starts_with("Warning: `**` accepts nearly every token")
        );
        assert!(
            report(CLUSTER, subject("i", "system:serviceaccount:*:*")).contains("Warning: `system:serviceaccount:*:*`")
        );
    }

    #[test]
    fn c069_a_condition_on_the_event_that_lists_none_is_told_what_it_does() {
        let of = |event: serde_json::Value| {
            report(GITHUB, claims(identity("i"), json!({ "repository_owner_id": "65", "event_name": event })))
        };
        for (event, wanted) in [
            (json!({ "regex": "push|pull_request" }), Some("takes the place of the refusal")),
            (json!("pull_request*"), Some("takes the place of the refusal")),
            (json!({ "regex": ".*" }), Some("names no event")),
            (json!({ "none_of": ["issues"] }), Some("names no event")),
            (json!("*"), Some("names no event")),
            (json!("push"), None),
            (json!(["push", "pull_request"]), None),
        ] {
            let report = of(event.clone());
            assert_eq!(report.contains("on `event_name`"), wanted.is_some(), "{event}: {report}");
            assert!(report.contains(wanted.unwrap_or_default()), "{event}: {report}");
        }
    }

    #[test]
    fn a_public_issuer_of_unknown_tenancy_is_told_where_a_rule_names_no_subject() {
        let url = "https://ci.example";
        for (identity, is_told) in [
            (claims(identity("i"), json!({ "team": "a" })), true),
            (subject("i", "*:deploy"), true),
            (subject("i", "acme:*"), false),
            (claims(identity("i"), json!({ "sub": "acme:deploy" })), false),
        ] {
            let report = report(url, identity.clone());
            assert_eq!(report.contains("whether others can get tokens"), is_told, "{identity:?}: {report}");
        }
    }
}
