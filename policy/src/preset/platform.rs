//! The type behind a preset.

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_types::Algorithm;

use super::owner::OwnerGrammar;

/// Everything known about one platform.
pub(super) struct Platform {
    pub(super) name: &'static str,
    /// Its name for people.
    pub(super) title: &'static str,
    /// Its well-known public issuers.
    pub(super) issuers: &'static [IssuerForm],
    pub(super) defaults: IssuerDefaults,
    pub(super) short_rule: Option<&'static ShortRule>,
    pub(super) owner: Option<&'static OwnerGrammar>,
    /// Claims that are always strings.
    pub(super) is_text_claim: fn(&str) -> bool,
    /// The JSON of a typical token's claims.
    pub(super) sample: &'static str,
    pub(super) lent_claims: &'static [&'static str],
    pub(super) subject_of: fn(&Map<String, Value>) -> Option<String>,
    pub(super) adopt_subject: fn(&str, &mut Map<String, Value>),
    /// Explains a subject of an unusual form to the owner of the token.
    pub(super) subject_note: fn(&ClaimSet, &str) -> Option<String>,
}

/// Defaults of an issuer entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerDefaults {
    /// Accepted signature algorithms.
    pub algorithms: &'static [Algorithm],
    /// Upper bound of `exp - iat`, in seconds.
    pub max_token_lifetime: u64,
    /// Whether a token must have an `iat`.
    pub require_iat: bool,
    /// Whether a token must have exactly one audience.
    pub sole_audience: bool,
    /// Whether every issuer of the platform serves many tenants. If only some do, this is `false`,
    /// and `Preset::shared_by_url` tells them apart.
    pub shared: bool,
    /// Accepted values of the header's `typ`, in addition to `JWT` and no `typ`.
    pub types: &'static [&'static str],
}

/// The defaults of an entry without a preset.
impl Default for IssuerDefaults {
    fn default() -> Self {
        DEFAULTS
    }
}

/// The number of tenants that an issuer signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenancy {
    /// One tenant, so the signature proves the owner of a token.
    Sole,
    /// Many tenants: anybody can get a token.
    Shared,
}

/// A form of well-known public issuers.
#[derive(Clone, Copy, Debug)]
pub(super) struct IssuerForm {
    /// The URL. `{name}` is one label of the host or segment of the path, `{name_uuid}` one that is
    /// a UUID.
    pub(super) url: &'static str,
    pub(super) tenancy: Tenancy,
}

/// Issuers with one tenant each.
pub(super) const fn sole(url: &'static str) -> IssuerForm {
    IssuerForm { url, tenancy: Tenancy::Sole }
}

/// An issuer that signs for many tenants.
pub(super) const fn shared(url: &'static str) -> IssuerForm {
    IssuerForm { url, tenancy: Tenancy::Shared }
}

/// For platforms that are always self-hosted.
pub(super) const SELF_HOSTED: &[IssuerForm] = &[];

/// A short rule (`github: {...}`). Each member is a condition on a claim; unquoted numbers and
/// booleans count as strings.
pub(crate) struct ShortRule {
    /// Its key in an identity.
    pub(crate) key: &'static str,
    /// Its members.
    pub(crate) members: &'static [(&'static str, MemberPath)],
    /// Any member with this prefix is the claim of the same name (`repo_property_`).
    pub(crate) open_prefix: Option<&'static str>,
}

/// The claim behind a member of a short rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MemberPath {
    /// The claim of the same name.
    Same,
    /// This claim name or pointer.
    Path(&'static str),
    /// This claim name or pointer, which is not a string: unquoted numbers and booleans keep their
    /// type.
    Value(&'static str),
}

use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};

/// The defaults of an entry without a preset. Platforms override what differs.
pub(super) const DEFAULTS: IssuerDefaults = IssuerDefaults {
    algorithms: &[RS256, ES256, EdDSA],
    max_token_lifetime: 86_400,
    require_iat: true,
    sole_audience: true,
    shared: false,
    types: &[],
};

/// For platforms whose operators choose the algorithm of their keys.
pub(super) const ALL_ALGORITHMS: &[Algorithm] = &[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA];

/// A platform without a short rule, owner grammar or special subjects.
pub(super) const fn plain(
    name: &'static str,
    title: &'static str,
    issuers: &'static [IssuerForm],
    sample: &'static str,
) -> Platform {
    Platform {
        name,
        title,
        issuers,
        defaults: DEFAULTS,
        short_rule: None,
        owner: None,
        is_text_claim: nothing_is_known,
        sample,
        lent_claims: &[],
        subject_of: no_subject,
        adopt_subject: adopt_nothing,
        subject_note: nothing_to_note,
    }
}

fn nothing_is_known(_: &str) -> bool {
    false
}

fn no_subject(_: &Map<String, Value>) -> Option<String> {
    None
}

fn nothing_to_note(_: &ClaimSet, _: &str) -> Option<String> {
    None
}

fn adopt_nothing(_: &str, _: &mut Map<String, Value>) {}
