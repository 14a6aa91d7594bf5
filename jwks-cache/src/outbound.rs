//! An HTTP client for requests outside the cache that reports connection failures as precisely as a
//! fetch does.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::bounded::bounded;
use crate::connect_error::UnresolvedNameError;
use crate::environment::SystemResolver;
use crate::{Resolver as _, tls};

/// Builder of an https client. [`ConnectError::of`](crate::ConnectError::of) can tell a failed name
/// resolution and a refused certificate from its errors. `ca_pem` is a PEM bundle of the only
/// trusted authorities; without it, the system's are trusted. There is no address guard: use
/// [`JwksCache`](crate::JwksCache) for any URL that an issuer can influence. Blocks, because it
/// reads the system's certificates.
///
/// # Errors
/// A text that says what is wrong with the bundle, or that the system has no certificates.
pub fn client_builder(ca_pem: Option<&[u8]>) -> Result<reqwest::ClientBuilder, String> {
    let roots = ca_pem.map(|pem| {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err("not a bundle of certificates in PEM (`-----BEGIN CERTIFICATE-----`)".to_owned()),
        }
    });
    let roots = roots.transpose()?;
    let config = tls::client_config(roots.as_deref()).map_err(|error| match roots {
        None => format!("no TLS client: {}; are the system's CA certificates installed?", bounded(&error.to_string())),
        Some(_) => format!("its certificates cannot be used: {}", bounded(&error.to_string())),
    })?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config).dns_resolver(Arc::new(NamingResolver)))
}

/// The system's resolver. It marks its errors, so that they differ from those of a connection.
struct NamingResolver;

impl reqwest::dns::Resolve for NamingResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let answer = SystemResolver.resolve(name.as_str());
        Box::pin(async move {
            let addresses =
                answer.await.map_err(UnresolvedNameError)?.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}
