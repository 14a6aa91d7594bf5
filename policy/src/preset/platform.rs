//! The shape of what is known about one platform.

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_types::Algorithm;

use super::IssuerDefaults;
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
    /// What to tell the owner of a token whose subject is of an unusual shape.
    pub(super) subject_note: fn(&ClaimSet, &str) -> Option<String>,
}

/// For whom an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenancy {
    /// One tenant: its signature tells whose the token is.
    Sole,
    /// Many: anybody can get a token of it.
    Shared,
}

/// Well-known public issuers of one form.
#[derive(Clone, Copy, Debug)]
pub(super) struct IssuerForm {
    /// Their URL. `{name}` stands for one label of the host or segment of the path, `{name_uuid}` for one that is a UUID.
    pub(super) url: &'static str,
    pub(super) tenancy: Tenancy,
}

/// Issuers of one tenant each.
pub(super) const fn sole(url: &'static str) -> IssuerForm {
    IssuerForm { url, tenancy: Tenancy::Sole }
}

/// An issuer that signs for many tenants.
pub(super) const fn shared(url: &'static str) -> IssuerForm {
    IssuerForm { url, tenancy: Tenancy::Shared }
}

/// Every issuer of the platform is somebody's own host.
pub(super) const SELF_HOSTED: &[IssuerForm] = &[];

/// A short rule (`github: {...}`): members, each a claim, whose plain numbers and booleans stand for the string claims.
pub(crate) struct ShortRule {
    /// Its key in an identity.
    pub(crate) key: &'static str,
    /// Its members.
    pub(crate) members: &'static [(&'static str, MemberPath)],
    /// Members that are claims by their own name when they begin so (`repo_property_`).
    pub(crate) open_prefix: Option<&'static str>,
}

/// What a member of a short rule stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MemberPath {
    /// The claim of the same name.
    Same,
    /// This claim name or pointer.
    Path(&'static str),
    /// This claim name or pointer, whose value is no string: plain numbers and booleans stand for themselves.
    Value(&'static str),
}

use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};

/// The defaults of an entry without a preset; platforms spell out what differs.
pub(super) const DEFAULTS: IssuerDefaults = IssuerDefaults {
    algorithms: &[RS256, ES256, EdDSA],
    max_token_lifetime: 86_400,
    require_iat: true,
    sole_audience: true,
    shared: false,
    types: &[],
};

/// For platforms whose keys are the operator's choice.
pub(super) const ALL_ALGORITHMS: &[Algorithm] = &[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA];

/// A platform of which only the defaults of its issuer entries differ from nothing.
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
