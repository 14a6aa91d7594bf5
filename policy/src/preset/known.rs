//! Publicly known issuers: which platform they belong to, and whether many tenants share them.
//!
//! A family is recognised by the fixed text of its template, whatever its variables allow. A
//! tighter pattern for a variable therefore never weakens the protection.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sts_types::{IssuerTemplate, Issuers, VariableSpec};

use super::owner::OwnerGrammar;
use super::platform::{IssuerForm, Tenancy};
use super::platforms::Preset;
use super::shared::{SHARED, SIGN_IN};

/// The known platform that an entry's issuers belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownIssuer {
    /// Index in [`FORMS`].
    form: usize,
    /// Whether the entry accepts tokens of many tenants: a shared issuer, or a family with an open
    /// variable.
    pub shared: bool,
    /// Whether a single issuer signs for many tenants. Naming the member of a family then does not
    /// name the tenant.
    pub shared_member: bool,
}

impl KnownIssuer {
    /// Looks up an issuer or a family.
    #[must_use]
    pub fn of(issuers: &Issuers) -> Option<Self> {
        match issuers {
            Issuers::One(issuer) => Self::of_url(issuer.as_str()),
            Issuers::Family(template) => Self::of_family(template),
        }
    }

    /// Looks up an issuer by its exact URL.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let form = FORMS.iter().position(|form| form.covers(url))?;
        let shared = FORMS.get(form)?.tenancy == Tenancy::Shared;
        Some(Self { form, shared, shared_member: shared })
    }

    fn of_family(template: &IssuerTemplate) -> Option<Self> {
        let template = template.without_patterns();
        let fits = |(index, form): (usize, &'static Form)| form.may_overlap(&template).then_some((index, form.tenancy));
        let found: Vec<_> = FORMS.iter().enumerate().filter_map(fits).collect();
        let (form, _) = *found.first()?;
        let shared_form = |(_, tenancy): &(usize, Tenancy)| *tenancy == Tenancy::Shared;
        let is_open = template.open_variables().next().is_some();
        // With an open variable, an identity must name the member. That is an issuer of one tenant,
        // unless all the platform's issuers are shared.
        let shared_member = if is_open { found.iter().all(shared_form) } else { found.iter().any(shared_form) };
        Some(Self { form, shared: is_open || shared_member, shared_member })
    }

    /// The platform's preset, if it has one.
    #[must_use]
    pub fn preset(self) -> Option<Preset> {
        FORMS.get(self.form)?.preset
    }

    /// Where the keys are of an issuer that is no URL, so that no discovery document leads to them.
    #[must_use]
    pub fn keys_url(self) -> Option<&'static str> {
        let form = FORMS.get(self.form)?;
        KEYS.iter().find(|(issuer, _)| *issuer == form.url).map(|(_, keys)| *keys)
    }

    /// The platform's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        FORMS.get(self.form).map_or("", |form| form.name)
    }

    /// How its tokens name their owner, if known.
    pub(crate) fn owner(self) -> Option<&'static OwnerGrammar> {
        let form = FORMS.get(self.form)?;
        form.preset.map_or(form.owner, Preset::owner)
    }
}

impl Preset {
    /// The preset of a well-known public issuer, by its exact URL.
    #[must_use]
    pub fn for_issuer(url: &str) -> Option<Self> {
        KnownIssuer::of_url(url).and_then(KnownIssuer::preset)
    }

    /// Whether `url` is a publicly known issuer that signs for many tenants. Its signature proves
    /// nothing about the owner of a token.
    #[must_use]
    pub fn shared_by_url(url: &str) -> bool {
        KnownIssuer::of_url(url).is_some_and(|known| known.shared)
    }
}

/// Hosts with one path per customer's cluster (OpenShift on AWS). A known issuer there says nothing
/// about other paths.
const HOSTS_OF_MANY: [&str; 2] = ["rh-oidc.s3.us-east-1.amazonaws.com", "oidc.op1.openshiftapps.com"];

/// Key sets of known issuers that are no URLs.
const KEYS: [(&str, &str); 1] = [("accounts.google.com", "https://www.googleapis.com/oauth2/v3/certs")];

/// A form of known issuer URLs.
pub(super) struct Form {
    pub(super) url: &'static str,
    pub(super) name: &'static str,
    pub(super) preset: Option<Preset>,
    /// Whether workloads get tokens from it. People sign in at the others.
    pub(super) is_for_workloads: bool,
    owner: Option<&'static OwnerGrammar>,
    tenancy: Tenancy,
    /// `None` if the URL has no variable.
    template: Option<IssuerTemplate>,
}

/// Every known form, those of presets first.
pub(super) static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let of_presets = Preset::ALL.into_iter().flat_map(|preset| {
        let platform = preset.platform();
        let form = move |form: &IssuerForm| Form::new(form, platform.title, Some(preset), None, true);
        platform.issuers.iter().map(form)
    });
    let workloads = SHARED.iter().map(|issuer| Form::new(&issuer.form, issuer.name, None, issuer.owner, true));
    let people = SIGN_IN.iter().map(|(form, name)| Form::new(form, name, None, None, false));
    of_presets.chain(workloads).chain(people).collect()
});

impl Form {
    fn new(
        form: &IssuerForm,
        name: &'static str,
        preset: Option<Preset>,
        owner: Option<&'static OwnerGrammar>,
        is_for_workloads: bool,
    ) -> Self {
        let template = template(form.url);
        Self { url: form.url, name, preset, is_for_workloads, owner, tenancy: form.tenancy, template }
    }

    /// Whether the issuer belongs to one tenant, judging by an id in its path.
    pub(super) fn names_a_tenant(&self) -> bool {
        let is_id = |part: &str| part.len() >= 20 && part.bytes().any(|byte| byte.is_ascii_digit());
        self.template.is_none() && self.url.split('/').skip(3).any(is_id)
    }

    /// Whether every issuer on its host belongs to this platform.
    pub(super) fn owns_host(&self) -> bool {
        !HOSTS_OF_MANY.contains(&self.host())
    }

    fn covers(&self, url: &str) -> bool {
        self.template.as_ref().map_or(self.url == url, |template| template.covers(url))
    }

    fn may_overlap(&self, family: &IssuerTemplate) -> bool {
        self.template.as_ref().map_or_else(|| family.covers(self.url), |template| family.may_overlap(template))
    }

    /// The host of the URL, with variables in braces.
    pub(super) fn host(&self) -> &'static str {
        let rest = self.url.split_once("://").map_or(self.url, |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }

    /// The URL for a message: variables in capitals, without braces.
    pub(super) fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.url.len());
        let mut in_name = false;
        for c in self.url.replace("_uuid}", "_id}").chars() {
            match c {
                '{' | '}' => in_name = c == '{',
                '_' if in_name => shown.push('-'),
                c if in_name => shown.push(c.to_ascii_uppercase()),
                c => shown.push(c),
            }
        }
        shown
    }
}

/// Parses the template of `url`. `None` if it has no variable.
fn template(url: &str) -> Option<IssuerTemplate> {
    const UUID: &str = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
    let names = url.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let rules: BTreeMap<String, VariableSpec> = names
        .map(|name| {
            // No name begins with a dot; `.well-known` does.
            let pattern = if name.ends_with("_uuid") { UUID } else { "[^.].*" };
            (name.to_owned(), VariableSpec::Pattern(pattern.to_owned()))
        })
        .collect();
    if rules.is_empty() { None } else { IssuerTemplate::new(url, &rules).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_covers_an_issuer_of_its_own() {
        for form in FORMS.iter() {
            assert_eq!(form.template.is_some(), form.url.contains('{'), "{}", form.url);
            let uuid = "33333333-4444-4555-8666-777777777777";
            let filled = form.url.split('{').enumerate().map(|(index, part)| match part.split_once('}') {
                Some((name, rest)) if index > 0 => {
                    format!("{}{rest}", if name.ends_with("_uuid") { uuid } else { "a1" })
                }
                _ => part.to_owned(),
            });
            let url: String = filled.collect();
            assert!(form.covers(&url), "{url} of {}", form.url);
            assert_eq!(KnownIssuer::of_url(&url).map(KnownIssuer::name), Some(form.name), "{url}");
            assert!(!form.name.is_empty() && form.host().contains('.'), "{}", form.url);
        }
    }

    #[test]
    fn a_form_is_shown_as_a_person_writes_it() {
        let shown = |url: &str| FORMS.iter().find(|form| form.url.starts_with(url)).map(Form::shown).unwrap();
        assert_eq!(shown("https://oidc.circleci.com/org"), "https://oidc.circleci.com/org/ORGANISATION");
        assert_eq!(shown("https://sts.windows.net/{"), "https://sts.windows.net/TENANT-ID/");
    }
}
