//! A client for other requests whose failures can be named as precisely as those of fetches.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::connect_error::Unresolved;
use crate::environment::SystemResolver;
use crate::fetch_error::bounded;
use crate::{Resolver as _, tls};

/// A builder of a client for https, of whose failures [`ConnectError::of`](crate::ConnectError::of) tells name resolution and
/// certificates. `ca_pem` is a bundle of the only authorities that are trusted, in place of the system's. Nothing is guarded
/// here: for fetches that an issuer can steer there is [`JwksCache`](crate::JwksCache). Blocks: the system's certificates are
/// read.
///
/// # Errors
/// What is wrong with the bundle, or that the system has no certificates.
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

/// The system's resolver, whose failures are told from those of connections.
struct NamingResolver;

impl reqwest::dns::Resolve for NamingResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let answer = SystemResolver.resolve(name.as_str());
        Box::pin(async move {
            let addresses = answer.await.map_err(Unresolved)?.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}
