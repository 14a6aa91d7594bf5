//! The platforms that have a preset.

use serde_json::{Map, Value};
use sts_claims::ClaimSet;

use super::owner::OwnerGrammar;
use super::platform::{IssuerDefaults, MemberPath, Platform, ShortRule};
use super::{
    auth0, aws, azure, azure_devops, bitbucket, buildkite, circleci, fly, forgejo, github, gitlab, google, harness,
    jenkins, keycloak, kubernetes, octopus, okta, spacelift, spiffe, terraform, vercel,
};

/// A known platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the platforms' names")]
pub enum Preset {
    GithubActions,
    Gitlab,
    Kubernetes,
    Azure,
    AzureDevops,
    Aws,
    Google,
    Spiffe,
    Keycloak,
    Auth0,
    Okta,
    Jenkins,
    Circleci,
    Bitbucket,
    Buildkite,
    TerraformCloud,
    Octopus,
    Vercel,
    Fly,
    Spacelift,
    Harness,
    Forgejo,
}

impl Preset {
    /// Every preset, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::GithubActions,
        Self::Gitlab,
        Self::Kubernetes,
        Self::Azure,
        Self::AzureDevops,
        Self::Aws,
        Self::Google,
        Self::Spiffe,
        Self::Keycloak,
        Self::Auth0,
        Self::Okta,
        Self::Jenkins,
        Self::Circleci,
        Self::Bitbucket,
        Self::Buildkite,
        Self::TerraformCloud,
        Self::Octopus,
        Self::Vercel,
        Self::Fly,
        Self::Spacelift,
        Self::Harness,
        Self::Forgejo,
    ];

    /// Looks a preset up by its exact name. `none` is not a preset but the absence of one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.platform().name
    }

    /// Whether the way its tokens name their owner is known.
    #[must_use]
    pub fn names_owner(self) -> bool {
        self.owner().is_some()
    }

    /// Whether people run the platform on hosts of their own, so that `preset:` may name it for any
    /// host.
    pub(crate) fn is_self_hosted(self) -> bool {
        self.platform().issuers.is_empty()
            || matches!(
                self,
                Self::GithubActions | Self::Gitlab | Self::Kubernetes | Self::TerraformCloud | Self::Forgejo
            )
    }

    /// The platform's name, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.platform().title
    }

    /// Defaults of the platform's issuer entries.
    #[must_use]
    pub fn defaults(self) -> IssuerDefaults {
        self.platform().defaults
    }

    /// The key of its short rule in an identity (`github`, `gitlab`, `kubernetes`, ...), if it has
    /// one.
    #[must_use]
    pub fn short_rule_key(self) -> Option<&'static str> {
        self.platform().short_rule.map(|rule| rule.key)
    }

    /// The members of its short rule, each with the claim that it is a condition on.
    pub fn short_rule_members(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let members = self.platform().short_rule.map_or(&[][..], |rule| rule.members);
        members.iter().map(|(name, path)| match path {
            MemberPath::Same => (*name, *name),
            MemberPath::Path(claim) | MemberPath::Value(claim) => (*name, *claim),
        })
    }

    /// The claims of a typical, fictional token. Its times are around 1790000000.
    #[must_use]
    pub fn sample(self) -> Map<String, Value> {
        match serde_json::from_str(self.platform().sample) {
            Ok(Value::Object(claims)) => claims,
            // Never: a test parses every sample.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// Whether its tokens have a `jti`. Without one, only the whole text tells two tokens apart.
    pub(crate) fn sends_jti(self) -> bool {
        self.sample().contains_key("jti")
    }

    /// Its short rule, if it has one.
    pub(crate) fn short_rule(self) -> Option<&'static ShortRule> {
        self.platform().short_rule
    }

    /// How its tokens name their owner, if known.
    pub(crate) fn owner(self) -> Option<&'static OwnerGrammar> {
        self.platform().owner
    }

    /// Whether its subjects and events follow GitHub's grammar.
    pub(crate) fn is_github_grammar(self) -> bool {
        matches!(self, Self::GithubActions | Self::Forgejo)
    }

    /// Whether the platform always sends `claim` as a string, so that a number or boolean in a rule
    /// can never match.
    pub(crate) fn is_text_claim(self, claim: &str) -> bool {
        let is_member = |(name, path): &(&str, MemberPath)| match path {
            MemberPath::Same => *name == claim,
            MemberPath::Path(path) => *path == claim,
            MemberPath::Value(_) => false,
        };
        (self.platform().is_text_claim)(claim)
            || self.short_rule().is_some_and(|rule| rule.members.iter().any(is_member))
    }

    /// Claims that the token of a policy test takes from the nearest identity: ids, and names of
    /// the owner.
    pub(crate) fn lent_claims(self) -> &'static [&'static str] {
        self.platform().lent_claims
    }

    /// The subject of a real token with these claims, if the platform derives it from them.
    pub(crate) fn subject_of(self, claims: &Map<String, Value>) -> Option<String> {
        (self.platform().subject_of)(claims)
    }

    /// Adds the claims that follow from the beginning of a subject: `repo:octo-org/octo-repo:...`
    /// names the repository.
    pub(crate) fn adopt_subject(self, subject: &str, claims: &mut Map<String, Value>) {
        (self.platform().adopt_subject)(subject, claims);
    }

    /// Explains a subject of an unusual form to the owner of the token.
    pub(crate) fn subject_note(self, claims: &ClaimSet, subject: &str) -> Option<String> {
        (self.platform().subject_note)(claims, subject)
    }

    pub(super) fn platform(self) -> &'static Platform {
        match self {
            Self::GithubActions => &github::PLATFORM,
            Self::Gitlab => &gitlab::PLATFORM,
            Self::Kubernetes => &kubernetes::PLATFORM,
            Self::Azure => &azure::PLATFORM,
            Self::AzureDevops => &azure_devops::PLATFORM,
            Self::Aws => &aws::PLATFORM,
            Self::Google => &google::PLATFORM,
            Self::Spiffe => &spiffe::PLATFORM,
            Self::Keycloak => &keycloak::PLATFORM,
            Self::Auth0 => &auth0::PLATFORM,
            Self::Okta => &okta::PLATFORM,
            Self::Jenkins => &jenkins::PLATFORM,
            Self::Circleci => &circleci::PLATFORM,
            Self::Bitbucket => &bitbucket::PLATFORM,
            Self::Buildkite => &buildkite::PLATFORM,
            Self::TerraformCloud => &terraform::PLATFORM,
            Self::Octopus => &octopus::PLATFORM,
            Self::Vercel => &vercel::PLATFORM,
            Self::Fly => &fly::PLATFORM,
            Self::Spacelift => &spacelift::PLATFORM,
            Self::Harness => &harness::PLATFORM,
            Self::Forgejo => &forgejo::PLATFORM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_claims::Json;
    use sts_types::Algorithm;

    #[test]
    fn names_are_unique_and_found() {
        for preset in Preset::ALL {
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
        }
        assert_eq!(Preset::from_name("none"), None);
        assert_eq!(Preset::from_name("GitHub-Actions"), None);
    }

    #[test]
    fn well_known_issuers_are_known_by_their_exact_url() {
        let uuid = "33333333-4444-4555-8666-777777777777";
        for (url, preset, shared) in [
            ("https://token.actions.githubusercontent.com".to_owned(), Preset::GithubActions, true),
            ("https://token.actions.githubusercontent.com/octo-enterprise".to_owned(), Preset::GithubActions, false),
            ("https://token.actions.octo.ghe.com".to_owned(), Preset::GithubActions, false),
            ("https://token.actions.octo.ghe.com/octo".to_owned(), Preset::GithubActions, false),
            ("https://gitlab.com".to_owned(), Preset::Gitlab, true),
            ("https://accounts.google.com".to_owned(), Preset::Google, true),
            ("https://oidc.circleci.com".to_owned(), Preset::Circleci, true),
            (format!("https://oidc.circleci.com/org/{uuid}"), Preset::Circleci, false),
            ("https://agent.buildkite.com".to_owned(), Preset::Buildkite, true),
            ("https://app.terraform.io".to_owned(), Preset::TerraformCloud, true),
            ("https://oidc.vercel.com".to_owned(), Preset::Vercel, true),
            ("https://oidc.vercel.com/octo-team".to_owned(), Preset::Vercel, false),
            (format!("https://login.microsoftonline.com/{uuid}/v2.0"), Preset::Azure, false),
            (format!("https://sts.windows.net/{uuid}/"), Preset::Azure, false),
            (format!("https://vstoken.dev.azure.com/{uuid}"), Preset::AzureDevops, false),
            (format!("https://{uuid}.tokens.sts.global.api.aws"), Preset::Aws, false),
            (
                "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF".to_owned(),
                Preset::Kubernetes,
                false,
            ),
            (
                "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c".to_owned(),
                Preset::Kubernetes,
                false,
            ),
            (format!("https://westeurope.oic.prod-aks.azure.com/{uuid}/{uuid}/"), Preset::Kubernetes, false),
            (
                "https://api.bitbucket.org/2.0/workspaces/octo/pipelines-config/identity/oidc".to_owned(),
                Preset::Bitbucket,
                false,
            ),
            ("https://oidc.fly.io/octo-org".to_owned(), Preset::Fly, false),
            ("https://octo-org.app.spacelift.io".to_owned(), Preset::Spacelift, false),
            ("https://app.harness.io/ng/api/oidc/account/Octo1".to_owned(), Preset::Harness, false),
        ] {
            assert_eq!(Preset::for_issuer(&url), Some(preset), "{url}");
            assert_eq!(Preset::shared_by_url(&url), shared, "{url}");
        }
    }

    #[test]
    fn c046_look_alikes_of_well_known_issuers_are_not_known() {
        for url in [
            "https://token.actions.githubusercontent.com/",
            "https://token.actions.githubusercontent.com/.well-known",
            "https://token.actions.githubusercontent.com/a/b",
            "https://token.actions.githubusercontent.com.evil.example",
            "https://token.actions.githubusercontent.com@evil.example",
            "http://token.actions.githubusercontent.com",
            "https://Token.actions.githubusercontent.com",
            "https://token.actions.evil.example/.ghe.com",
            "https://token.actions.a.b.ghe.com",
            "https://token.actions..ghe.com",
            "https://token.actions.octo.ghe.com/",
            "https://gitlab.com/",
            "https://login.microsoftonline.com/common/v2.0",
            "https://sts.windows.net/33333333-4444-4555-8666-777777777777",
            "https://evil.example/.app.spacelift.io",
            "https://a.b.app.spacelift.io",
            "https://oidc.circleci.com.evil.example",
            "https://oidc.vercel.com/",
            "https://oidc.vercel.com?x=/team",
            "https://evil.example#.tokens.sts.global.api.aws",
            "https://oidc.eks.evil.example/x.amazonaws.com/id/1",
            "https://evil.example/.oic.prod-aks.azure.com/33333333-4444-4555-8666-777777777777/33333333-4444-4555-8666-777777777777/",
        ] {
            assert_eq!(Preset::for_issuer(url), None, "{url}");
            assert!(!Preset::shared_by_url(url), "{url}");
        }
    }

    #[test]
    fn defaults_differ_where_the_platforms_do() {
        let of = Preset::defaults;
        assert_eq!(IssuerDefaults::default().algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        assert_eq!(of(Preset::GithubActions), IssuerDefaults::default());
        assert_eq!(of(Preset::Azure).max_token_lifetime, 90_000);
        assert!(of(Preset::Aws).algorithms.contains(&Algorithm::ES384));
        assert!(!of(Preset::Spiffe).require_iat);
        for preset in Preset::ALL {
            let defaults = of(preset);
            assert_eq!(defaults.sole_audience, !matches!(preset, Preset::Keycloak | Preset::Auth0), "{preset:?}");
            assert_eq!(defaults.require_iat, preset != Preset::Spiffe, "{preset:?}");
            for algorithm in IssuerDefaults::default().algorithms {
                assert!(defaults.algorithms.contains(algorithm), "{preset:?} narrows the default");
            }
        }
    }

    #[test]
    fn every_sample_is_a_token_that_its_own_face_describes() {
        for preset in Preset::ALL {
            let sample = preset.sample();
            assert!(sample.get("iss").is_some_and(Value::is_string), "{preset:?}");
            assert!(sample.get("sub").is_some_and(Value::is_string), "{preset:?}");
            if let Some(derived) = preset.subject_of(&sample) {
                assert_eq!(sample.get("sub"), Some(&Value::from(derived)), "{preset:?}");
            }
            let claims = ClaimSet::from(sample);
            let is_text = |value: Json<'_>| value.elements().all(|element| element.as_str().is_some());
            for (claim, value) in claims.members() {
                let text = value.is_null() || is_text(value);
                assert!(!preset.is_text_claim(claim) || text, "{preset:?} sends {claim} as {value:?}");
            }
            for claim in preset
                .lent_claims()
                .iter()
                .chain(preset.owner().iter().flat_map(|grammar| grammar.claims.iter().map(|(claim, _)| claim)))
            {
                assert!(sts_claims::ClaimPath::parse(claim).is_ok(), "{claim}");
            }
            let Some(rule) = preset.short_rule() else { continue };
            for (member, path) in rule.members {
                let (path, wants_text) = match path {
                    MemberPath::Same => (member, true),
                    MemberPath::Path(path) => (path, true),
                    MemberPath::Value(path) => (path, false),
                };
                let found = claims.find(&sts_claims::ClaimPath::parse(path).unwrap());
                assert!(found.is_none_or(|value| is_text(value) == wants_text), "{preset:?} {member}");
            }
        }
    }

    #[test]
    fn short_rules_are_those_of_the_configuration() {
        let keys: Vec<_> = Preset::ALL.into_iter().filter_map(Preset::short_rule_key).collect();
        let wanted = [
            "github",
            "gitlab",
            "kubernetes",
            "azure",
            "azure_devops",
            "aws",
            "google",
            "spiffe",
            "jenkins",
            "circleci",
            "bitbucket",
            "buildkite",
            "terraform",
            "octopus",
        ];
        assert_eq!(keys, wanted);
    }

    #[test]
    fn members_of_a_short_rule_and_claims_of_the_platform_are_known_to_be_text() {
        for preset in Preset::ALL {
            for (name, path) in preset.short_rule().map_or(&[][..], |rule| rule.members) {
                let (claim, is_text) = match path {
                    MemberPath::Same => (*name, true),
                    MemberPath::Path(path) => (*path, true),
                    MemberPath::Value(path) => (*path, false),
                };
                assert_eq!(preset.is_text_claim(claim), is_text, "{preset:?} {claim}");
            }
        }
        assert!(Preset::GithubActions.is_text_claim("run_id") && !Preset::GithubActions.is_text_claim("exp"));
        assert!(Preset::Gitlab.is_text_claim("jti") && !Preset::Jenkins.is_text_claim("build_number"));
    }

    #[test]
    fn what_a_platform_is_known_for_differs() {
        let named = |preset: &Preset| preset.names_owner();
        assert!(Preset::ALL.iter().any(named) && !named(&Preset::Jenkins) && !named(&Preset::Kubernetes));
        assert!(Preset::Jenkins.is_self_hosted() && Preset::Gitlab.is_self_hosted());
        assert!(!Preset::Google.is_self_hosted() && !Preset::Vercel.is_self_hosted());
    }

    #[test]
    fn a_subject_and_the_claims_behind_it_follow_from_each_other() {
        let adopted = |preset: Preset, subject: &str| {
            let mut claims = preset.sample();
            preset.adopt_subject(subject, &mut claims);
            ClaimSet::from(claims)
        };
        for preset in [Preset::GithubActions, Preset::Forgejo, Preset::Gitlab, Preset::Kubernetes] {
            assert!(preset.subject_of(&preset.sample()).is_some(), "{preset:?}");
        }
        let github = adopted(Preset::GithubActions, "repo:acme@1/app@2:ref:refs/heads/main");
        for (claim, value) in [
            ("repository", "acme/app"),
            ("repository_owner", "acme"),
            ("repository_owner_id", "1"),
            ("repository_id", "2"),
        ] {
            assert_eq!(github.text(claim), Some(value), "{claim}");
        }
        let gitlab = adopted(Preset::Gitlab, "project_path:acme/team/app:ref_type:branch:ref:main");
        assert_eq!(gitlab.text("project_path"), Some("acme/team/app"));
        assert_eq!(gitlab.text("namespace_path"), Some("acme/team"));
        let kubernetes = adopted(Preset::Kubernetes, "system:serviceaccount:prod:deployer");
        let at = |path: &str| kubernetes.find(&sts_claims::ClaimPath::parse(path).unwrap()).and_then(Json::as_str);
        assert_eq!(at("/kubernetes.io/namespace"), Some("prod"));
        assert_eq!(at("/kubernetes.io/serviceaccount/name"), Some("deployer"));
    }

    #[test]
    fn a_subject_has_an_id_where_githubs_grammar_puts_one() {
        let has_id = Preset::GithubActions.owner().unwrap().subject_has_id;
        for with in ["repo:octo@65/app@74:ref", "repo:octo@65/app:ref", "repository_id:74:", "repository_owner_id:65"] {
            assert!(has_id(with), "{with}");
        }
        for without in
            ["repo:octo/app:ref", "repo:octo/app@7:ref", "repo:octo@x/app:ref", "repo:octo/app:ref@6", "x:@1"]
        {
            assert!(!has_id(without), "{without}");
        }
    }
}
