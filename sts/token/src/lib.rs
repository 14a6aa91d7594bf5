//! The steps of one exchange as types. Each step consumes the one before, and each type can be made
//! in one place only:
//!
//! ```text
//! UnverifiedToken --key--> SignedToken --clock--> VerifiedClaims --rules--> Authorized --signer--> MintedToken
//! ```
//!
//! A token that was verified before comes back as a `CachedToken`, and its signature need not be
//! checked again. This crate also has two checks for tokens that we minted: by signature
//! ([`OwnToken`]), or by the record made with them ([`PresentedToken`]).

mod api_key;
mod authorize;
mod delegation;
mod mint;
mod origin;
mod own;
mod parent;
mod possession;
mod presented;
mod provenance;
mod registered;
mod rule_error;
mod spec;
mod status_list;
mod unverified;
mod verified;
mod verified_token_cache;

pub use api_key::{StoredApiKey, VerifiedApiKey};
pub use authorize::{Authorized, CallerProof, Denied, DeniedProof};
pub use delegation::DelegationError;
pub use mint::{MintContext, MintError, MintedToken, StatusReference};
pub use origin::ClaimedOrigin;
pub use own::{OwnToken, OwnTokenError};
pub use parent::{MAX_DEPTH, VerifiedParent};
pub use possession::PossessionError;
pub use presented::PresentedToken;
pub use provenance::{Act, Confirmation, Credential, Federated, Provenance};
pub use registered::validate_unsigned_claims;
pub use rule_error::TokenRuleError;
pub use spec::TrustSpec;
pub use status_list::{StatusBits, StatusListSpec, sign_status_list};
pub use unverified::{SignedToken, UnverifiedToken};
pub use verified::{ObservedClaims, VerifiedClaims};
pub use verified_token_cache::{CachedToken, VerifiedTokenCache};
