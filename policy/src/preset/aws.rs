//! AWS outbound federation: one issuer per account, RSA or P-384 as the caller picks.

use super::IssuerDefaults;
use super::platform::{DEFAULTS, Platform, Tenancy, plain};
use sts_types::Algorithm::{ES256, ES384, EdDSA, RS256};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { algorithms: &[RS256, ES256, EdDSA, ES384], ..DEFAULTS },
    ..plain("aws", known, include_str!("samples/aws.json"))
};

/// `https://UUID.tokens.sts.global.api.aws`
fn known(url: &str) -> Option<Tenancy> {
    let account = url.strip_prefix("https://")?.strip_suffix(".tokens.sts.global.api.aws")?;
    sts_types::is_uuid(account).then_some(Tenancy::Sole)
}
