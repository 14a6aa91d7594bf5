//! The compiled policy and what it is asked.

use sts_types::{
    AccountId, AccountName, ApiName, Audience, ClaimSet, EntryName, IdentityName, Lifetime, ScopeSet, TeamName,
    UnixTime,
};

use crate::{
    Decision, Facts, Finding, Outcome, Refusal, RequestError, Requested, RequestedAccount, RequestedTarget, Spec,
};

/// An immutable, compiled policy.
#[derive(Debug)]
pub struct RuleSet {}

/// A policy that compiled.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub rules: RuleSet,
    /// Lints.
    pub warnings: Vec<Finding>,
}

/// Target and scope of a request as it was asked, nothing resolved. Empty values count as omitted (RFC 6749 section 3.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// Values of `audience`.
    pub audience: &'a [String],
    /// Values of `resource`.
    pub resource: &'a [String],
    /// `scope`.
    pub scope: Option<&'a str>,
    /// `client_id`.
    pub client_id: Option<&'a str>,
    /// `expires_in`.
    pub lifetime: Option<Lifetime>,
}

/// One account, to look at.
#[derive(Clone, Debug)]
pub struct AccountView<'a> {
    /// The username.
    pub name: &'a AccountName,
    /// `sub`.
    pub id: &'a AccountId,
    /// For people.
    pub display_name: Option<&'a str>,
    /// Whether it gets tokens, its times apart.
    pub enabled: bool,
    /// Its teams.
    pub teams: &'a [TeamName],
    /// What it is granted, by API, its teams' grants included.
    pub grants: Vec<(&'a ApiName, &'a ScopeSet)>,
    /// Its identities, in file order.
    pub identities: Vec<&'a IdentityName>,
}

/// One API, to look at.
#[derive(Clone, Copy, Debug)]
pub struct ApiView<'a> {
    /// Its name.
    pub name: &'a ApiName,
    /// Its `aud`.
    pub audience: &'a Audience,
    /// For people.
    pub display_name: Option<&'a str>,
    /// The scopes it declares.
    pub scopes: &'a ScopeSet,
}

impl RuleSet {
    /// Compiles a policy, or says everything that is wrong with it, lints included.
    ///
    /// # Errors
    /// All findings, when any of them is worse than a lint.
    pub fn compile(spec: &Spec) -> Result<Compiled, Vec<Finding>> {
        let _ = spec;
        Ok(Compiled { rules: Self {}, warnings: Vec::new() })
    }

    /// Resolves the names of a request (DESIGN section 2).
    ///
    /// # Errors
    /// When the request names two accounts.
    pub fn resolve(&self, asked: &Asked<'_>) -> Result<Requested, RequestError> {
        Ok(Requested {
            account: RequestedAccount::Any,
            target: RequestedTarget::Default,
            scopes: None,
            unknown_scope: false,
            lifetime: asked.lifetime,
        })
    }

    /// Whether some value of `aud` is one that a token of `entry` can have here: our issuer, any audience configured for the
    /// entry or its identities, or a UUID (an account's id, not looked up).
    #[must_use]
    pub fn knows_audience(&self, entry: &EntryName, claims: &ClaimSet) -> bool {
        let _ = (entry, claims);
        false
    }

    /// Decides. Builds no trace.
    #[must_use]
    pub fn decide(&self, facts: Facts<'_>, requested: &Requested) -> Outcome {
        let _ = (facts, requested);
        Outcome::Refused(Refusal::NoIdentityMatched)
    }

    /// Decides as [`RuleSet::decide`] does, and says why.
    #[must_use]
    pub fn explain(&self, facts: Facts<'_>, requested: &Requested) -> Decision {
        Decision { outcome: self.decide(facts, requested), trace: Vec::new() }
    }

    /// Whether a token issued to `account` by `identity` on a token of `entry` may still be active: all three exist, are
    /// enabled and in time.
    #[must_use]
    pub fn still_active(&self, account: &AccountId, identity: &IdentityName, entry: &EntryName, now: UnixTime) -> bool {
        let _ = (account, identity, entry, now);
        false
    }

    /// Every account, in file order.
    pub fn accounts(&self) -> impl Iterator<Item = AccountView<'_>> {
        std::iter::empty()
    }

    /// The account of that username or id.
    #[must_use]
    pub fn account(&self, name_or_id: &str) -> Option<AccountView<'_>> {
        let _ = name_or_id;
        None
    }

    /// Every API, the built-in `sts` first.
    pub fn apis(&self) -> impl Iterator<Item = ApiView<'_>> {
        std::iter::empty()
    }

    /// The API of that name.
    #[must_use]
    pub fn api(&self, name: &str) -> Option<ApiView<'_>> {
        let _ = name;
        None
    }

    /// The API of that audience.
    #[must_use]
    pub fn api_by_audience(&self, audience: &str) -> Option<ApiView<'_>> {
        let _ = audience;
        None
    }
}
