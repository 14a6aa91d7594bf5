//! The evidence of one exchange. Each step consumes the one before, and each can be made in one place only:
//!
//! ```text
//! UnverifiedToken --key--> SignedToken --clock--> VerifiedClaims --rules--> Authorized --signer--> MintedToken
//! ```
//!
//! Beside it: our own signing keys ([`Keyring`]), and the verification of tokens that we minted ([`OwnToken`]).

mod spec;

pub use spec::TrustSpec;
