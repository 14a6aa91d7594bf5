//! Azure DevOps pipelines: one issuer per organisation.

use super::platform::{Platform, Tenancy, plain};

pub(super) const PLATFORM: Platform = plain("azure-devops", known, include_str!("samples/azure_devops.json"));

/// `https://vstoken.dev.azure.com/ORGANISATION`
fn known(url: &str) -> Option<Tenancy> {
    url.strip_prefix("https://vstoken.dev.azure.com/").filter(|org| sts_types::is_uuid(org)).map(|_| Tenancy::Sole)
}
