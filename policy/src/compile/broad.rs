//! Finds rules that would let strangers in. On a shared issuer the signature proves nothing about
//! the owner of a token, so the rule must.

use sts_types::{CheckCode, Located, Origin};

use crate::condition::{Condition, Matcher, Test};
use crate::finding::{Findings, quoted};
use crate::pattern::{Pattern, shortest};
use crate::preset::{OpenToAnybody, OwnerGrammar, OwnerScope, OwnerText, is_everybodys_tenant};
use crate::{IdentitySpec, IssuerSpec, Preset, PresetSource};

use super::witness::Witness;

/// The part of an identity that these checks need.
pub(super) struct Rule<'a> {
    pub(super) spec: &'a IdentitySpec,
    pub(super) title: &'a str,
    pub(super) subject: Option<&'a Pattern>,
    pub(super) conditions: &'a [Condition],
}

/// Reports what is unsafe about an identity that accepts tokens of `issuers`.
pub(super) fn check(rule: &Rule<'_>, issuers: &[&IssuerSpec], findings: &mut Findings) {
    // A blank reason excuses nothing.
    let excused = rule.spec.allow_broad.as_ref().is_some_and(|why| !why.value.trim().is_empty());
    for issuer in issuers.iter().filter(|issuer| issuer.preset_source != PresetSource::Faulty) {
        let owner = Owner::of(issuer);
        if issuer.preset.is_some_and(Preset::is_github_grammar) {
            for pattern in rule.subjects() {
                lone_star(pattern, issuer.preset.and_then(Preset::short_rule_key), rule.subject_origin(), findings);
            }
        }
        let many_members =
            issuer.issuer.value.template().is_some_and(|template| template.open_variables().next().is_some());
        if many_members && !excused {
            family(rule, issuer, findings);
        }
        // For a family, `shared` is about the members together. Whether many tenants share one
        // member follows from the platform, or from `owner_claims`.
        let shared_member = if many_members {
            issuer.preset.is_some_and(|preset| preset.defaults().shared)
                || issuer.known.is_some_and(|known| known.shared_member)
                || !issuer.owner_claims.is_empty()
        } else {
            issuer.shared
        };
        if shared_member && !excused {
            shared(rule, issuer, &owner, findings);
        }
    }
}

/// How the tokens of an entry name their owner.
pub(super) struct Owner<'a> {
    /// The platform's grammar, if known.
    pub(super) grammar: Option<&'static OwnerGrammar>,
    /// `owner_claims` of the entry.
    claims: &'a [Located<String>],
}

impl<'a> Owner<'a> {
    pub(super) fn of(issuer: &'a IssuerSpec) -> Self {
        let grammar = issuer.preset.and_then(Preset::owner).or_else(|| issuer.known?.owner());
        Self { grammar, claims: &issuer.owner_claims }
    }

    /// The help for an identity that fixes no owner.
    fn advice(&self) -> String {
        match (self.grammar, self.claims) {
            (Some(grammar), _) => grammar.advice.to_owned(),
            (None, []) => {
                "write an exact `subject`, or name the claims that tell the owner in the issuer entry's `owner_claims`"
                    .to_owned()
            }
            (None, claims) => {
                let names: Vec<String> = claims.iter().map(|claim| quoted(&claim.value)).collect();
                format!("write an exact `subject`, or an exact value of {}", names.join(" or "))
            }
        }
    }

    fn reach(&self, pattern: &Pattern) -> OwnerScope {
        match self.grammar {
            Some(grammar) => grammar.subject_reach(pattern),
            None if pattern.literal_head().is_empty() => OwnerScope::ManyOwners,
            None if pattern.is_exact() => OwnerScope::OneOwner,
            None => OwnerScope::Elsewhere,
        }
    }

    /// The forms in which the claim `name` (or pointer `path`) names the owner.
    fn forms<'b>(&'b self, name: &'b str, path: &'b str) -> impl Iterator<Item = OwnerText> + use<'a, 'b> {
        let is_it = move |claim: &str| claim == name || claim == path;
        let known = self.grammar.into_iter().flat_map(|grammar| grammar.claims);
        let known = known.filter(move |(claim, _)| is_it(claim)).map(|(_, form)| *form);
        let bare = |claim: &'b str| claim.strip_prefix('/').filter(|rest| !rest.contains(['/', '~'])).unwrap_or(claim);
        let written = self.claims.iter().filter(move |claim| is_it(&claim.value) || bare(&claim.value) == name);
        known.chain(written.map(|_| OwnerText::Whole))
    }
}

impl Rule<'_> {
    /// Every pattern on `sub`: the `subject`, and conditions on the claim.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &Pattern> {
        let written = self.conditions.iter().filter(|condition| is_subject(condition)).flat_map(texts);
        self.subject.into_iter().chain(written)
    }

    /// Position of the condition on `claim`, or of the identity if there is none.
    pub(super) fn claim_origin(&self, claim: &str) -> Origin {
        let named = self.spec.claims.iter().find(|(name, _)| name.value.trim_start_matches('/') == claim);
        named.map_or(self.spec.origin, |(name, _)| name.origin)
    }

    pub(super) fn subject_origin(&self) -> Origin {
        let written = self.spec.claims.iter().find(|(name, _)| matches!(name.value.as_str(), "sub" | "/sub"));
        let claim = written.map(|(name, _)| name.origin);
        self.spec.subject.as_ref().map(|subject| subject.origin).or(claim).unwrap_or(self.spec.origin)
    }

    pub(super) fn fixes_owner(&self, owner: &Owner<'_>) -> bool {
        let subject = |pattern: &Pattern| owner.reach(pattern) == OwnerScope::OneOwner;
        let claim = |condition: &Condition| {
            let mut forms = owner.forms(condition.claim_name(), condition.path.as_str());
            forms.any(|form| fixed_by(condition, &|matcher| fixes(form, matcher)))
                || (is_subject(condition)
                    && fixed_by(condition, &|matcher| matches!(matcher, Matcher::Text(text) if subject(text))))
        };
        self.subject.is_some_and(subject) || self.conditions.iter().any(claim)
    }

    /// A stranger's token that the rule accepts, if a pattern lets it in: a text of it, and what to
    /// say of it.
    fn stranger(&self, grammar: Option<&OwnerGrammar>) -> Option<(String, String)> {
        let grammar = grammar?;
        let claims = self.conditions.iter().filter(|condition| !condition.or_absent).find_map(|condition| {
            let name = condition.claim_name();
            let (_, form) =
                grammar.claims.iter().find(|(claim, _)| *claim == name || *claim == condition.path.as_str())?;
            let witness = |pattern: &Pattern| Witness::against(pattern, &[*form], &[]);
            let witness = texts(condition).find_map(witness)?;
            let said = format!("of {}, {}", quoted(condition.path.as_str()), witness.say());
            Some((witness.text, said))
        });
        let subject = || {
            let text = shortest([self.subject?], [&Pattern::literal("")]).text()?;
            let said = format!("it accepts the subject {} of anybody", quoted(&text));
            Some((text, said))
        };
        claims.or_else(subject)
    }
}

fn shared(rule: &Rule<'_>, issuer: &IssuerSpec, owner: &Owner<'_>, findings: &mut Findings) {
    let (entry, grammar) = (quoted(issuer.name.value.as_str()), owner.grammar);
    let help = format!("{}; or give a reason with `allow_broad: \"...\"`", owner.advice());
    let mut across = false;
    for pattern in rule.subjects().filter(|pattern| owner.reach(pattern) == OwnerScope::ManyOwners) {
        across = true;
        let forms = grammar.map_or(&[][..], |grammar| grammar.subjects);
        let witness = Witness::against(pattern, forms, grammar.map_or(&[], |grammar| grammar.shapes));
        let message = format!(
            "{} reaches across owners, and many share the issuer of {entry}{}",
            quoted(pattern.as_str()),
            witness.as_ref().map_or(String::new(), |witness| format!(": {}", witness.say()))
        );
        let witness = witness.map(|witness| witness.text);
        findings.accepts_stranger(CheckCode::BroadSubject, rule.subject_origin(), witness, message, help.clone());
    }
    if !across && !rule.fixes_owner(owner) {
        let (witness, said) = rule.stranger(grammar).unzip();
        let message = format!(
            "{} fits tokens of every owner: many share the issuer of {entry}{}",
            rule.title,
            said.or_else(|| place_of_job(rule, grammar)).map_or(String::new(), |said| format!("; {said}"))
        );
        findings.accepts_stranger(CheckCode::AnyOwner, rule.spec.origin, witness, message, help);
    }
}

/// Says that a condition on the place where a job runs names no owner, if there is one.
fn place_of_job(rule: &Rule<'_>, grammar: Option<&OwnerGrammar>) -> Option<String> {
    let is_on = |place: &str| rule.conditions.iter().any(|condition| condition.claim_name() == place);
    let (place, code) = grammar?.runs_in.iter().find(|(place, _)| is_on(place))?;
    Some(format!(
        "{} tells where a job runs, and a fork's code may run there: {} tells whose it is",
        quoted(place),
        quoted(code)
    ))
}

/// Reports an identity that accepts every member of an open family. It must name the members,
/// because anybody who runs one could get in.
fn family(rule: &Rule<'_>, issuer: &IssuerSpec, findings: &mut Findings) {
    let Some(template) = issuer.issuer.value.template() else { return };
    let is_fixed = |name: &str| {
        let mut on_variable =
            rule.conditions.iter().filter(|condition| condition.on_variable && condition.path.as_str() == name);
        on_variable.any(|condition| condition.is_exact())
    };
    everybodys_member(rule, issuer, findings);
    let free: Vec<&str> = template.open_variables().filter(|name| !is_fixed(name)).collect();
    let Some(first) = free.first() else { return };
    let shown: Vec<String> = free.iter().map(|name| format!("`{{{name}}}`")).collect();
    let entry = quoted(issuer.name.value.as_str());
    let anybody = match issuer.known {
        Some(_) if issuer.preset == Some(Preset::Azure) => {
            Some("anybody with a Microsoft account can have a tenant".to_owned())
        }
        Some(_) => Some("anybody with an account at the platform can have one".to_owned()),
        None => OpenToAnybody::of(template, &free).map(|open| format!("whoever {} can have one", open.how)),
    };
    let is_open = issuer.shared || anybody.is_some();
    let message = format!(
        "{} accepts tokens of every {} that the pattern of {entry} fits{}",
        rule.title,
        shown.join(" and "),
        anybody.map_or(String::new(), |anybody| format!(": {anybody}"))
    );
    let help = format!(
        "name the accepted ones, such as `{first}: ...` under `claims:`, or list the values in the issuer entry's `variables`"
    );
    if is_open {
        let help = format!("{help}; or give a reason with `allow_broad: \"...\"`");
        findings.unsafe_rule(CheckCode::AnyFamilyMember, rule.spec.origin, message, help);
    } else {
        findings.warning(CheckCode::AnyFamilyMember, rule.spec.origin, message, help);
    }
}

/// Reports a condition on the word that stands for every tenant of Entra.
fn everybodys_member(rule: &Rule<'_>, issuer: &IssuerSpec, findings: &mut Findings) {
    if issuer.preset != Some(Preset::Azure) {
        return;
    }
    for condition in rule.conditions.iter().filter(|condition| condition.on_variable) {
        let Some(word) = texts(condition).map(Pattern::as_str).find(|text| is_everybodys_tenant(text)) else {
            continue;
        };
        let message = format!(
            "{} is not a tenant of Microsoft Entra: anybody with a Microsoft account can get a token there",
            quoted(word)
        );
        let help = "write the id of your own tenant".to_owned();
        findings.unsafe_rule(CheckCode::AnyTenantIssuer, rule.claim_origin(condition.path.as_str()), message, help);
    }
}

/// Reports a lone `*` right after the repository or after `:ref:`. Its author means every branch,
/// but it matches none, because refs have slashes.
fn lone_star(pattern: &Pattern, block: Option<&str>, origin: Origin, findings: &mut Findings) {
    let text = pattern.as_str();
    let Some(before) = text.strip_suffix(":*") else { return };
    let (repository, after_ref) = match before.strip_suffix(":ref") {
        Some(repository) => (repository, true),
        None => (before, false),
    };
    let after_repository =
        ["repo:", "repository:"].iter().any(|key| before.strip_prefix(key).is_some_and(|rest| !rest.contains(':')));
    if !after_ref && !after_repository {
        return;
    }
    let message = if after_ref {
        format!("{} matches no branch: `*` stops at `/`", quoted(text))
    } else {
        format!("{} matches `pull_request` and no branch: `*` stops at `/` and `:`", quoted(text))
    };
    let name = repository.split_once(':').map_or(repository, |(_, name)| name);
    let name = if name.contains(['*', '?', '\\', '@']) { "OWNER/REPOSITORY" } else { name };
    let branches = quoted(&format!("{repository}:ref:refs/heads/**"));
    let claims = match block {
        Some(key) => format!("the block `{key}: {{ repository: {name} }}`"),
        None => format!("the condition `repository: {name}` under `claims:`"),
    };
    let help = format!("write {branches} for every branch, or {claims}");
    findings.unsafe_rule(CheckCode::LoneWildcard, origin, message, help);
}

/// Whether every claim that meets the condition has a value that `fixes` accepts.
pub(super) fn fixed_by(condition: &Condition, fixes: &dyn Fn(&Matcher) -> bool) -> bool {
    let test = |test: &Test| match test {
        Test::AnyOf(any) => !any.is_empty() && any.iter().all(fixes),
        Test::AllOf(all) => all.iter().any(fixes),
        Test::NoneOf(_) | Test::Regex(..) | Test::Present(_) => false,
    };
    !condition.or_absent && !condition.on_variable && condition.tests.iter().any(test)
}

/// The patterns of the condition's `any_of` and `all_of` tests.
pub(super) fn texts(condition: &Condition) -> impl Iterator<Item = &Pattern> {
    let matchers = condition.tests.iter().flat_map(|test| match test {
        Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.as_slice(),
        Test::NoneOf(_) | Test::Regex(..) | Test::Present(_) => &[],
    });
    matchers.filter_map(|matcher| if let Matcher::Text(pattern) = matcher { Some(pattern) } else { None })
}

pub(super) fn fixes(form: OwnerText, matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Text(pattern) => form.reach(pattern) == OwnerScope::OneOwner,
        Matcher::Number(_) => matches!(form, OwnerText::Whole),
        Matcher::Bool(_) => false,
    }
}

fn is_subject(condition: &Condition) -> bool {
    matches!(condition.path.as_str(), "sub" | "/sub")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{PatternError, RuleSet, Spec};
    use serde_json::json;
    use sts_types::Located;

    /// The findings about an identity that accepts tokens of the issuer at `url`.
    fn report(url: &str, identity: IdentitySpec) -> String {
        findings(&with(url, identity)).join("\n")
    }

    /// Whether the policy compiles; lints do not count.
    fn loads(url: &str, identity: IdentitySpec) -> bool {
        RuleSet::compile(&with(url, identity)).is_ok()
    }

    fn with(url: &str, identity: IdentitySpec) -> Spec {
        let mut spec = spec(vec![account("octo", vec![of("e", identity)])]);
        spec.issuers = vec![issuer("e", url)];
        spec
    }

    fn allowed(identity: IdentitySpec, why: &str) -> IdentitySpec {
        IdentitySpec { allow_broad: Some(Located::nowhere(why.to_owned())), ..identity }
    }

    #[test]
    fn c061_c064_a_pattern_across_owners_is_refused_on_shared_issuers() {
        for (url, pattern) in [
            (GITHUB, "*"),
            (GITHUB, "**"),
            (GITHUB, "?"),
            (GITHUB, "repo:*"),
            (GITHUB, "repo:**"),
            (GITHUB, "repo:acme*"),
            (GITHUB, "repo:acme*/app:ref:refs/heads/main"),
            (GITHUB, "repo:acme**"),
            (GITHUB, "repo:?cme/app:ref:refs/heads/main"),
            (GITHUB, "repo:*/app:ref:refs/heads/main"),
            (GITHUB, "*:ref:refs/heads/main"),
            (GITHUB, "r**"),
            (GITHUB, "repository_owner:acme*"),
            (GITHUB, "repository_id:7*"),
            ("https://gitlab.com", "project_path:acme*/app:ref_type:branch:ref:main"),
            ("https://gitlab.com", "project_path:**"),
            ("https://agent.buildkite.com", "organization:acme*:pipeline:p:**"),
            ("https://app.terraform.io", "organization:*:project:*:workspace:w:run_phase:apply"),
            ("https://accounts.google.com", "1000*"),
            ("https://oidc.circleci.com", "org/*/project/p/user/u"),
            ("https://oidc.vercel.com", "owner:*:project:p:environment:production"),
        ] {
            let wanted =
                format!("Unsafe: `{pattern}` reaches across owners, and many share the issuer of `e`: it accepts `");
            for identity in [
                subject("i", pattern),
                claims(identity("i"), json!({ "sub": pattern })),
                claims(identity("i"), json!({ "/sub": [pattern] })),
            ] {
                let report = report(url, identity);
                assert!(report.starts_with(&wanted), "wanted {wanted}, got {report}");
            }
            let excused = report(url, allowed(subject("i", pattern), "everybody may"));
            assert!(!excused.contains("Unsafe") && !excused.contains("Error"), "{excused}");
        }
    }

    #[test]
    fn c065_an_identity_without_an_owner_is_refused_on_shared_issuers() {
        let blocks = [
            json!({ "environment": "production" }),
            json!({ "job_workflow_ref": "octo-org/x/.github/workflows/a.yml@refs/heads/main" }),
            json!({ "repository": "*/app" }),
            json!({ "repository": "octo*" }),
            json!({ "repository": ["octo-org/app", "*/app"] }),
            json!({ "repository_owner": "octo*" }),
            json!({ "repository_id": "*" }),
            json!({ "repository_id": { "none_of": ["1"] } }),
            json!({ "repository_id": { "present": true } }),
            json!({ "repository_id": { "any_of": ["74"], "or_absent": true } }),
            json!({ "repository": { "regex": "octo-org/.*" } }),
            json!({ "actor": "octocat" }),
        ];
        let wanted = "Unsafe: identity `i` of `octo` fits tokens of every owner: many share the issuer of `e`";
        for block in blocks {
            let report = report(GITHUB, short(identity("i"), "github", block.clone()));
            assert!(report.starts_with(wanted), "{block}: {report}");
        }
        assert!(report(GITHUB, identity("i")).starts_with(wanted));
        assert!(report(GITHUB, claims(identity("i"), json!({ "aud": OURS }))).starts_with(wanted));
        assert!(
            report(GITHUB, subject("i", "environment:production")).contains(wanted),
            "a customised template without the owner"
        );
        for url in [
            "https://gitlab.com",
            "https://agent.buildkite.com",
            "https://app.terraform.io",
            "https://accounts.google.com",
        ] {
            assert!(report(url, claims(identity("i"), json!({ "x": "y" }))).starts_with(wanted), "{url}");
        }
        assert!(report(GITHUB, allowed(identity("i"), " ")).starts_with(wanted), "a blank reason is none");
    }

    #[test]
    fn what_fixes_the_owner_is_accepted() {
        for (url, pattern) in [
            (GITHUB, "repo:octo-org/**"),
            (GITHUB, "repo:octo-org/app*:ref:refs/heads/**"),
            (GITHUB, "repo:octo-org@65/octo-repo@74:ref:refs/heads/main"),
            (GITHUB, "repo:octo-org@*/octo-repo@*:ref:refs/heads/main"),
            ("https://gitlab.com", "project_path:group/sub/*:ref_type:branch:ref:main"),
            ("https://agent.buildkite.com", "organization:acme:**"),
            ("https://app.terraform.io", "organization:acme:project:*:workspace:*:run_phase:apply"),
            ("https://accounts.google.com", "100000000000000000001"),
            ("https://oidc.circleci.com", "org/c9035eb6/project/*/user/*"),
            ("https://oidc.vercel.com", "owner:acme:project:*:environment:production"),
        ] {
            assert!(loads(url, subject("i", pattern)), "{pattern}");
        }
        for (url, condition) in [
            (GITHUB, json!({ "repository_owner_id": "65" })),
            (GITHUB, json!({ "/repository_owner_id": "65" })),
            (GITHUB, json!({ "repository_id": ["74", "75"] })),
            (GITHUB, json!({ "repository_id": { "all_of": ["74"] } })),
            (GITHUB, json!({ "repository_owner": "octo-org" })),
            (GITHUB, json!({ "repository": "octo-org/*" })),
            (GITHUB, json!({ "workflow_ref": "octo-org/octo-repo/.github/workflows/**" })),
            ("https://gitlab.com", json!({ "namespace_id": "72" })),
            ("https://gitlab.com", json!({ "project_path": "group/*" })),
            ("https://gitlab.com", json!({ "project_id": "20", "job_project_id": "20" })),
            ("https://agent.buildkite.com", json!({ "organization_id": "0184990a" })),
            ("https://accounts.google.com", json!({ "/google/compute_engine/project_number": 100000000001_u64 })),
            ("https://oidc.circleci.com", json!({ "oidc.circleci.com/org-id": "c9035eb6" })),
        ] {
            assert!(loads(url, claims(identity("i"), condition.clone())), "{condition}");
        }
    }

    #[test]
    fn where_a_job_runs_does_not_name_the_owner_of_its_code() {
        for (place, code) in [("job_project_id", "project_id"), ("job_namespace_id", "namespace_id")] {
            let identity = claims(identity("i"), json!({ place: "20", "ref": "main" }));
            let report = report("https://gitlab.com", identity);
            let said = format!(
                "`{place}` tells where a job runs, and a fork's code may run there: `{code}` tells whose it is"
            );
            assert!(report.starts_with("Unsafe") && report.contains(&said), "{report}");
        }
    }

    #[test]
    fn a_pattern_across_owners_is_refused_even_beside_an_owner() {
        let identity = claims(
            subject("i", "repo:*/*:environment:prod"),
            json!({ "repository_owner_id": "65", "ref": "refs/heads/main" }),
        );
        assert!(
            report(GITHUB, identity.clone()).starts_with("Unsafe: `repo:*/*:environment:prod` reaches across owners")
        );
        assert_eq!(report(GITHUB, allowed(identity, "the owner's id is fixed")), "");
    }

    #[test]
    fn c064_a_lone_star_is_refused_always_and_the_error_names_what_to_write() {
        for (pattern, help) in [
            (
                "repo:o/r:*",
                "write `repo:o/r:ref:refs/heads/**` for every branch, or the block `github: { repository: o/r }`",
            ),
            ("repo:o/r:ref:*", "write `repo:o/r:ref:refs/heads/**` for every branch"),
            ("repo:o/*:*", "write `repo:o/*:ref:refs/heads/**`"),
            ("repo:o@1/r@2:*", "write `repo:o@1/r@2:ref:refs/heads/**`"),
        ] {
            for url in [
                GITHUB,
                "https://token.actions.githubusercontent.com/octo-enterprise",
                "https://token.actions.octo.ghe.com",
            ] {
                for identity in [
                    subject("i", pattern),
                    allowed(subject("i", pattern), "why not"),
                    claims(identity("i"), json!({ "sub": pattern })),
                ] {
                    let report = report(url, identity);
                    assert!(report.contains("Unsafe: ") && report.contains(help), "{pattern}: {report}");
                }
            }
        }
        for fine in ["repo:o/r:**", "repo:o/r:ref:refs/heads/*", "repo:o/r:ref:refs/tags/v*"] {
            assert!(loads(GITHUB, subject("i", fine)), "{fine}");
        }
        assert!(
            !report("https://gitlab.com", subject("i", "project_path:g/p:ref_type:branch:ref:*")).contains("Unsafe")
        );
    }

    #[test]
    fn fld7_an_issuer_marked_shared_wants_an_exact_subject_or_an_owner_claim() {
        let by = |owner_claims: &[&str], identity: IdentitySpec| {
            let mut spec = with("https://many.example", identity);
            spec.issuers[0].shared = true;
            spec.issuers[0].owner_claims = owner_claims.iter().map(|claim| at((*claim).to_owned())).collect();
            findings(&spec).join("")
        };
        let on = |identity: IdentitySpec| by(&[], identity);
        for broad in [
            subject("i", "**"),
            subject("i", "org:acme:*"),
            identity("i"),
            claims(identity("i"), json!({ "tenant": "a*" })),
            claims(identity("i"), json!({ "aud": "x" })),
            // Any tenant can send these.
            claims(identity("i"), json!({ "environment": "prod" })),
            claims(subject("i", "org:*"), json!({ "tid": 7, "environment": "prod" })),
            claims(identity("i"), json!({ "sub": ["org:acme:job", "org:*"] })),
        ] {
            assert!(on(broad.clone()).starts_with("Unsafe"), "{broad:?}");
            assert!(by(&["org_id", "/tenant/id"], broad.clone()).starts_with("Unsafe"), "{broad:?}");
        }
        for exact in
            [subject("i", "org:acme:job"), claims(identity("i"), json!({ "sub": ["org:acme:job", "org:acme:other"] }))]
        {
            assert_eq!(on(exact.clone()), "");
            assert_eq!(by(&["org_id"], exact), "");
        }
        for owned in [
            claims(identity("i"), json!({ "org_id": "o-1" })),
            claims(identity("i"), json!({ "/org_id": ["o-1", "o-2"] })),
            claims(identity("i"), json!({ "org_id": 7 })),
            claims(identity("i"), json!({ "/tenant/id": { "all_of": ["o-1"] } })),
            claims(subject("i", "job:*"), json!({ "org_id": "o-1" })),
        ] {
            assert_eq!(by(&["org_id", "/tenant/id"], owned.clone()), "", "{owned:?}");
            assert_eq!(by(&["/org_id", "/tenant/id"], owned.clone()), "", "{owned:?}");
            assert!(by(&["account"], owned.clone()).starts_with("Unsafe"), "{owned:?}");
            assert!(on(owned.clone()).starts_with("Unsafe"), "{owned:?}");
        }
        for loose in [
            json!({ "org_id": "o-*" }),
            json!({ "org_id": true }),
            json!({ "org_id": { "any_of": ["o-1"], "or_absent": true } }),
            json!({ "org_id": { "none_of": ["o-2"] } }),
            json!({ "org_id": { "present": true } }),
            json!({ "org_id": { "regex": "o-1" } }),
            json!({ "/org_id/x": "o-1" }),
            json!({ "/tenant": "o-1" }),
        ] {
            assert!(
                by(&["org_id", "/tenant/id"], claims(identity("i"), loose.clone())).starts_with("Unsafe"),
                "{loose}"
            );
        }
    }

    #[test]
    fn a_pattern_that_does_not_parse_is_one_finding() {
        let report = report(GITHUB, subject("i", "repo:***"));
        assert_eq!(report, format!("Error: `repo:***` is not a pattern / {}", PatternError::ThreeStars));
    }

    #[test]
    fn c061_a_subject_that_begins_with_a_wildcard_reaches_across_owners_of_an_unknown_platform() {
        let of = |pattern: &str| {
            let mut spec = with("https://ci.example", subject("i", pattern));
            spec.issuers[0].shared = true;
            findings(&spec).join("\n")
        };
        for across in ["*:deploy", "**", "?cme:deploy"] {
            assert!(of(across).contains("reaches across owners"), "{across}: {}", of(across));
        }
        assert!(!of("acme:*").contains("reaches across owners"));
        assert!(!of("acme:deploy").contains("Error"));
    }
}
