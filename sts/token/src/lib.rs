//! The evidence of one exchange. Each step consumes the one before, and each can be made in one place only:
//!
//! ```text
//! UnverifiedToken --key--> SignedToken --clock--> VerifiedClaims --rules--> Authorized --signer--> MintedToken
//! ```
//!
//! A token that comes again is a `RememberedToken`, whose signature need not be checked again. Beside it: our own signing keys ([`Keyring`]), and the tokens that we minted when they come back: verified by their signature
//! ([`OwnToken`]), or by the record that was made with them ([`PresentedToken`]).

mod authorize;
mod keyring;
mod mint;
mod origin;
mod own;
mod presented;
mod registered;
mod remembered;
mod spec;
mod status_list;
mod unverified;
mod verified;

pub use authorize::{Authorized, Denied};
pub use keyring::{HeldKey, KeyPhase, Keyring, KeyringError, KeyringSpec, MAX_AGE, check_key_files};
pub use mint::{MintContext, MintError, MintedToken, StatusReference};
pub use origin::ClaimedOrigin;
pub use own::{OwnToken, OwnTokenError};
pub use presented::PresentedToken;
pub use registered::{TokenFault, judge_unsigned_claims};
pub use remembered::{Remembered, RememberedToken};
pub use spec::TrustSpec;
pub use status_list::{StatusBits, StatusListSpec, sign_status_list};
pub use unverified::{SignedToken, UnverifiedToken};
pub use verified::{ObservedClaims, VerifiedClaims};
