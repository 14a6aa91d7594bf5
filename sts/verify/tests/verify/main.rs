//! The verifier against an issuer on loopback, with real keys and real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests: what cannot go on is a failed test")]

mod bound_tokens;
mod introspection;
mod middleware;
mod status_lists;
mod support;
mod tokens;
