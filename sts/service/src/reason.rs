//! Why a request is refused, by the stable names of DESIGN section 2. The wire form of each is one table in the server.

use std::time::Duration;

use sts_policy::Refusal;
use sts_token::TokenFault;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A stable reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire and in events.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// The request's own shape is wrong.
    RequestMalformed = "request_malformed",
    /// A grant that is not token exchange.
    GrantUnsupported = "grant_unsupported",
    /// The subject token's shape, or a registered claim.
    TokenMalformed = "token_malformed",
    /// Its algorithm.
    TokenAlgorithm = "token_algorithm",
    /// Its kind.
    TokenTypeRefused = "token_type_refused",
    /// No entry has its `iss`.
    IssuerUnknown = "issuer_unknown",
    /// The entry has no key of that `kid`.
    KeyUnknown = "key_unknown",
    /// The entry's keys could not be looked up.
    IssuerUnavailable = "issuer_unavailable",
    /// No key verifies it.
    SignatureInvalid = "signature_invalid",
    /// `exp` has passed.
    TokenExpired = "token_expired",
    /// `nbf` or `iat` is in the future.
    TokenNotYetValid = "token_not_yet_valid",
    /// It lives too long or is too old.
    TokenTooOld = "token_too_old",
    /// No value of its `aud` is ours.
    TokenAudience = "token_audience",
    /// No account, no identity: one answer for all.
    NotAuthorized = "not_authorized",
    /// More than one account fits.
    AmbiguousAccount = "ambiguous_account",
    /// The API is not granted.
    TargetNotGranted = "target_not_granted",
    /// An API must be named.
    TargetRequired = "target_required",
    /// Not every scope is granted.
    ScopeNotGranted = "scope_not_granted",
    /// The subject token was used before.
    TokenReplayed = "token_replayed",
    /// The record could not be made durable.
    StoreUnavailable = "store_unavailable",
    /// Credentials that are wrong or have no place here.
    InvalidClient = "invalid_client",
    /// A Bearer token that is not one of ours, or not alive.
    InvalidToken = "invalid_token",
    /// A Bearer token without the scope that is needed.
    InsufficientScope = "insufficient_scope",
    /// No such path.
    NotFound = "not_found",
    /// The path has other methods.
    MethodNotAllowed = "method_not_allowed",
    /// The body is over the limit.
    BodyTooLarge = "body_too_large",
    /// The body's media type is not read here.
    MediaType = "media_type",
    /// Too many refused requests from this address.
    RateLimited = "rate_limited",
    /// A fault of ours.
    ServerError = "server_error",
}

/// A refusal, as the caller learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Which rule, in place of the reason's usual description; a text of ours, never input.
    pub detail: Option<&'static str>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Refused for `reason`, which rule being `detail`.
    #[must_use]
    pub const fn because(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail: Some(detail), retry_after: None }
    }

    /// Not now: try again after `wait`.
    #[must_use]
    pub const fn for_now(reason: Reason, wait: Duration) -> Self {
        Self { reason, detail: None, retry_after: Some(wait) }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after: None }
    }
}

impl From<TokenFault> for Refused {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Malformed(rule) => Self::because(Reason::TokenMalformed, rule),
            TokenFault::Algorithm => Reason::TokenAlgorithm.into(),
            TokenFault::TypeRefused => Reason::TokenTypeRefused.into(),
            TokenFault::Expired => Reason::TokenExpired.into(),
            TokenFault::NotYetValid => Reason::TokenNotYetValid.into(),
            TokenFault::TooOld => Reason::TokenTooOld.into(),
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchAccount | Refusal::AccountDisabled | Refusal::NoIdentityMatched => Self::NotAuthorized,
            Refusal::AmbiguousAccount => Self::AmbiguousAccount,
            Refusal::TargetNotGranted => Self::TargetNotGranted,
            Refusal::TargetRequired => Self::TargetRequired,
            Refusal::ScopeNotGranted => Self::ScopeNotGranted,
        }
    }
}

/// How long a caller waits before it asks a store again that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl Refused {
    /// The ledger did not answer: nothing was minted, nothing is believed.
    pub(crate) fn by_ledger(error: &sts_store::LedgerError) -> Self {
        tracing::error!(%error, "the store did not answer");
        Self::for_now(Reason::StoreUnavailable, STORE_RETRY)
    }
}
