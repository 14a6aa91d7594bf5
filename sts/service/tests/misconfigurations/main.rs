//! What goes wrong when people set up federation, most of it taken from public reports. The first line of an explanation must
//! name the claim or setting at fault, the actual and the expected value, and what to change.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attacks;
mod field;
mod fixes;
mod issuers;
mod keys;
mod rules;
mod spelling;
mod support;
mod tokens;
mod ways;
