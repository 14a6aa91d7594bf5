//! Spacelift runs: one issuer per account.

use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = plain("spacelift", known, include_str!("samples/spacelift.json"));

/// `https://ACCOUNT.app.spacelift.io`
fn known(url: &str) -> Option<Tenancy> {
    let account = url.strip_prefix("https://")?.strip_suffix(".app.spacelift.io")?;
    (is_segment(account) && !account.contains('.')).then_some(Tenancy::Sole)
}
