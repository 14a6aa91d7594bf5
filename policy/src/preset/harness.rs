//! Harness pipelines: one issuer per account.

use super::platform::{IssuerForm, Platform, plain, sole};

pub(super) const PLATFORM: Platform = plain("harness", "Harness", ISSUERS, include_str!("samples/harness.json"));

/// One issuer per account, on the host of the account's cluster.
const ISSUERS: &[IssuerForm] = &[
    sole("https://app.harness.io/ng/api/oidc/account/{account}"),
    sole("https://app2.harness.io/ng/api/oidc/account/{account}"),
    sole("https://app3.harness.io/ng/api/oidc/account/{account}"),
    sole("https://app4.harness.io/ng/api/oidc/account/{account}"),
    sole("https://app.eu.harness.io/ng/api/oidc/account/{account}"),
];
