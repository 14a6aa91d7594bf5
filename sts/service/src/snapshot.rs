//! The rules under which one exchange runs: immutable, swapped whole.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sts_policy::{Provenance, RuleSet};
use sts_token::{ClaimedOrigin, TrustSpec, VerifiedTokenCache};
use sts_types::{Algorithm, ApiName, EntryName, Issuer, Issuers, Proof, TokenRecord, UnixTime};

use crate::IssuerKeys;
use crate::endpoint_auth::ApiSecret;

/// Settings and rules in force.
pub struct Snapshot {
    /// A digest of everything the snapshot was made from; every record and event carries it.
    pub generation: String,
    /// Our `iss`.
    pub issuer: Issuer,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Whether the rules are those of the configuration. False where it does not load: then nothing
    /// is known of what stands behind a token.
    pub has_rules: bool,
    /// How tokens of each issuer are verified.
    pub trust: TrustTable,
    /// The entries' keys.
    pub keys: Arc<dyn IssuerKeys>,
    /// Tokens that these entries' keys verified lately.
    pub remembered: VerifiedTokenCache,
    /// Whether a minted token may not outlive its subject token.
    pub cap_to_subject: bool,
    /// Whether minted tokens point to a status list.
    pub status_list: bool,
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
    /// Whether the rules in force still stand behind a recorded token: its account and what it was minted on are there,
    /// enabled and in time. Without rules nothing speaks against it.
    pub(crate) fn supports(&self, record: &TokenRecord, now: UnixTime) -> bool {
        if !self.has_rules {
            return true;
        }
        match &record.proof {
            Proof::Federated(proof) => {
                let provenance = Provenance {
                    account: &record.account,
                    identity: &proof.identity,
                    entry: &proof.entry,
                    issued: record.iat,
                };
                self.trust.has(&proof.entry, &proof.issuer) && self.rules.still_active(&provenance, now)
            }
            // Nothing here knows which API keys are in force, or whether the tokens are that this
            // one came from, and what nobody can vouch for is not active.
            Proof::ApiKey(_) | Proof::Own(_) => false,
        }
    }
}

/// The trusted entries, by the exact bytes of `iss`, or by its form.
pub struct TrustTable {
    by_issuer: HashMap<Issuer, Vec<Arc<TrustSpec>>>,
    /// No issuer is of two of them.
    families: Vec<Arc<TrustSpec>>,
    /// Entries that take tokens without `iss`, by their trust domain.
    by_domain: HashMap<String, Vec<Arc<TrustSpec>>>,
    /// The name of every entry, those that are disabled included.
    names: BTreeSet<EntryName>,
}

impl TrustTable {
    /// A table of the enabled entries among `specs`.
    #[must_use]
    pub fn new(specs: Vec<TrustSpec>) -> Self {
        let mut by_issuer: HashMap<Issuer, Vec<Arc<TrustSpec>>> = HashMap::new();
        let mut families = Vec::new();
        let mut by_domain: HashMap<String, Vec<Arc<TrustSpec>>> = HashMap::new();
        let names = specs.iter().map(|spec| spec.entry.clone()).collect();
        for spec in specs.into_iter().filter(|spec| spec.enabled) {
            let spec = Arc::new(spec);
            if let Some(domain) = &spec.trust_domain {
                by_domain.entry(domain.clone()).or_default().push(Arc::clone(&spec));
            }
            match &spec.issuers {
                Issuers::One(issuer) => by_issuer.entry(issuer.clone()).or_default().push(spec),
                Issuers::Family(_) => families.push(spec),
            }
        }
        Self { by_issuer, families, by_domain, names }
    }

    /// The entries of `issuer`; none when it is not trusted. Entries that name it come before a family that it is of the form of:
    /// what is written out says more.
    #[must_use]
    pub fn entries(&self, issuer: &Issuer) -> &[Arc<TrustSpec>] {
        if let Some(entries) = self.by_issuer.get(issuer) {
            return entries;
        }
        self.families.iter().find(|family| family.issuers.covers(issuer.as_str())).map_or(&[], std::slice::from_ref)
    }

    /// The entry of that name, if it is trusted.
    pub(crate) fn entry(&self, name: &EntryName) -> Option<Arc<TrustSpec>> {
        self.all().find(|spec| spec.entry == *name).cloned()
    }

    /// The entries that a token of that origin may be of.
    #[must_use]
    pub fn entries_of(&self, origin: &ClaimedOrigin) -> &[Arc<TrustSpec>] {
        match origin {
            ClaimedOrigin::Issuer(issuer) => self.entries(issuer),
            ClaimedOrigin::TrustDomain(domain) => self.by_domain.get(domain).map_or(&[], Vec::as_slice),
        }
    }

    /// Every trusted entry.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<TrustSpec>> {
        self.by_issuer.values().flatten().chain(&self.families)
    }

    /// The trust domains whose tokens are taken without `iss`, each with an entry.
    pub(crate) fn trust_domains(&self) -> impl Iterator<Item = (&str, &Arc<TrustSpec>)> {
        self.by_domain.iter().flat_map(|(domain, all)| all.iter().map(move |own| (domain.as_str(), own)))
    }

    /// The names of the configured entries, whether or not they are trusted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(EntryName::as_str)
    }

    /// Whether the entry is trusted, and stands for that issuer.
    #[must_use]
    pub fn has(&self, entry: &EntryName, issuer: &Issuer) -> bool {
        let mut own = self.by_issuer.values().flatten().chain(&self.families).filter(|spec| spec.entry == *entry);
        own.any(|spec| spec.issuers.covers(issuer.as_str()))
    }
}
