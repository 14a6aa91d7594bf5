//! What a rule set is compiled from: plain data, one type per concept of the configuration. Names are checked already; what
//! they refer to, what patterns mean and what is too broad is judged by [`crate::RuleSet::compile`]. Each value keeps its
//! [`Origin`](sts_types::Origin), so that a finding points at the place that caused it.

use sts_types::{
    AccountId, AccountName, ApiName, Audience, EntryName, IdentityName, Issuer, Issuers, Lifetime, Located, Origin,
    Scope, TeamName, UnixTime,
};

use crate::FaultyNames;
use crate::preset::{KnownIssuer, Preset};

/// The whole policy.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Our own `iss`; also the audience of the built-in API `sts`.
    pub issuer: Issuer,
    /// `tokens:`.
    pub tokens: TokensSpec,
    /// `issuers:`, in file order.
    pub issuers: Vec<IssuerSpec>,
    /// `apis:`, in file order, without the built-in one.
    pub apis: Vec<ApiSpec>,
    /// `teams:` of every file.
    pub teams: Vec<TeamSpec>,
    /// `service_accounts:` of every file, in file order.
    pub accounts: Vec<AccountSpec>,
    /// Names above, or missing above, whose declaration has a fault that was reported.
    pub faulty: FaultyNames,
}

/// `tokens:`, as far as policy needs it.
#[derive(Clone, Debug)]
pub struct TokensSpec {
    /// The lifetime when neither identity nor account sets one. Default 15 minutes.
    pub ttl: Located<Lifetime>,
    /// The longest lifetime there is. Default 1 hour.
    pub max_ttl: Located<Lifetime>,
    /// Whether a request must name its account.
    pub require_account: bool,
    /// Requested scopes that are dropped unseen.
    pub ignore_scopes: Vec<Scope>,
    /// Claims copied under `federated.claims` for every account: names or pointers.
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

/// How an issuer entry came to its preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetSource {
    /// Known by the URL.
    Url,
    /// Written.
    Written,
    /// `preset: none`.
    WrittenNone,
    /// Nothing says what platform it is.
    Unsaid,
    /// The issuer is wrong, and this was reported: what would follow from it is not reported as well.
    Faulty,
}

/// One issuer entry, as far as policy needs it.
#[derive(Clone, Debug)]
pub struct IssuerSpec {
    /// The entry's name.
    pub name: Located<EntryName>,
    /// The `iss` it stands for, or the form of those.
    pub issuer: Located<Issuers>,
    /// The preset in force: written, or known by the URL; `None` for none or `preset: none`.
    pub preset: Option<Preset>,
    /// How the preset was settled.
    pub preset_source: PresetSource,
    /// The publicly known platform that the issuer belongs to.
    pub known: Option<KnownIssuer>,
    /// Whether many tenants share the issuer: written `shared: true`, or known by the URL.
    pub shared: bool,
    /// Whether `shared` is written.
    pub shared_written: bool,
    /// `owner_claims:`, names or pointers of the claims that name the owner.
    pub owner_claims: Vec<Located<String>>,
    /// Whether the issuer is an https URL of a host that everybody can reach, as far as its text says.
    pub public: bool,
    /// `audience:` of the entry; empty when not given.
    pub audience: Vec<Located<Audience>>,
    /// Whether a token must have exactly one audience (default, preset applied).
    pub sole_audience: bool,
    /// `replay:` of the entry.
    pub replay: Replay,
    /// Whether tokens of it are exchanged.
    pub enabled: bool,
}

/// One API that tokens are minted for.
#[derive(Clone, Debug)]
pub struct ApiSpec {
    /// Its name.
    pub name: Located<ApiName>,
    /// Its `aud`.
    pub audience: Located<Audience>,
    /// For people.
    pub display_name: Option<String>,
    /// The scopes it declares; may be empty.
    pub scopes: Vec<Located<Scope>>,
}

/// What an account may ask for: scopes of one API.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct GrantSpec {
    /// The API's name; `sts` is the built-in one.
    pub api: Located<String>,
    /// The scopes granted, each declared by the API; empty for an API that declares none.
    pub scopes: Vec<Located<Scope>>,
}

/// A team: a set of grants shared by accounts.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct TeamSpec {
    /// Its name; a value of the `groups` claim.
    pub name: Located<TeamName>,
    /// For people.
    pub display_name: Option<String>,
    /// Its grants.
    pub grants: Vec<GrantSpec>,
}

/// One service account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSpec {
    /// The username.
    pub name: Located<AccountName>,
    /// `id:`; the username when not given.
    pub id: Option<Located<AccountId>>,
    /// For people.
    pub display_name: Option<String>,
    /// Whether it gets tokens.
    pub enabled: bool,
    /// Names of teams.
    pub teams: Vec<Located<String>>,
    /// Grants of its own, beside those of its teams.
    pub grants: Vec<GrantSpec>,
    /// The API meant when a request names none.
    pub default_api: Option<Located<String>>,
    /// Lifetime of its tokens.
    pub ttl: Option<Located<Lifetime>>,
    /// No token before.
    pub not_before: Option<UnixTime>,
    /// No token from then on.
    pub not_after: Option<UnixTime>,
    /// Its identities, in file order.
    pub identities: Vec<IdentitySpec>,
}

/// One OIDC identity of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentitySpec {
    /// Where the identity begins; for findings about the whole of it.
    pub origin: Origin,
    /// Its name, unique in its account; `identity N` (from 1) when not given.
    pub name: IdentityName,
    /// Names of issuer entries, one or more.
    pub issuers: Vec<Located<String>>,
    /// The subject pattern.
    pub subject: Option<Located<String>>,
    /// Audiences that are accepted in place of the entry's; empty when not given.
    pub audience: Vec<Located<Audience>>,
    /// `claims:`: claim name or pointer to condition.
    pub claims: Vec<(Located<String>, ConditionSpec)>,
    /// A platform's short rule (`github: {...}`), with the key it stands under.
    pub short_rule: Option<ShortRuleSpec>,
    /// Narrowing of the account's scopes, whichever API they are of.
    pub scopes: Option<Vec<Located<Scope>>>,
    /// Narrowing of the account's grants.
    pub grants: Option<Vec<GrantSpec>>,
    /// Lifetime of its tokens.
    pub ttl: Option<Located<Lifetime>>,
    /// Claims to copy, beside `tokens.copy_claims`.
    pub copy_claims: Vec<Located<String>>,
    /// `replay:` of the identity, in place of the entry's.
    pub replay: Option<Replay>,
    /// Whether it matches at all.
    pub enabled: bool,
    /// No match before.
    pub not_before: Option<UnixTime>,
    /// No match from then on.
    pub not_after: Option<UnixTime>,
    /// `allow_broad: "why"`.
    pub allow_broad: Option<Located<String>>,
}

/// A platform's short rule.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct ShortRuleSpec {
    /// The platform's key: `github`, `gitlab`, `kubernetes`.
    pub key: Located<String>,
    /// Its members, in file order.
    pub members: Vec<(Located<String>, ConditionSpec)>,
}

/// A scalar to compare with: what was written, and whether a plain (unquoted) YAML number wrote it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ScalarSpec {
    /// A string: a pattern.
    Text(String),
    /// A number: equality with numbers.
    Number(serde_json::Number),
    /// A boolean: equality with booleans.
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

/// The long form of a condition; what is not given does not constrain, and at least one member is given.
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
    /// Whether the claim is there.
    pub present: Option<Located<bool>>,
    /// Whether an absent claim meets the condition.
    pub or_absent: bool,
}

/// One policy test of a `tests:` list.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSpec {
    /// Where the test begins.
    pub origin: Origin,
    /// Its name, for people.
    pub name: String,
    /// The token that is judged.
    pub token: TestTokenSpec,
    /// The issuer entry whose key signed it. Needed where several entries share the token's `iss`.
    pub issuer: Option<Located<String>>,
    /// The account named, as in a request.
    pub account: Option<Located<String>>,
    /// `audience` values, as in a request.
    pub audience: Vec<String>,
    /// `resource` values, as in a request.
    pub resource: Vec<String>,
    /// `scope`, as in a request.
    pub scope: Option<String>,
    /// What should come out.
    pub expect: Expectation,
    /// For a deny: the condition of the nearest identity that should fail (`subject`, `audience`, a claim's name).
    pub because: Option<Located<String>>,
}

impl TestSpec {
    /// Whether `other` says the same, wherever it stands.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Self { origin: other.origin, ..self.clone() } == *other
    }
}

/// The token of a policy test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestTokenSpec {
    /// `preset:`: the claims start as that preset's sample.
    pub preset: Option<Located<String>>,
    /// Claims that are written, over the sample's.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// What a policy test expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// `deny`: no grant, for whatever reason.
    Deny,
    /// A grant, with what is given of it.
    Grant {
        /// The account's username or id.
        account: Option<Located<String>>,
        /// The identity's name.
        identity: Option<Located<String>>,
        /// Exactly these scopes, in any order.
        scopes: Option<Vec<Located<Scope>>>,
    },
}
