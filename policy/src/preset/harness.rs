//! Harness pipelines: one issuer per account.

use super::platform::{IssuerForm, Platform, plain, sole};

pub(super) const PLATFORM: Platform = plain("harness", "Harness", ISSUERS, include_str!("samples/harness.json"));

/// One issuer per account.
const ISSUERS: &[IssuerForm] = &[sole("https://app.harness.io/ng/api/oidc/account/{account}")];
