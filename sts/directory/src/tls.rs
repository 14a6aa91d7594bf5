//! TLS to directory servers.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::failure::{DirectoryError, FailureCause};

/// A limit for files of authorities. The system's own has a quarter of a megabyte.
const MAX_CA_BYTES: u64 = 4 << 20;

/// Trusts the authorities in `ca_file` only, or those of the system. Blocks.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, DirectoryError> {
    let refused = |error: rustls::Error| DirectoryError::new(FailureCause::File, format!("the authorities: {error}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(refused)?;
    let builder = match ca_file {
        Some(path) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(path)?), provider).build();
            builder.with_webpki_verifier(verifier.map_err(|error| refused(rustls::Error::General(error.to_string())))?)
        }
        // `dangerous` is only the API's name: the verifier is the system's.
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(
            rustls_platform_verifier::Verifier::new(provider).map_err(refused)?,
        )),
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn roots(path: &Path) -> Result<RootCertStore, DirectoryError> {
    let fail = |what: String| {
        DirectoryError::new(FailureCause::File, format!("the file of authorities `{}` {what}", path.display()))
    };
    let length = std::fs::metadata(path).map_err(|error| fail(format!("cannot be read: {error}")))?.len();
    if length > MAX_CA_BYTES {
        return Err(fail(format!("is larger than {} MiB", MAX_CA_BYTES >> 20)));
    }
    let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| fail("is not PEM".to_owned()))?;
        store.add(certificate).map_err(|error| fail(format!("has a certificate that cannot be used: {error}")))?;
    }
    if store.is_empty() { Err(fail("has no certificate in PEM".to_owned())) } else { Ok(store) }
}

/// The failure of a handshake, with its cause as far as TLS tells it.
pub(crate) fn handshake_error(error: &std::io::Error) -> DirectoryError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let what = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the server's certificate is refused: {}", certificate(why))
        }
        Some(error) => format!("the TLS handshake failed: {error}"),
        None => format!("the server ended the TLS handshake ({error}): does this port speak TLS?"),
    };
    DirectoryError::new(FailureCause::Tls, what)
}

fn certificate(why: &CertificateError) -> String {
    match why {
        // An authority of the same name with another key has not signed it, either.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its authority is not trusted here; name the file of that authority as `ca_file`".to_owned()
        }
        other => other.to_string(),
    }
}
