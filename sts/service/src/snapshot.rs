//! The rules under which one exchange runs: immutable, swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use sts_policy::{Provenance, RuleSet};
use sts_token::TrustSpec;
use sts_types::{Algorithm, ApiName, EntryName, Issuer, TokenRecord, UnixTime};

use crate::IssuerKeys;
use crate::bearer::ApiSecret;

/// Settings and rules in force.
pub struct Snapshot {
    /// A digest of everything the snapshot was made from; every record and event carries it.
    pub generation: String,
    /// Our `iss`.
    pub issuer: Issuer,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// How tokens of each issuer are verified.
    pub trust: TrustTable,
    /// The entries' keys.
    pub keys: Arc<dyn IssuerKeys>,
    /// Whether a minted token may not outlive its subject token.
    pub cap_to_subject: bool,
    /// The longest life of a minted token, in seconds: how long a revocation rule can matter.
    pub max_ttl: u32,
    /// The algorithm that signs for an API that sets its own.
    pub signing: HashMap<ApiName, Algorithm>,
    /// The introspection secrets, by API.
    pub secrets: HashMap<ApiName, ApiSecret>,
    /// Whether decision events carry the token's claims.
    pub log_claims: bool,
}

impl Snapshot {
    /// Whether the rules in force still stand behind a recorded token: its account, identity and issuer entry are there,
    /// enabled and in time.
    pub(crate) fn supports(&self, record: &TokenRecord, now: UnixTime) -> bool {
        let provenance = Provenance {
            account: &record.account,
            identity: &record.identity,
            entry: &record.entry,
            issued: record.iat,
        };
        self.trust.has(&record.entry) && self.rules.still_active(&provenance, now)
    }
}

/// The trusted entries, by the exact bytes of `iss`.
pub struct TrustTable {
    by_issuer: HashMap<Issuer, Vec<Arc<TrustSpec>>>,
}

impl TrustTable {
    /// A table of the enabled entries among `specs`.
    #[must_use]
    pub fn new(specs: Vec<TrustSpec>) -> Self {
        let mut by_issuer: HashMap<Issuer, Vec<Arc<TrustSpec>>> = HashMap::new();
        for spec in specs.into_iter().filter(|spec| spec.enabled) {
            by_issuer.entry(spec.issuer.clone()).or_default().push(Arc::new(spec));
        }
        Self { by_issuer }
    }

    /// The entries of `issuer`; none when it is not trusted.
    #[must_use]
    pub fn entries(&self, issuer: &Issuer) -> &[Arc<TrustSpec>] {
        self.by_issuer.get(issuer).map_or(&[], Vec::as_slice)
    }

    /// Every trusted issuer, in order of its name.
    pub(crate) fn issuers(&self) -> Vec<&str> {
        let mut issuers: Vec<&str> = self.by_issuer.keys().map(Issuer::as_str).collect();
        issuers.sort_unstable();
        issuers
    }

    /// Whether the entry is trusted.
    #[must_use]
    pub fn has(&self, entry: &EntryName) -> bool {
        self.by_issuer.values().flatten().any(|spec| spec.entry == *entry)
    }
}
