//! Harness pipelines: one issuer per account.

use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = plain("harness", known, include_str!("samples/harness.json"));

/// `https://app.harness.io/ng/api/oidc/account/ACCOUNT`
fn known(url: &str) -> Option<Tenancy> {
    url.strip_prefix("https://app.harness.io/ng/api/oidc/account/")
        .filter(|account| is_segment(account))
        .map(|_| Tenancy::Sole)
}
