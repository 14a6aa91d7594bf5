//! TLS to issuers. Certificates are verified as usual, and an error names the refused certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::bounded::bounded;

/// A refused server certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of `{subject}`, issued by `{issuer}`, {why}")]
pub struct CertificateRefusedError {
    /// Its subject, or its first host name if the subject is empty; escaped and truncated.
    pub subject: String,
    /// Its issuer; escaped and truncated.
    pub issuer: String,
    /// What is wrong with it.
    pub why: CertificateFault,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// It expired on this day.
    Expired(String),
    /// It is valid from this day on.
    NotYetValid(String),
    /// It is for other names than the requested host.
    OtherName {
        /// The requested host.
        wanted: String,
        /// The names in the certificate; escaped and truncated.
        names: String,
    },
    /// No trusted authority signed it.
    UnknownAuthority {
        /// Whether it is self-signed.
        self_signed: bool,
    },
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl std::fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired(day) => write!(f, "expired on {day}"),
            Self::NotYetValid(day) => write!(f, "is not valid before {day}"),
            Self::OtherName { wanted, names } => write!(f, "is for {names} and not for `{wanted}`"),
            Self::UnknownAuthority { self_signed: true } => f.write_str("is signed by itself and not trusted here"),
            Self::UnknownAuthority { self_signed: false } => {
                f.write_str("is signed by an authority that is not trusted here")
            }
            Self::Other(text) => write!(f, "is refused: {text}"),
        }
    }
}

/// TLS configuration that trusts `roots` only, or the system's certificates. Blocks, because it
/// reads the system's certificates.
pub(crate) fn client_config(roots: Option<&[CertificateDer<'static>]>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner: Arc<dyn ServerCertVerifier> = match roots {
        None => Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider))?),
        Some(roots) => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root.clone())?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build();
            verifier.map_err(|error| Error::General(error.to_string()))?
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // `dangerous` is only the API's name: the wrapped verifier decides, ours rewords its
        // refusals.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamingVerifier(inner)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Delegates to the wrapped verifier and adds the certificate to its error.
#[derive(Debug)]
struct NamingVerifier(Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(|error| {
            match error {
                Error::InvalidCertificate(why) => {
                    let refused = name(end_entity, server_name, &why);
                    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
                }
                error => error,
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

fn name(certificate: &CertificateDer<'_>, host: &ServerName<'_>, why: &CertificateError) -> CertificateRefusedError {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        let unknown = || "a certificate that cannot be read".to_owned();
        return CertificateRefusedError {
            subject: unknown(),
            issuer: unknown(),
            why: CertificateFault::Other(bounded(&why.to_string())),
        };
    };
    let names = names(&parsed);
    let (subject, issuer) = (parsed.subject().to_string(), parsed.issuer().to_string());
    let self_signed = parsed.subject().as_raw() == parsed.issuer().as_raw();
    let day = |time: &x509_parser::time::ASN1Time| time.to_datetime().date().to_string();
    let validity = parsed.validity();
    let why = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired(day(&validity.not_after))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid(day(&validity.not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName {
                wanted: host.to_str().into_owned(),
                names: match names.as_slice() {
                    [] => "no name at all".to_owned(),
                    names => {
                        bounded(&names.iter().take(4).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                    }
                },
            }
        }
        // BadSignature: the authority has a trusted name but another key, for instance after its
        // renewal.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::UnknownAuthority { self_signed }
        }
        // For instance a CA certificate used as a server certificate.
        other if self_signed => CertificateFault::Other(bounded(&format!("it is signed by itself ({other})"))),
        other => CertificateFault::Other(bounded(&other.to_string())),
    };
    let subject = if subject.is_empty() { names.into_iter().next().unwrap_or_default() } else { subject };
    CertificateRefusedError { subject: bounded(&subject), issuer: bounded(&issuer), why }
}

/// Host names and addresses in the certificate.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(general_name).collect()
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match *octets {
            &[a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            octets => <[u8; 16]>::try_from(octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    }
}
