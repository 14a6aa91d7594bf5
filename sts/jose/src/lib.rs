//! The only crate of sts that uses cryptography: JWK, JWS, thumbprints, digests, MACs, randomness.
//!
//! Keys are parsed once ([`VerifyingKey`], [`SigningKey`]) and bound to exactly one algorithm at
//! that time (RFC 8725 section 3.1), so no header can choose how a key is used. `none`, HMAC
//! signatures, JWE and the JSON serialisation are not switched off: the types have no place for
//! them.
//!
//! ```
//! use sts_jose::{Algorithm, CompactJws, KeySet, Signer, SigningKey, sign_compact};
//!
//! let signer = SigningKey::generate(Algorithm::ES256)?;
//! let token = sign_compact(&signer, "at+jwt", br#"{"sub":"octo-deploy"}"#)?;
//!
//! let keys = KeySet::from_value(&serde_json::json!({ "keys": [signer.public_jwk()] }), &[Algorithm::ES256])?;
//! let jws = CompactJws::parse(&token)?;
//! let key = keys.keys.iter().find(|key| key.kid() == jws.header().kid.as_ref()).ok_or("no such key")?;
//! jws.verify(key)?;
//! assert_eq!(jws.payload(), br#"{"sub":"octo-deploy"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aead;
mod base64url;
mod compare;
mod digest;
mod dpop;
mod entropy;
mod jwk;
mod jws;
mod key_set;
mod roca;
mod seal;
mod sign;
mod signing_key;
mod small_order;
mod thumbprint;
mod unusable_key;
mod verifying_key;

pub use aead::{SealingKey, SealingKeyError};
pub use base64url::{base64url, decode_base64url};
pub use compare::constant_time_eq;
pub use digest::{Sha256, digest_of_parts, sha256};
pub use dpop::{DPOP_ALGORITHMS, DPOP_WINDOW, DpopError, DpopExpectation, DpopProof};
pub use entropy::OsEntropy;
pub use jwk::parse_jwk;
pub use jws::{CompactJws, JwsError, JwsHeader, MAX_TOKEN_BYTES};
pub use key_set::{KeySet, KeySetError, MAX_KEY_BYTES, MAX_KEYS, SkippedKey};
pub use seal::{HmacSeal, hmac_sha256};
pub use sign::{SignError, SignedCompact, Signer, Signing, SigningInput, sign_compact, sign_compact_digested};
pub use signing_key::{SigningKey, SigningKeyError};
pub use sts_types::Algorithm;
pub use unusable_key::UnusableKeyError;
pub use verifying_key::{BadSignature, VerifyingKey, VerifyingKeys};
