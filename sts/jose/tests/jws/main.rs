//! Signed tokens as an attacker, a sloppy issuer and another library make them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy sees only #[test] functions as tests"
)]

mod attacks;
mod forge;
mod header;
mod oracle;
