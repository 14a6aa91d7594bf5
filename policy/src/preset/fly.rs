//! Fly.io machines: one issuer per organisation.

use super::platform::{IssuerForm, Platform, plain, sole};

pub(super) const PLATFORM: Platform = plain("fly", "Fly.io", ISSUERS, include_str!("samples/fly.json"));

/// One issuer per organisation.
const ISSUERS: &[IssuerForm] = &[sole("https://oidc.fly.io/{organisation}")];
