//! Stable names for why a request is refused. The server adds those that only HTTP knows, and has one
//! table from all of them to the wire.

use std::borrow::Cow;
use std::time::Duration;

use sts_policy::Refusal;
use sts_token::TokenRuleError;
use sts_types::Issuer;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $description:literal;)*) => {
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

            /// The default text for callers, unless a rule has a more exact one. Printable ASCII,
            /// and never input.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
        }
    };
}

reasons! {
    /// The shape of the request is wrong.
    RequestMalformed = "request_malformed", "the request is malformed";
    /// There is no such grant here.
    GrantUnsupported = "grant_unsupported", "the grants here are urn:ietf:params:oauth:grant-type:token-exchange, urn:ietf:params:oauth:grant-type:jwt-bearer and client_credentials";
    /// The subject token's shape, or a registered claim, is wrong.
    TokenMalformed = "token_malformed", "the subject token is malformed";
    /// The token's algorithm is not accepted.
    TokenAlgorithm = "token_algorithm", "the subject token's algorithm is not accepted from its issuer";
    /// The kind of token is not accepted.
    TokenTypeRefused = "token_type_refused", "a token of this type is not exchanged";
    /// No entry has the token's `iss`.
    IssuerUnknown = "issuer_unknown", "no trusted issuer has the subject token's iss, compared byte for byte";
    /// The entry has no key of that `kid`.
    KeyUnknown = "key_unknown", "the issuer publishes no key with the subject token's kid and algorithm";
    /// The entry's keys could not be fetched.
    IssuerUnavailable = "issuer_unavailable", "the issuer's keys cannot be looked up right now; nothing was minted";
    /// No key verifies the token.
    SignatureInvalid = "signature_invalid", "the subject token's signature is not the issuer's";
    /// `exp` has passed.
    TokenExpired = "token_expired", "the subject token has expired";
    /// `nbf` or `iat` is in the future.
    TokenNotYetValid = "token_not_yet_valid", "the subject token is not valid yet";
    /// The token's lifetime is too long, or it is too old.
    TokenTooOld = "token_too_old", "the subject token lives longer, or is older, than is accepted from its issuer";
    /// No value of its `aud` is ours.
    TokenAudience = "token_audience", "the subject token is for another audience: request one for our issuer, or for an account's UUID";
    /// No account or no identity matches. Both get the same answer.
    NotAuthorized = "not_authorized", "the subject token is not authorized for this request";
    /// More than one account matches.
    AmbiguousAccount = "ambiguous_account", "the subject token fits more than one service account: name one in audience";
    /// The API is not granted.
    TargetNotGranted = "target_not_granted", "the target is not granted: ask for an API that is granted to the service account";
    /// The request must name an API.
    TargetRequired = "target_required", "name the target API in audience or resource";
    /// Not every scope is granted.
    ScopeNotGranted = "scope_not_granted", "not every requested scope is granted";
    /// The subject token was used before.
    TokenReplayed = "token_replayed", "the subject token was used before, and may be used once";
    /// The proof of possession is missing, wrong, or used before.
    ProofInvalid = "proof_invalid", "the DPoP proof is not valid for this request";
    /// The store did not answer. The refusal's own text says what was not done.
    StoreUnavailable = "store_unavailable", "the store does not answer right now; nothing was done";
    /// The key that signs, or the device that holds it, failed.
    SignerUnavailable = "signer_unavailable", "nothing can be signed right now; nothing was minted";
    /// No sink can take the decision event.
    AuditUnavailable = "audit_unavailable", "the decision cannot be recorded in the audit trail right now; nothing was minted";
    /// The credentials are wrong, or not expected here.
    InvalidClient = "invalid_client", "the credentials are wrong, or have no place here";
    /// The Bearer token is not ours, or not active.
    InvalidToken = "invalid_token", "the bearer token is not one of ours, or not active";
    /// The Bearer token lacks the scope.
    InsufficientScope = "insufficient_scope", "the bearer token lacks the scope for this";
    /// An error of the server.
    ServerError = "server_error", "a fault of ours; the request came to nothing";
}

/// A refusal, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedError {
    /// The reason.
    pub reason: Reason,
    /// Which rule, instead of the reason's default text. A constant of ours, never input.
    pub detail: Option<Cow<'static, str>>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl RefusedError {
    /// A refusal for `reason`. `detail` says which rule.
    #[must_use]
    pub const fn because(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail: Some(Cow::Borrowed(detail)), retry_after: None }
    }

    /// The subject token is for another audience. The text says which one to request.
    pub(crate) fn audience(ours: &Issuer) -> Self {
        let detail = format!(
            "the subject token is for another audience: request one for {ours}, or for a service account's UUID"
        );
        Self { reason: Reason::TokenAudience, detail: Some(Cow::Owned(detail)), retry_after: None }
    }

    /// The text for the caller.
    #[must_use]
    pub fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.reason.description())
    }

    /// A temporary refusal: try again after `wait`.
    #[must_use]
    pub const fn for_now(reason: Reason, wait: Duration) -> Self {
        Self { reason, detail: None, retry_after: Some(wait) }
    }
}

/// A request that its transport refused before the service could read it.
///
/// Only the transport knows these reasons, so it supplies the texts that the service has for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportRefusal {
    /// The stable name.
    pub reason: &'static str,
    /// What the caller is told, unless `detail` says it more exactly.
    pub description: &'static str,
    /// Which rule of that reason.
    pub detail: Option<Cow<'static, str>>,
    /// The part of the request that is at fault.
    pub at_fault: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// Whether it is remembered for the owner. A request that the rate limit refused would only push
    /// out other refusals.
    pub is_remembered: bool,
}

impl TransportRefusal {
    /// What the caller is told.
    #[must_use]
    pub fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.description)
    }
}

impl From<Reason> for RefusedError {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after: None }
    }
}

impl From<TokenRuleError> for RefusedError {
    fn from(fault: TokenRuleError) -> Self {
        match fault {
            TokenRuleError::Malformed(rule) => Self::because(Reason::TokenMalformed, rule),
            TokenRuleError::Algorithm => Reason::TokenAlgorithm.into(),
            TokenRuleError::TypeRefused => Reason::TokenTypeRefused.into(),
            TokenRuleError::Expired => Reason::TokenExpired.into(),
            TokenRuleError::NotYetValid => Reason::TokenNotYetValid.into(),
            TokenRuleError::TooOld => Reason::TokenTooOld.into(),
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

/// How long a caller should wait when the store did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl RefusedError {
    /// The ledger did not record a token.
    pub(crate) fn by_ledger(error: &sts_store::LedgerError) -> Self {
        Self::store_away(error, "the token could not be recorded right now; nothing was minted")
    }

    /// The ledger did not answer, so no verdict is possible. `undone` tells the caller what was not
    /// done.
    pub(crate) fn store_away(error: &sts_store::LedgerError, undone: &'static str) -> Self {
        tracing::error!(%error, "the store did not answer");
        Self::store_unavailable(undone)
    }

    /// What the store has is not known yet. `undone` tells the caller what was not done.
    pub(crate) fn store_unavailable(undone: &'static str) -> Self {
        Self { detail: Some(Cow::Borrowed(undone)), ..Self::for_now(Reason::StoreUnavailable, STORE_RETRY) }
    }
}
