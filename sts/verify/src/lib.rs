//! Offline verification of JWT access tokens (RFC 9068) for services that accept them.
//!
//! A [`Verifier`] is built once from the issuer and the service's own audience. It finds the
//! issuer's keys by discovery, keeps them fresh in the background, and verifies a token without a
//! lock and, while its key is known, without the network.
//!
//! ```no_run
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use sts_verify::Verifier;
//!
//! let verifier = Verifier::new("https://sts.example.com", "https://deploy.example.com")?;
//! let token = verifier.verify(token).await?;
//! println!("{} may create: {}", token.subject(), token.has_scope("deployments:create"));
//! # Ok(())
//! # }
//! ```
//!
//! - **Middleware**: `actix::RequireToken` and `tower::RequireTokenLayer` (features `actix` and
//!   `tower`) let only requests with a good token through, and answer the others as RFC 6750 says.
//! - **Revocation**: [`VerifierBuilder::status_list_max_age`] reads the issuer's Token Status Lists;
//!   [`VerifierBuilder::introspection`] asks the issuer where no list tells.
//! - **Proof of possession**: [`VerifierBuilder::dpop_origin`] accepts tokens that are bound to a key
//!   (RFC 9449). A bound token is never accepted without its proof.

#[cfg(feature = "actix")]
pub mod actix;
mod builder;
#[cfg(any(feature = "actix", feature = "tower"))]
mod credentials;
mod error;
mod http_client;
mod introspection;
mod issuer_keys;
mod media_type;
mod proofs;
#[cfg(any(feature = "actix", feature = "tower"))]
mod refusal;
mod status_lists;
#[cfg(feature = "tower")]
pub mod tower;
mod verified_token;
mod verifier;

pub use builder::{BuildError, VerifierBuilder};
pub use error::{TokenFault, VerifyError};
pub use introspection::Introspection;
pub use jwks_cache::KeySource;
#[cfg(any(feature = "actix", feature = "tower"))]
pub use refusal::Refusal;
pub use sts_claims::ClaimSet;
pub use sts_jose::{Algorithm, DpopError};
pub use verified_token::VerifiedToken;
pub use verifier::{BoundRequest, Verifier};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
