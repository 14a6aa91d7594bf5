//! The evidence of one exchange. Each step consumes the one before, and each can be made in one place only:
//!
//! ```text
//! UnverifiedToken --key--> SignedToken --clock--> VerifiedClaims --rules--> Authorized --signer--> MintedToken
//! ```
//!
//! Beside it: our own signing keys ([`Keyring`]), and the verification of tokens that we minted ([`OwnToken`]).

mod authorize;
mod keyring;
mod mint;
mod own;
mod registered;
mod spec;
mod unverified;
mod verified;

pub use authorize::{Authorized, Denied};
pub use keyring::{HeldKey, KeyPhase, Keyring, KeyringError, KeyringSpec, MAX_AGE};
pub use mint::{MintContext, MintError, MintedToken};
pub use own::{OwnToken, OwnTokenError};
pub use registered::TokenFault;
pub use spec::TrustSpec;
pub use unverified::{SignedToken, UnverifiedToken};
pub use verified::VerifiedClaims;
