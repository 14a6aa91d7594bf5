//! The settings and rules that one exchange uses: immutable, replaced as a whole.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sts_policy::{Memberships, Provenance, RuleSet};
use sts_token::{ClaimedOrigin, TrustSpec, VerifiedTokenCache};
use sts_types::{AccountId, Algorithm, ApiName, EntryName, Issuer, Issuers, Proof, TokenRecord, UnixTime};

use crate::IssuerKeys;
use crate::api_keys::{ApiKeyLimits, ApiKeys};
use crate::api_secret::ApiSecret;
use crate::reason::RefusedError;

/// The current settings and rules.
#[derive(Clone)]
pub struct Snapshot {
    /// A digest of everything that the snapshot was made from. Every record and event has it.
    pub generation: String,
    /// Our `iss`.
    pub issuer: Issuer,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// What directories say of the accounts.
    pub memberships: Arc<dyn Memberships>,
    /// Whether the rules come from the configuration. False if it does not load. Then nothing is
    /// known about the account and identity of a token.
    pub has_rules: bool,
    /// Whether there may be managed objects that could not be read since the start. Nothing is decided
    /// then: an account that seems unknown may be one of them, and a token that seems to fit one account
    /// may fit another, too.
    pub lacks_objects: bool,
    /// How tokens of each issuer are verified.
    pub trust: Arc<TrustTable>,
    /// The entries' keys.
    pub keys: Arc<dyn IssuerKeys>,
    /// Tokens that these keys verified recently.
    pub remembered: Arc<VerifiedTokenCache>,
    /// Whether a minted token must not outlive its subject token.
    pub cap_to_subject: bool,
    /// Whether minted tokens point to a status list.
    pub status_list: bool,
    /// The longest lifetime of a minted token, in seconds. A revocation rule matters for that long.
    pub max_ttl: u32,
    /// The signing algorithm of each API that sets its own.
    pub signing: HashMap<ApiName, Algorithm>,
    /// The introspection secrets, by API.
    pub secrets: HashMap<ApiName, ApiSecret>,
    /// Whether decision events include the token's claims.
    pub log_claims: bool,
    /// The API keys.
    pub api_keys: Arc<ApiKeys>,
    /// Whether API keys get tokens.
    pub api_keys_enabled: bool,
    /// How long new API keys live.
    pub api_key_limits: ApiKeyLimits,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("issuer", &self.issuer)
            .field("has_rules", &self.has_rules)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Refuses every decision until the managed objects are read. `undone` tells the caller what was
    /// not done.
    ///
    /// # Errors
    /// `store_unavailable` while they are not read.
    pub fn require_objects(&self, undone: &'static str) -> Result<(), RefusedError> {
        if self.lacks_objects { Err(RefusedError::store_unavailable(undone)) } else { Ok(()) }
    }

    /// Whether the current rules still support a recorded token: its account and its proof still
    /// exist, are enabled, and have not expired. Without rules, nothing speaks against it.
    pub(crate) fn supports(&self, record: &TokenRecord, now: UnixTime) -> bool {
        if !self.has_rules {
            return true;
        }
        let actors = record.actor.iter().flat_map(|actor| actor.chain());
        self.supports_proof(&record.account, &record.proof, record.iat, now)
            && actors.into_iter().all(|actor| {
                self.rules.may_act(&record.account, &actor.account).is_ok()
                    && self.supports_proof(&actor.account, &actor.proof, record.iat, now)
            })
    }

    /// Whether the rules still support what `account` proved at `issued`. The records of the tokens
    /// that a token of ours came from are the caller's duty.
    fn supports_proof(&self, account: &AccountId, proof: &Proof, issued: UnixTime, now: UnixTime) -> bool {
        match proof.federated() {
            Some(proof) => {
                let provenance = Provenance { account, identity: &proof.identity, entry: &proof.entry, issued };
                self.trust.has(&proof.entry, &proof.issuer) && self.rules.still_active(&provenance, now)
            }
            None => proof.api_key().is_some_and(|proof| {
                let key = self.api_keys.find(&proof.id).filter(|key| self.api_keys_enabled && key.is_live(now));
                let owner = key.and_then(|key| self.rules.account(key.account.as_str()));
                owner.is_some_and(|owner| owner.id == account) && self.rules.is_account_live(account, issued, now)
            }),
        }
    }
}

/// The trusted entries, by the exact bytes of `iss`, or by its form.
pub struct TrustTable {
    by_issuer: HashMap<Issuer, Vec<Arc<TrustSpec>>>,
    /// No two of them cover the same issuer.
    families: Vec<Arc<TrustSpec>>,
    /// Entries that take tokens without `iss`, by trust domain.
    by_domain: HashMap<String, Vec<Arc<TrustSpec>>>,
    /// The name of every entry, including disabled ones.
    names: BTreeSet<EntryName>,
}

impl std::fmt::Debug for TrustTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustTable").field("names", &self.names).finish_non_exhaustive()
    }
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

    /// The entries of `issuer`. Empty if it is not trusted. An entry that names the issuer takes
    /// precedence over a family that covers it, because it is more specific.
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

    /// The entries that a token of that origin may belong to.
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

    /// The trust domains whose tokens need no `iss`, each with an entry.
    pub(crate) fn trust_domains(&self) -> impl Iterator<Item = (&str, &Arc<TrustSpec>)> {
        self.by_domain.iter().flat_map(|(domain, all)| all.iter().map(move |spec| (domain.as_str(), spec)))
    }

    /// The names of the configured entries, trusted or not.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(EntryName::as_str)
    }

    /// Whether the entry is trusted and covers that issuer.
    #[must_use]
    pub fn has(&self, entry: &EntryName, issuer: &Issuer) -> bool {
        let mut specs = self.by_issuer.values().flatten().chain(&self.families).filter(|spec| spec.entry == *entry);
        specs.any(|spec| spec.issuers.covers(issuer.as_str()))
    }
}
