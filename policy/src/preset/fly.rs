//! Fly.io machines: one issuer per organisation.

use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = plain("fly", known, include_str!("samples/fly.json"));

/// `https://oidc.fly.io/ORGANISATION`
fn known(url: &str) -> Option<Tenancy> {
    url.strip_prefix("https://oidc.fly.io/").filter(|org| is_segment(org)).map(|_| Tenancy::Sole)
}
