//! What a token of an issuer entry is verified by: plain data.

use sts_types::{Algorithm, EntryName, Issuer, Issuers};

use crate::ClaimedOrigin;

/// One issuer entry, as far as the verification of its tokens goes.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustSpec {
    /// The entry's name.
    pub entry: EntryName,
    /// The `iss` it stands for, byte for byte, or those of a family.
    pub issuers: Issuers,
    /// Algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Values of `typ` that are accepted beside none and `JWT`.
    pub types: Vec<String>,
    /// Tolerance for clocks that differ, in seconds (0 to 300).
    pub leeway: u32,
    /// The most that `exp - iat` may be, in seconds.
    pub max_token_lifetime: u64,
    /// The most that `now - iat` may be, in seconds; `None` for no limit.
    pub max_token_age: Option<u64>,
    /// Whether `iat` must be there.
    pub require_iat: bool,
    /// The SPIFFE trust domain whose tokens are accepted without `iss`.
    pub trust_domain: Option<String>,
    /// Whether tokens of it are exchanged.
    pub enabled: bool,
}

impl TrustSpec {
    /// The issuer that a token of that origin has, if it may be this entry's. A token without `iss` has the entry's.
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
