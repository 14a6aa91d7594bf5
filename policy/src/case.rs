//! A token to try the rules on.

use std::sync::Arc;

use sts_claims::ClaimSet;
use sts_types::{EntryName, UnixTime};

/// A token, with the request that carried it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The issuer entry whose key verified the token.
    pub entry: EntryName,
    /// The token's claims.
    pub claims: ClaimSet,
    /// Values of the `audience` parameter.
    pub audience: Vec<String>,
    /// Values of the `resource` parameter.
    pub resource: Vec<String>,
    /// The `scope` parameter.
    pub scope: Option<String>,
    /// The keys of the groups that a directory says the account is in.
    pub groups: Vec<Arc<str>>,
    /// The time of the decision.
    pub now: UnixTime,
}
