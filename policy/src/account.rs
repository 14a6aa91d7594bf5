//! A compiled account, and a compiled API.

use std::sync::Arc;

use smallvec::SmallVec;
use sts_types::{ApiName, Audience, Lifetime, ScopeSet};

use crate::identity::{ApiGrant, Identity, Window};
use crate::{ExternalLogin, GrantedAccount};

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: ApiName,
    pub(crate) audience: Audience,
    pub(crate) display_name: Option<String>,
    pub(crate) scopes: ScopeSet,
}

/// Cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) granted: Arc<GrantedAccount>,
    pub(crate) display_name: Option<Box<str>>,
    pub(crate) terms: Arc<AccountTerms>,
    /// Its login in a directory.
    pub(crate) login: Option<Arc<ExternalLogin>>,
    /// Fingerprint of the account's configuration, to see what a reload changes.
    pub(crate) print: u64,
    /// Usually one, which is stored inline and saves a cache miss.
    pub(crate) identities: SmallVec<[Identity; 1]>,
}

/// The part of an account that many accounts have in common, stored once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AccountTerms {
    pub(crate) window: Window,
    pub(crate) grants: Vec<ApiGrant>,
    /// Target of a request that names no API: the account's only API, or its `default_api`.
    pub(crate) default_target: Option<usize>,
    /// Whether that is `default_api`.
    pub(crate) names_default: bool,
    /// Whether the account was compiled by what its external teams grant: it narrows its grants, or names
    /// a default API.
    pub(crate) relies_on_external: bool,
    pub(crate) ttl: Option<Lifetime>,
    /// Whether each token must be bound to a key.
    pub(crate) require_proof: bool,
    /// Usernames or ids of the accounts that may act for it.
    pub(crate) actors: Vec<Box<str>>,
}
