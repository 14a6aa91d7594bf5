//! Spacelift runs: one issuer per account.

use super::platform::{IssuerForm, Platform, plain, sole};

pub(super) const PLATFORM: Platform = plain("spacelift", "Spacelift", ISSUERS, include_str!("samples/spacelift.json"));

/// One issuer per account.
const ISSUERS: &[IssuerForm] =
    &[sole("https://{account}.app.spacelift.io"), sole("https://{account}.app.us.spacelift.io")];
