//! Checks a certificate as its clients will: its dates and its names.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use sts_config::Settings;
use sts_types::{CheckCode, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why clients will not accept a certificate that matches its key. The texts continue a sentence
/// about the certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateProblem {
    #[error("expired at {0}")]
    Expired(String),
    #[error("is not valid before {0}")]
    NotYetValid(String),
    #[error("does not name `{0}`, the host of `issuer` that clients connect to")]
    OtherHost(String),
}

impl CertificateProblem {
    /// The check code of this problem.
    pub(crate) const fn code(&self) -> CheckCode {
        match self {
            Self::Expired(_) => CheckCode::CertificateExpired,
            Self::NotYetValid(_) => CheckCode::CertificateNotYetValid,
            Self::OtherHost(_) => CheckCode::CertificateWrongHost,
        }
    }

    /// What to do about it.
    pub(crate) const fn help(&self) -> &'static str {
        match self {
            Self::Expired(_) => "renew it",
            Self::NotYetValid(_) => "wait until then, or correct this machine's clock",
            Self::OtherHost(_) => "get a certificate that names it, or correct `issuer`",
        }
    }
}

/// The problems of the leaf certificate at `now`. `host` is the name that clients connect to, if
/// known.
pub(crate) fn problems(leaf: &CertificateDer<'_>, now: UnixTime, host: Option<&str>) -> Vec<CertificateProblem> {
    let mut found = Vec::new();
    // A certificate that this parser cannot read gets no check of its dates. Loading its key and
    // its clients judge it.
    if let Some(Validity { not_before, not_after }) = validity(leaf) {
        if now > not_after {
            found.push(CertificateProblem::Expired(rfc3339(not_after)));
        } else if now < not_before {
            found.push(CertificateProblem::NotYetValid(rfc3339(not_before)));
        }
    }
    if let Some(host) = host
        && let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(leaf), ServerName::try_from(host))
        && verify_server_name(&parsed, &name).is_err()
    {
        found.push(CertificateProblem::OtherHost(host.to_owned()));
    }
    found
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

/// When a certificate is valid. `None` if it cannot be read.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        not_before: UnixTime::from_secs(validity.not_before.timestamp()),
        not_after: UnixTime::from_secs(validity.not_after.timestamp()),
    })
}

fn rfc3339(time: UnixTime) -> String {
    time.to_rfc3339().unwrap_or_default()
}

/// The host that clients of the public listener connect to. Unknown behind a proxy that ends TLS.
pub(crate) fn public_host(settings: &Settings) -> Option<String> {
    if settings.behind_tls_proxy.is_empty() { issuer_host(settings.issuer.as_str()) } else { None }
}

fn issuer_host(issuer: &str) -> Option<String> {
    let url = url::Url::parse(issuer).ok()?;
    let host = url.host_str()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld23_dates_and_names_are_judged() {
        let made = rcgen::generate_simple_self_signed(["sts.example.com".to_owned(), "*.apps.example.com".to_owned()])
            .unwrap();
        let leaf = made.cert.der();
        let judge = |now: i64, host: &str| problems(leaf, UnixTime::from_secs(now), Some(host));
        // rcgen's own dates: 1975 to 4096.
        let now = 1_800_000_000;
        assert!(judge(now, "sts.example.com").is_empty());
        assert!(judge(now, "a.apps.example.com").is_empty());
        for other in ["example.com", "a.b.apps.example.com", "127.0.0.1", "sts.example.com.evil.example"] {
            assert!(matches!(judge(now, other).as_slice(), [CertificateProblem::OtherHost(_)]), "{other}");
        }
        assert!(matches!(judge(100_000_000_000, "sts.example.com").as_slice(), [CertificateProblem::Expired(_)]));
        assert!(matches!(judge(0, "sts.example.com").as_slice(), [CertificateProblem::NotYetValid(_)]));
    }

    #[test]
    fn the_host_of_an_issuer_is_what_certificates_name() {
        assert_eq!(issuer_host("https://sts.example.com:8443/a").as_deref(), Some("sts.example.com"));
        assert_eq!(issuer_host("http://[::1]:8080").as_deref(), Some("::1"));
    }
}
