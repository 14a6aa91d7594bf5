//! Faults in the URL of an issuer: it is on a platform's host but is none of its issuers, or its
//! host only looks like a platform's. No message here advises an operator to trust such an issuer.

use sts_types::{CheckCode, Issuer, IssuerTemplate, Issuers};

use super::host::{Likeness, is_known_host, likeness};
use super::known::{FORMS, Form, KnownIssuer};
use super::platforms::Preset;
use crate::finding::quoted;

/// The reason why an issuer, or the template of a family, must not be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerFault {
    /// The rule that was broken.
    pub code: CheckCode,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
    /// Whether the host only looks like a platform's. No other finding about the entry may then
    /// lead an operator to trust it.
    pub look_alike: bool,
    /// The platform that was probably meant. Findings that only follow from the fault are
    /// suppressed.
    pub preset: Option<Preset>,
}

/// Platforms' web sites that people take for the issuer.
const SITES: [(&str, Preset); 6] = [
    ("github.com", Preset::GithubActions),
    ("api.github.com", Preset::GithubActions),
    ("circleci.com", Preset::Circleci),
    ("app.circleci.com", Preset::Circleci),
    ("buildkite.com", Preset::Buildkite),
    ("bitbucket.org", Preset::Bitbucket),
];

/// Words in the place of an Entra tenant's id that accept any account.
const EVERYBODYS_TENANT: [&str; 4] = ["common", "organizations", "consumers", "{tenantid}"];

/// Whether `word` stands for every tenant of Entra, or for everybody without a tenant.
pub(crate) fn is_everybodys_tenant(word: &str) -> bool {
    EVERYBODYS_TENANT.iter().any(|known| known.eq_ignore_ascii_case(word))
}

impl IssuerFault {
    /// The fault of `issuers`, if there is one.
    #[must_use]
    pub fn of(issuers: &Issuers) -> Option<Self> {
        let text = issuers.as_str();
        if let Some(issuer) = issuer_of_document(text) {
            // The remaining text of a family is a template, not an issuer, so only its host is
            // checked.
            let worse = match issuers {
                Issuers::One(_) => Self::of_text(&issuer),
                Issuers::Family(_) => host_of(&issuer).and_then(Self::near),
            };
            return Some(worse.unwrap_or_else(|| Self::document(&issuer)));
        }
        if let Some(fault) = issuers.template().and_then(Self::of_listed_tenants) {
            return Some(fault);
        }
        if KnownIssuer::of(issuers).is_some() {
            return None;
        }
        Self::of_text(text)
    }

    /// An Entra family whose variable lists a word for every tenant.
    fn of_listed_tenants(template: &IssuerTemplate) -> Option<Self> {
        let host = host_of(template.as_str())?;
        let mut forms = FORMS.iter().filter(|form| form.preset == Some(Preset::Azure));
        if !forms.any(|form| is_known_host(host, form.host())) {
            return None;
        }
        let listed = template.names().filter_map(|name| template.listed(name)).flatten();
        let mut words = listed.map(String::as_str);
        words.find(|word| is_everybodys_tenant(word)).map(|word| Self::everybodys_tenant(word, host))
    }

    /// A word for every tenant in the place of an Entra tenant.
    fn everybodys_tenant(word: &str, host: &str) -> Self {
        Self {
            code: CheckCode::AnyTenantIssuer,
            message: format!(
                "{} is not a tenant of {}: anybody with a Microsoft account can get a token there",
                quoted(word),
                Preset::Azure.title()
            ),
            help: format!("write `https://{host}/TENANT-ID/v2.0`, with the id of your own tenant"),
            preset: Some(Preset::Azure),
            look_alike: false,
        }
    }

    /// Like [`Self::of`], for a text that is not the URL of a discovery document.
    fn of_text(text: &str) -> Option<Self> {
        if KnownIssuer::of_url(text).is_some() {
            return None;
        }
        other_slash(text).or_else(|| {
            let host = host_of(text)?;
            Self::of_known_host(text, host).or_else(|| Self::near(host))
        })
    }

    fn document(issuer: &str) -> Self {
        // The issuers of some platforms end in a slash, which the document's URL does not show.
        let slashed = format!("{issuer}/");
        let is_known = |url: &str| KnownIssuer::of_url(url).is_some();
        let issuer = if !is_known(issuer) && is_known(&slashed) { slashed } else { issuer.to_owned() };
        Self {
            code: CheckCode::DiscoveryUrlAsIssuer,
            message: "this is the URL of a discovery document, and no token has it as its `iss`".to_owned(),
            help: format!("write {}, as the document's `issuer` member has it", quoted(&issuer)),
            preset: KnownIssuer::of_url(&issuer).and_then(KnownIssuer::preset),
            look_alike: false,
        }
    }

    /// A URL on a known platform's host that is none of its issuers.
    fn of_known_host(text: &str, host: &str) -> Option<Self> {
        let site = SITES.iter().find(|(site, _)| is_known_host(host, site)).map(|(_, preset)| *preset);
        let forms: Vec<&Form> = match site {
            Some(preset) => FORMS.iter().filter(|form| form.preset == Some(preset)).take(1).collect(),
            None => FORMS.iter().filter(|form| form.owns_host() && is_known_host(host, form.host())).collect(),
        };
        // Never advise the id of somebody else's tenant.
        let forms: Vec<&Form> = forms.into_iter().filter(|form| !form.names_a_tenant()).collect();
        let first = *forms.first()?;
        let name = first.name;
        let mut shown: Vec<String> = forms.iter().map(|form| quoted(&form.shown())).collect();
        shown.dedup();
        let tenant = text.split('/').find(|part| is_everybodys_tenant(part));
        if let (Some(Preset::Azure), Some(tenant)) = (first.preset, tenant) {
            return Some(Self::everybodys_tenant(tenant, host));
        }
        Some(Self {
            code: CheckCode::NotAPlatformIssuer,
            message: format!("{} is the host of {name}, and this is not the `iss` of any of its tokens", quoted(host)),
            help: format!("write {}", shown.join(" or ")),
            preset: first.preset,
            look_alike: false,
        })
    }

    /// A host that a reader takes for a known one.
    fn near(host: &str) -> Option<Self> {
        let known = FORMS.iter().filter(|form| form.is_for_workloads && form.owns_host());
        let known = known.into_iter().find(|form| likeness(host, form.host()) == Some(Likeness::Near))?;
        Some(Self {
            code: CheckCode::LookAlikeIssuer,
            message: format!(
                "{} looks like a host of {} but belongs to somebody else, who could sign any token",
                quoted(host),
                known.name
            ),
            help: format!("if {} is meant, write {}", known.name, quoted(&known.shown())),
            preset: known.preset,
            look_alike: true,
        })
    }
}

/// A known issuer with a slash too many or too few. Issuers are compared byte for byte, so no token
/// has it.
fn other_slash(text: &str) -> Option<IssuerFault> {
    let other = text.strip_suffix('/').map_or_else(|| format!("{text}/"), str::to_owned);
    let known = KnownIssuer::of_url(&other)?;
    Some(IssuerFault {
        code: CheckCode::IssuerSlash,
        message: "an issuer is compared byte for byte, and this one differs from a known one by its last slash"
            .to_owned(),
        help: format!("write {}", quoted(&other)),
        preset: known.preset(),
        look_alike: false,
    })
}

/// The issuer that a metadata document or key set at `url` belongs to, if `url` is under
/// `/.well-known` (OpenID Connect Discovery section 4, RFC 8414 section 3).
fn issuer_of_document(url: &str) -> Option<String> {
    const FOLDER: &str = "/.well-known";
    let lower = url.to_ascii_lowercase();
    let at = lower.find(FOLDER)?;
    let (before, rest) = url.split_at_checked(at)?;
    let rest = rest.get(FOLDER.len()..)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // RFC 8414 puts `/.well-known` before the issuer's path, Discovery after it.
    let path = rest.trim_start_matches('/').split_once('/').map_or("", |(_, path)| path);
    let scheme_only = before.ends_with(':') || before.ends_with("//");
    let path = path.trim_end_matches('/');
    let issuer = if path.is_empty() { before.to_owned() } else { format!("{before}/{path}") };
    (!scheme_only && Issuer::new(&issuer).is_ok()).then_some(issuer)
}

/// The host of a URL, or of a URL without its scheme.
fn host_of(text: &str) -> Option<&str> {
    let rest = match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next()?.rsplit('@').next()?,
        None => text.split('/').next()?,
    };
    let is_host = !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c == '@' || c == '[');
    (is_host && rest.contains('.')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> Option<IssuerFault> {
        IssuerFault::of(&Issuer::new(url).unwrap().into())
    }

    #[test]
    fn fld4_the_url_of_a_document_names_the_issuer_to_write() {
        for (url, issuer) in [
            ("https://idp.example/.well-known/openid-configuration", "https://idp.example"),
            ("https://idp.example/.well-known/openid-configuration/", "https://idp.example"),
            ("https://idp.example/.well-known/openid-configuration?x=1", "https://idp.example"),
            ("https://idp.example/a/b/.well-known/openid-configuration", "https://idp.example/a/b"),
            ("https://idp.example/.well-known/oauth-authorization-server/a/b", "https://idp.example/a/b"),
            ("https://idp.example/.well-known/jwks.json", "https://idp.example"),
            ("https://idp.example/.well-known", "https://idp.example"),
            ("https://oidc.fly.io/.well-known", "https://oidc.fly.io"),
            ("https://gitlab.com/.well-known/openid-configuration", "https://gitlab.com"),
            (
                "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
                "https://token.actions.githubusercontent.com",
            ),
            (
                "https://sts.windows.net/33333333-4444-4555-8666-777777777777/.well-known/openid-configuration",
                "https://sts.windows.net/33333333-4444-4555-8666-777777777777/",
            ),
        ] {
            let found = fault(url).unwrap_or_else(|| panic!("{url}"));
            assert!(found.help.contains(&format!("`{issuer}`")) || url.contains("fly.io"), "{url}: {found:?}");
        }
        let squatted = fault("https://gitlab.co/.well-known/openid-configuration").unwrap();
        assert!(squatted.message.contains("looks like a host of GitLab"), "{squatted:?}");
        assert_eq!(fault("https://idp.example/.well-knownish/x"), None);
    }

    #[test]
    fn fld4_a_known_host_that_is_no_known_issuer_names_those_that_are() {
        let uuid = "33333333-4444-4555-8666-777777777777";
        for (url, wanted) in [
            ("https://gitlab.com/group".to_owned(), "`https://gitlab.com`"),
            ("https://gitlab.com:443".to_owned(), "`https://gitlab.com`"),
            ("https://GitLab.com".to_owned(), "`https://gitlab.com`"),
            ("https://gitlab.com/oauth/discovery/keys".to_owned(), "`https://gitlab.com`"),
            ("gitlab.com".to_owned(), "`https://gitlab.com`"),
            ("accounts.google.com:443".to_owned(), "`https://accounts.google.com`"),
            ("Accounts.Google.com".to_owned(), "`https://accounts.google.com`"),
            ("http://accounts.google.com".to_owned(), "`https://accounts.google.com`"),
            ("https://oidc.circleci.com/org/a/b".to_owned(), "`https://oidc.circleci.com/org/ORGANISATION`"),
            (
                "https://token.actions.githubusercontent.com/a/b".to_owned(),
                "`https://token.actions.githubusercontent.com`",
            ),
            ("https://token.actions.octo.ghe.com/a/b".to_owned(), "`https://token.actions.SUBDOMAIN.ghe.com`"),
            ("https://github.com".to_owned(), "`https://token.actions.githubusercontent.com`"),
            (format!("https://login.microsoftonline.com/{uuid}"), "`https://login.microsoftonline.com/TENANT-ID/v2.0`"),
            (format!("https://sts.windows.net/{uuid}"), "`https://sts.windows.net/33333333"),
            ("https://octo.app.spacelift.io/x".to_owned(), "`https://ACCOUNT.app.spacelift.io`"),
            ("https://oidc.codefresh.io/x".to_owned(), "`https://oidc.codefresh.io`"),
        ] {
            let found = fault(&url).unwrap_or_else(|| panic!("{url}"));
            assert!(found.help.contains(wanted) && found.help.starts_with("write "), "{url}: {found:?}");
        }
    }

    #[test]
    fn fld3_everybodys_tenant_of_entra_is_named() {
        for tenant in ["common", "organizations", "consumers", "{tenantid}"] {
            let found = fault(&format!("https://login.microsoftonline.com/{tenant}/v2.0")).unwrap();
            assert!(found.message.contains(&format!("`{tenant}` is not a tenant of Microsoft Entra")), "{found:?}");
            assert!(found.message.contains("anybody with a Microsoft account"), "{found:?}");
            assert!(found.help.contains("https://login.microsoftonline.com/TENANT-ID/v2.0"), "{found:?}");
        }
    }

    #[test]
    fn fld3_no_advice_leads_to_the_host_that_only_looks_like_one() {
        for (url, meant) in [
            ("https://token.action.githubusercontent.com", "https://token.actions.githubusercontent.com"),
            ("https://token.action.githubusercontent.com/octo", "https://token.actions.githubusercontent.com"),
            ("https://gitlab.cm", "https://gitlab.com"),
            ("acounts.google.com", "https://accounts.google.com"),
            ("https://oidc.codefrehs.io", "https://oidc.codefresh.io"),
            ("https://login.microsoftonlin.com/common/v2.0", "https://login.microsoftonline.com/"),
            ("https://agent.buildkit.com", "https://agent.buildkite.com"),
        ] {
            let found = fault(url).unwrap_or_else(|| panic!("{url}"));
            assert!(found.help.contains(meant) && found.help.starts_with("if "), "{url}: {found:?}");
            assert!(!found.help.contains("preset") && !found.help.contains(url), "{url}: {found:?}");
        }
    }

    #[test]
    fn fld3_no_advice_names_a_tenant_that_nobody_wrote() {
        let personal = "9188040d-6c67-4c5b-b112-36a304b66dad";
        for url in [
            "https://login.microsoftonline.com/33333333-4444-4555-8666-777777777777",
            "https://login.microsoftonline.com/acme.onmicrosoft.com/v2.0",
            "https://sts.windows.net/acme",
        ] {
            let found = fault(url).unwrap_or_else(|| panic!("{url}"));
            assert!(!found.help.contains(personal) && !found.help.contains("33e01921"), "{url}: {found:?}");
        }
    }

    #[test]
    fn fld2_a_cluster_of_ones_own_beside_a_known_one_has_no_fault() {
        for url in [
            "https://oidc.op1.openshiftapps.com/2abcdefghijklmnopqrstuvwxyz01234",
            "https://rh-oidc.s3.us-east-1.amazonaws.com/2abcdefghijklmnopqrstuvwxyz01234",
            "https://acme-irsa.s3.us-east-1.amazonaws.com",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
    }

    #[test]
    fn the_issuer_of_every_sample_has_no_fault() {
        for preset in Preset::ALL {
            let sample = preset.sample();
            let iss = sample.get("iss").and_then(serde_json::Value::as_str).unwrap();
            assert_eq!(fault(iss), None, "{iss}");
        }
    }

    #[test]
    fn issuers_of_ones_own_have_no_fault() {
        for url in [
            "https://idp.example",
            "https://kubernetes.default.svc.cluster.local",
            "https://gitlab.acme.example",
            "https://ghes.acme.example/_services/token",
            "https://acme.okta.com/oauth2/default",
            "https://acme.eu.auth0.com/",
            "https://gitea.com",
            "http://127.0.0.1:8080/x",
            "https://[::1]:8080",
            "api",
            "kubernetes/serviceaccount",
            "sa@project.iam.gserviceaccount.com",
            "somebody@gitlab.com",
            "https://gitlab.com",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
    }
}
