//! The objects of one source of rules, as specs: issuer entries, APIs, teams and service accounts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jwks_cache::{EntrySpec, FamilySpec, Specs};
use sts_policy::{AccountSpec, ApiSpec, ConsoleSpec, FaultyNames, IssuerSpec, Spec, TeamSpec, TokensSpec};
use sts_token::TrustSpec;
use sts_types::{Algorithm, ApiName, Audience, DirectoryName, EntryName, Issuer, Located, Origin, Scope};

use crate::settings::Secret;

/// The objects that one source declares. The form of each is checked; whether they fit together is
/// not.
#[derive(Debug, Default)]
pub struct Objects {
    /// Issuer entries.
    pub issuers: Vec<IssuerObject>,
    /// APIs.
    pub apis: Vec<ApiObject>,
    /// Teams.
    pub teams: Vec<TeamSpec>,
    /// Service accounts.
    pub accounts: Vec<AccountSpec>,
    /// The OpenID provider of the console. Only a main file has one.
    pub console: Option<ConsoleProvider>,
}

/// The OpenID provider where people sign in to the console.
#[derive(Debug)]
pub struct ConsoleProvider {
    /// For the rules: who may sign in.
    pub rules: ConsoleSpec,
    /// `client_id`, which is the `aud` of its ID tokens.
    pub client_id: Audience,
    /// The content of `client_secret_file`. `None` for a public client.
    pub client_secret: Option<Secret>,
    /// `client_secret_file`.
    pub client_secret_file: Option<PathBuf>,
    /// Requested scopes, `openid` among them.
    pub scopes: Vec<Scope>,
    /// How the provider and its keys are reached.
    pub keys: EntrySpec,
}

/// One issuer entry, as each crate sees it.
#[derive(Debug)]
pub struct IssuerObject {
    /// For the rules.
    pub policy: IssuerSpec,
    /// For the key cache.
    pub keys: KeysSpec,
    /// For the verification of tokens.
    pub trust: TrustSpec,
    /// Where its keys are declared; `None` if the entry has a fault that is reported already.
    pub origins: Option<KeyOrigins>,
}

/// One API, as each crate sees it.
#[derive(Debug)]
pub struct ApiObject {
    /// For the rules.
    pub policy: ApiSpec,
    /// `signing_algorithm`.
    pub signing_algorithm: Option<Algorithm>,
    /// The content of `introspection_secret_file`.
    pub introspection_secret: Option<Secret>,
}

/// The keys of one issuer entry.
#[derive(Clone, Debug)]
pub enum KeysSpec {
    /// The entry has one issuer.
    One(EntrySpec),
    /// The entry has a family of issuers.
    Family(FamilySpec),
}

impl KeysSpec {
    /// The entry's name.
    #[must_use]
    pub fn name(&self) -> &EntryName {
        match self {
            Self::One(entry) => &entry.name,
            Self::Family(family) => &family.name,
        }
    }

    /// The entry, if it has one issuer.
    #[must_use]
    pub fn one(&self) -> Option<&EntrySpec> {
        match self {
            Self::One(entry) => Some(entry),
            Self::Family(_) => None,
        }
    }

    /// The input of the key cache.
    pub fn specs(all: impl IntoIterator<Item = Self>) -> Specs {
        let mut specs = Specs::default();
        for spec in all {
            match spec {
                Self::One(entry) => specs.entries.push(entry),
                Self::Family(family) => specs.families.push(family),
            }
        }
        specs
    }
}

/// Where an issuer entry declares its keys.
#[derive(Clone, Debug)]
pub struct KeyOrigins {
    /// The value that says where the keys come from.
    pub keys: Origin,
    /// The values that say how they are fetched, by key.
    pub access: Vec<(&'static str, Origin)>,
}

impl KeyOrigins {
    /// Where `key` is set. The keys' own origin if it is not set.
    #[must_use]
    pub fn of(&self, key: Option<&str>) -> Origin {
        self.access.iter().find(|(name, _)| Some(*name) == key).map_or(self.keys, |(_, origin)| *origin)
    }
}

/// The objects again, sorted by the crate that compiles them.
#[derive(Debug)]
pub struct CrateSpecs {
    /// For the rules.
    pub policy: Spec,
    /// For the key cache, with the origins that findings about keys point at.
    pub keys: Vec<(KeysSpec, Option<KeyOrigins>)>,
    /// For the verification of tokens.
    pub trust: Vec<TrustSpec>,
    /// The signing algorithms of the APIs that set one.
    pub api_signing: BTreeMap<ApiName, Algorithm>,
    /// The introspection secrets of the APIs that have one.
    pub api_secrets: BTreeMap<ApiName, Secret>,
    /// The OpenID provider of the console.
    pub console: Option<ConsoleProvider>,
}

impl Objects {
    /// Sorts the objects by the crate that compiles them.
    #[must_use]
    pub fn into_specs(
        self,
        issuer: Issuer,
        tokens: TokensSpec,
        directories: Vec<Located<DirectoryName>>,
        faulty: FaultyNames,
    ) -> CrateSpecs {
        let Self { issuers, apis, teams, accounts, console } = self;
        let policy = Spec {
            issuer,
            tokens,
            issuers: Vec::new(),
            apis: Vec::new(),
            directories,
            teams,
            accounts,
            console: console.as_ref().map(|console| console.rules.clone()),
            faulty,
        };
        let mut specs = CrateSpecs {
            policy,
            keys: Vec::new(),
            trust: Vec::new(),
            api_signing: BTreeMap::new(),
            api_secrets: BTreeMap::new(),
            console,
        };
        for IssuerObject { policy, keys, trust, origins } in issuers {
            specs.policy.issuers.push(policy);
            specs.keys.push((keys, origins));
            specs.trust.push(trust);
        }
        for ApiObject { policy, signing_algorithm, introspection_secret } in apis {
            let name = &policy.name.value;
            specs.api_signing.extend(signing_algorithm.map(|algorithm| (name.clone(), algorithm)));
            specs.api_secrets.extend(introspection_secret.map(|secret| (name.clone(), secret)));
            specs.policy.apis.push(policy);
        }
        specs
    }
}
