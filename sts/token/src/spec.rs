//! What a token of an issuer entry is verified by: plain data.

use sts_types::{Algorithm, EntryName, Issuers};

/// One issuer entry, as far as the verification of its tokens goes (DESIGN section 4).
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
    /// Whether tokens of it are exchanged.
    pub enabled: bool,
}
