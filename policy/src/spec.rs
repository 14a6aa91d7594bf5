//! The input of the compiler: plain data, one type per concept of the configuration.
//!
//! The form of every name is checked already. [`crate::RuleSet::compile`] resolves references,
//! parses patterns and rejects rules that are too broad. Each value keeps its
//! [`Origin`](sts_types::Origin), so that a finding points at its cause.

use std::sync::Arc;

use sts_types::{
    AccountId, AccountName, ApiName, Audience, DirectoryName, EntryName, IdentityName, Issuer, Issuers, Lifetime,
    Located, Origin, Scope, TeamName, UnixTime,
};

use crate::FaultyNames;
use crate::preset::{KnownIssuer, Preset};

/// The whole policy.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Our own `iss`. Also the audience of the built-in API `sts`.
    pub issuer: Issuer,
    /// `tokens:`.
    pub tokens: TokensSpec,
    /// `issuers:`, in file order.
    pub issuers: Vec<IssuerSpec>,
    /// `apis:`, in file order, without the built-in one.
    pub apis: Vec<ApiSpec>,
    /// The names under `directories:`, in file order.
    pub directories: Vec<Located<DirectoryName>>,
    /// `teams:` of every file.
    pub teams: Vec<TeamSpec>,
    /// `service_accounts:` of every file, in file order.
    pub accounts: Vec<AccountSpec>,
    /// `console:`, if people sign in to the console at an OpenID provider.
    pub console: Option<ConsoleSpec>,
    /// Names whose declaration has a reported fault, whether the fields above contain them or not.
    /// References to them are not reported again.
    pub faulty: FaultyNames,
}

/// Conditions on claims: the name or JSON pointer of each claim, and the condition on it.
pub type ConditionSpecs = Vec<(Located<String>, ConditionSpec)>;

/// Who may sign in to the console.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleSpec {
    /// `iss` of the provider's ID tokens.
    pub issuer: Located<Issuer>,
    /// Who may change everything. `None` for nobody.
    pub admin: Option<ConditionSpecs>,
    /// Who may see everything. `None` for nobody else.
    pub read: Option<ConditionSpecs>,
}

/// The part of `tokens:` that policy needs.
#[derive(Clone, Debug)]
pub struct TokensSpec {
    /// The lifetime if neither identity nor account sets one. Default: 15 minutes.
    pub ttl: Located<Lifetime>,
    /// The longest lifetime of any token. Default: 1 hour.
    pub max_ttl: Located<Lifetime>,
    /// Whether a request must name its account.
    pub require_account: bool,
    /// Requested scopes to ignore. Some client libraries always send one of their own.
    pub ignore_scopes: Vec<Scope>,
    /// Claims to copy to `federated.claims` for every account: names or JSON pointers.
    pub copy_claims: Vec<Located<String>>,
}

/// How often one subject token may be exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Replay {
    /// Any number of times.
    #[default]
    Allow,
    /// Once.
    Once,
    /// Once for each account.
    OncePerAccount,
}

/// Where the preset of an issuer entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetSource {
    /// Recognised by the issuer URL.
    Url,
    /// `preset:` is set.
    Written,
    /// `preset: none`.
    WrittenNone,
    /// There is no `preset:`, and the URL is of no known platform.
    Unsaid,
    /// The issuer has a fault that is reported already. What follows from it is not reported as
    /// well.
    Faulty,
}

/// The part of an issuer entry that policy needs.
#[derive(Clone, Debug)]
pub struct IssuerSpec {
    /// The entry's name.
    pub name: Located<EntryName>,
    /// The accepted `iss`, or the template of the accepted ones.
    pub issuer: Located<Issuers>,
    /// The preset in force: as written, or recognised by the URL. `None` also for `preset: none`.
    pub preset: Option<Preset>,
    /// Where the preset comes from.
    pub preset_source: PresetSource,
    /// The public platform that the issuer belongs to.
    pub known: Option<KnownIssuer>,
    /// Whether many tenants share the issuer: `shared: true`, or recognised by the URL.
    pub shared: bool,
    /// Whether `shared` is written.
    pub shared_written: bool,
    /// `owner_claims:`: names or JSON pointers of the claims that name the owner of a token.
    pub owner_claims: Vec<Located<String>>,
    /// Whether the issuer is an https URL of a public host, judging by its text alone.
    pub public: bool,
    /// `audience:` of the entry; empty if absent.
    pub audience: Vec<Located<Audience>>,
    /// Whether a token must have exactly one audience, defaults and preset applied.
    pub sole_audience: bool,
    /// `replay:` of the entry.
    pub replay: Replay,
    /// Whether tokens of this issuer are exchanged.
    pub enabled: bool,
}

/// An API that tokens are minted for.
#[derive(Clone, Debug)]
pub struct ApiSpec {
    /// Its name.
    pub name: Located<ApiName>,
    /// `aud` of its tokens.
    pub audience: Located<Audience>,
    /// A name for people.
    pub display_name: Option<String>,
    /// The scopes that it declares; may be empty.
    pub scopes: Vec<Located<Scope>>,
}

/// A grant: scopes of one API that an account may request.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct GrantSpec {
    /// The API's name; `sts` is the built-in one.
    pub api: Located<String>,
    /// The granted scopes. The compiler checks that the API declares them. Empty for an API without
    /// scopes.
    pub scopes: Vec<Located<Scope>>,
}

/// A team: a set of grants shared by accounts.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct TeamSpec {
    /// Its name, which becomes a value of the `groups` claim.
    pub name: Located<TeamName>,
    /// A name for people.
    pub display_name: Option<String>,
    /// Its grants.
    pub grants: Vec<GrantSpec>,
    /// The groups that give it.
    pub external_groups: Vec<ExternalGroupSpec>,
}

/// A group that gives a team to service accounts.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ExternalGroupSpec {
    /// A group of a directory. It gives the team to the accounts with a login in it.
    Directory {
        /// The directory's name.
        directory: Located<String>,
        /// The group as it is written.
        group: Located<String>,
        /// The same for all texts of one group.
        key: Arc<str>,
    },
    /// A group that tokens of an issuer entry name. It gives the team to the account whose identity
    /// accepts the token.
    Token {
        /// The entry's name.
        issuer: Located<String>,
        /// The name or JSON pointer of the claim.
        claim: Located<String>,
        /// The exact text of the group.
        value: Located<String>,
    },
}

/// The login of a service account in a directory.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct ExternalLoginSpec {
    /// The directory's name.
    pub directory: Located<String>,
    /// The login as it is written.
    pub name: Located<String>,
    /// The same for equal logins: letter case does not count.
    pub key: String,
}

/// A service account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSpec {
    /// The username.
    pub name: Located<AccountName>,
    /// `id:`. The username takes its place if absent.
    pub id: Option<Located<AccountId>>,
    /// A name for people.
    pub display_name: Option<String>,
    /// Whether it gets tokens.
    pub enabled: bool,
    /// Names of its teams.
    pub teams: Vec<Located<String>>,
    /// Its own grants, in addition to those of its teams.
    pub grants: Vec<GrantSpec>,
    /// The API of a request that names none.
    pub default_api: Option<Located<String>>,
    /// Lifetime of its tokens.
    pub ttl: Option<Located<Lifetime>>,
    /// It gets no token before this time.
    pub not_before: Option<UnixTime>,
    /// It gets no token at or after this time.
    pub not_after: Option<UnixTime>,
    /// `require_proof: dpop`: each of its tokens must be bound to a key.
    pub require_proof: bool,
    /// `delegation.actors`: usernames or ids of the accounts that may act for it.
    pub actors: Vec<Located<String>>,
    /// Its login in a directory.
    pub external_login: Option<ExternalLoginSpec>,
    /// Its identities, in file order.
    pub identities: Vec<IdentitySpec>,
}

/// An OIDC identity of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentitySpec {
    /// Start of the identity, for findings about the whole of it.
    pub origin: Origin,
    /// Its name, unique in its account. `identity N`, counted from 1, if it has none.
    pub name: IdentityName,
    /// Names of issuer entries, at least one.
    pub issuers: Vec<Located<String>>,
    /// The subject pattern.
    pub subject: Option<Located<String>>,
    /// Audiences to accept in place of the entry's; empty if absent.
    pub audience: Vec<Located<Audience>>,
    /// `claims:`: the name or JSON pointer of a claim, and the condition on it.
    pub claims: ConditionSpecs,
    /// The short rule of a platform (`github: {...}`).
    pub short_rule: Option<ShortRuleSpec>,
    /// Narrows the account's grants to these scopes, in every API.
    pub scopes: Option<Vec<Located<Scope>>>,
    /// Narrows the account's grants.
    pub grants: Option<Vec<GrantSpec>>,
    /// Lifetime of its tokens.
    pub ttl: Option<Located<Lifetime>>,
    /// Claims to copy, in addition to `tokens.copy_claims`.
    pub copy_claims: Vec<Located<String>>,
    /// `replay:` of the identity, in place of the entry's.
    pub replay: Option<Replay>,
    /// Whether it matches any token.
    pub enabled: bool,
    /// It matches no token before this time.
    pub not_before: Option<UnixTime>,
    /// It matches no token at or after this time.
    pub not_after: Option<UnixTime>,
    /// `allow_broad:`, the reason why a broad rule is accepted.
    pub allow_broad: Option<Located<String>>,
}

/// The short rule of a platform.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct ShortRuleSpec {
    /// The key it is written under, such as `github`, `gitlab` or `kubernetes`.
    pub key: Located<String>,
    /// Its members, in file order.
    pub members: Vec<(Located<String>, ConditionSpec)>,
}

/// A scalar to compare a claim with. Quotes decide: `"1"` is a string, `1` a number.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ScalarSpec {
    /// A pattern for string claims.
    Text(String),
    /// A number. Equals number claims by value.
    Number(serde_json::Number),
    /// A boolean. Equals boolean claims.
    Bool(bool),
}

/// A condition on one claim.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ConditionSpec {
    /// One value.
    Scalar(Located<ScalarSpec>),
    /// Any of these values.
    AnyOf(Vec<Located<ScalarSpec>>),
    /// The long form.
    Object(Box<ConditionObject>),
}

/// The long form of a condition. At least one member is set; absent members do not constrain.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct ConditionObject {
    /// Some element meets one of these.
    pub any_of: Option<Vec<Located<ScalarSpec>>>,
    /// Each of these is met by some element.
    pub all_of: Option<Vec<Located<ScalarSpec>>>,
    /// No element meets any of these.
    pub none_of: Option<Vec<Located<ScalarSpec>>>,
    /// Some element matches the whole of this regular expression.
    pub regex: Option<Located<String>>,
    /// Whether the claim must be present (`true`) or absent (`false`).
    pub present: Option<Located<bool>>,
    /// Whether an absent claim meets the condition.
    pub or_absent: bool,
}

/// One policy test of a `tests:` list.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSpec {
    /// Start of the test.
    pub origin: Origin,
    /// Its name, for people.
    pub name: String,
    /// The token of the request.
    pub token: TestTokenSpec,
    /// The issuer entry whose key signed the token. Needed if several entries share the token's
    /// `iss`.
    pub issuer: Option<Located<String>>,
    /// The account that the request names.
    pub account: Option<Located<String>>,
    /// The `audience` values of the request.
    pub audience: Vec<String>,
    /// The `resource` values of the request.
    pub resource: Vec<String>,
    /// The `scope` of the request.
    pub scope: Option<String>,
    /// The expected outcome.
    pub expect: Expectation,
    /// For a denial: the condition that should fail for the nearest identity (`subject`,
    /// `audience`, or the name of a claim).
    pub because: Option<Located<String>>,
}

impl TestSpec {
    /// Whether `other` is the same test. The position does not count.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Self { origin: other.origin, ..self.clone() } == *other
    }
}

/// The token of a policy test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestTokenSpec {
    /// `preset:`. The token starts with the sample claims of this preset.
    pub preset: Option<Located<String>>,
    /// Claims that replace or extend the sample's.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// The keys of the groups that its `groups` names, as if a directory said so of the account.
    pub groups: Vec<Arc<str>>,
}

/// What a policy test expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// `deny`: no grant, for any reason.
    Deny,
    /// A grant. The members that are set must agree with it.
    Grant {
        /// The account's username or id.
        account: Option<Located<String>>,
        /// The identity's name.
        identity: Option<Located<String>>,
        /// Exactly these scopes, in any order.
        scopes: Option<Vec<Located<Scope>>>,
    },
}
