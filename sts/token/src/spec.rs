//! Plain data that describes how to validate the tokens of an issuer entry.

use sts_types::{Algorithm, EntryName, Issuer, Issuers};

use crate::ClaimedOrigin;

/// The validation rules of one issuer entry.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustSpec {
    /// The entry's name.
    pub entry: EntryName,
    /// The accepted `iss`, byte for byte, or a family of them.
    pub issuers: Issuers,
    /// Accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted values of `typ`. `JWT` and no `typ` are always accepted.
    pub types: Vec<String>,
    /// Tolerance for clock differences, in seconds (0 to 300).
    pub leeway: u32,
    /// Limit of `exp - iat`, in seconds.
    pub max_token_lifetime: u64,
    /// Limit of `now - iat`, in seconds; `None` for no limit.
    pub max_token_age: Option<u64>,
    /// Whether `iat` is required.
    pub require_iat: bool,
    /// The SPIFFE trust domain whose tokens may omit `iss`.
    pub trust_domain: Option<String>,
    /// Whether its tokens are exchanged.
    pub enabled: bool,
}

impl TrustSpec {
    /// The issuer of a token with that origin, if the token may belong to this entry. A token
    /// without `iss` gets the entry's issuer.
    #[must_use]
    pub fn issuer_of<'a>(&'a self, origin: &'a ClaimedOrigin) -> Option<&'a Issuer> {
        match (origin, &self.issuers) {
            (ClaimedOrigin::Issuer(issuer), issuers) => issuers.covers(issuer.as_str()).then_some(issuer),
            (ClaimedOrigin::TrustDomain(domain), Issuers::One(issuer)) => {
                (self.trust_domain.as_ref() == Some(domain)).then_some(issuer)
            }
            (ClaimedOrigin::TrustDomain(_), Issuers::Family(_)) => None,
        }
    }
}
