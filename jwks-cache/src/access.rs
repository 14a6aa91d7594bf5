//! How a fetch reaches an entry's issuer: trusted CA certificates, bearer token, proxy.
//!
//! Each fetch reads the files again, so a rotated token or certificate works without a reload.
//! Kubernetes rotates the files that it projects into a running pod.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sts_types::{CheckCode, SecretFileError, SecretOwner, read_secret_file, shown_path};
use url::{Origin, Url};

use crate::bounded::bounded;
use crate::{DocumentKind, EntrySpec, FetchError, FetchErrorKind, KeySource, ProxyUrl};

/// Size limit of a CA bundle, in bytes. A bundle of all public authorities has 220 kB.
const MAX_BUNDLE_BYTES: usize = 1024 * 1024;
/// Size limit of a bearer token, in bytes. Servers refuse longer request headers.
const MAX_BEARER_BYTES: u64 = 16 * 1024;

/// CA certificates, proxy and bearer token of one fetch.
pub(crate) struct Access {
    pub(crate) roots: Option<Roots>,
    pub(crate) proxy: Option<ProxyUrl>,
    bearer: Option<Bearer>,
}

/// The only trusted roots of an entry, as read from its `ca_file`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots {
    path: PathBuf,
    pem: Bytes,
}

/// A bearer token and the one origin that may receive it.
struct Bearer {
    origin: Origin,
    header: HeaderValue,
}

impl Access {
    /// Reads the files that the spec names. Blocks.
    pub(crate) fn read(spec: &EntrySpec) -> Result<Self, FetchError> {
        Ok(Self {
            roots: spec.ca_file.as_deref().map(Roots::read).transpose()?,
            proxy: spec.proxy.clone(),
            bearer: match (&spec.bearer_token_file, configured_origin(spec)) {
                (Some(path), Some(origin)) => {
                    Some(Bearer { origin, header: bearer(path).map_err(|error| error.of_fetch(path))? })
                }
                _ => None,
            },
        })
    }

    /// The `Authorization` header for `url` (RFC 6750 section 2.1). Only the configured origin
    /// receives the token: the issuer's document chooses `jwks_uri`, which may point anywhere.
    pub(crate) fn authorization(&self, url: &Url) -> Option<&HeaderValue> {
        self.bearer.as_ref().filter(|bearer| bearer.origin == url.origin()).map(|bearer| &bearer.header)
    }

    /// Whether the entry has a token that must not be sent to `url`.
    pub(crate) fn withholds_bearer(&self, url: &Url) -> bool {
        self.bearer.is_some() && self.authorization(url).is_none()
    }
}

impl Roots {
    fn read(path: &Path) -> Result<Self, FetchError> {
        let kind = DocumentKind::CaFile;
        let pem: Bytes = read(kind, path, MAX_BUNDLE_BYTES)?.into();
        let roots = Self { path: path.to_owned(), pem };
        match roots.certificates() {
            Ok(certificates) if !certificates.is_empty() => Ok(roots),
            _ => Err(unfit(kind, path, "not a bundle of certificates in PEM (`-----BEGIN CERTIFICATE-----`)")),
        }
    }

    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates = CertificateDer::pem_slice_iter(&self.pem).collect::<Result<_, _>>();
        certificates.map_err(|error| format!("its certificates cannot be read: {}", bounded(&error.to_string())))
    }

    /// Whether `other` is an earlier or later version of the same CA file.
    pub(crate) fn is_other_version_of(&self, other: &Self) -> bool {
        self.path == other.path && self.pem != other.pem
    }
}

fn configured_origin(spec: &EntrySpec) -> Option<Origin> {
    let text = match &spec.source {
        KeySource::Discovery => spec.issuer.as_str(),
        KeySource::Url(url) => url,
        KeySource::File(_) | KeySource::Inline(_) => return None,
    };
    Url::parse(text).ok().map(|url| url.origin())
}

/// Why a bearer token cannot be read from its file.
pub(crate) enum BearerError {
    File(SecretFileError),
    Content(&'static str),
}

impl BearerError {
    pub(crate) fn code(&self) -> CheckCode {
        match self {
            Self::File(error) => error.code(),
            Self::Content(_) => CheckCode::InvalidSecret,
        }
    }

    /// The fault, with the path.
    pub(crate) fn message(&self, path: &Path) -> String {
        match self {
            Self::File(error) => error.message(),
            Self::Content(what) => format!("{} {what}", shown_path(path)),
        }
    }

    pub(crate) fn help(&self) -> String {
        const CONTENT: &str = "write one line with the token into the file";
        match self {
            Self::File(error) => format!("{}; the file holds one line with the token", error.help()),
            Self::Content(_) => CONTENT.to_owned(),
        }
    }

    /// The same fault as a [`FetchError`], which names the path itself.
    fn of_fetch(&self, path: &Path) -> FetchError {
        let (fault, hint) = match self {
            Self::File(error) => (error.reason(), Some(error.help())),
            Self::Content(what) => (format!("it {what}"), None),
        };
        let kind = DocumentKind::BearerTokenFile;
        FetchError { hint, ..FetchError::new(kind, &path.to_string_lossy(), FetchErrorKind::Unreadable(fault)) }
    }
}

/// The `Authorization` header with the token in the file.
pub(crate) fn bearer(path: &Path) -> Result<HeaderValue, BearerError> {
    let bytes = read_secret_file(path, SecretOwner::Configured, MAX_BEARER_BYTES).map_err(BearerError::File)?.bytes;
    let token = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let token = token.strip_suffix(b"\r").unwrap_or(token);
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(BearerError::Content("is not one line of printable characters without spaces"));
    }
    let mut header = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| BearerError::Content("cannot be sent in a header"))?;
    // Debug output of the request must not show the token.
    header.set_sensitive(true);
    Ok(header)
}

fn read(kind: DocumentKind, path: &Path, limit: usize) -> Result<Vec<u8>, FetchError> {
    let wrong = |fault| FetchError::new(kind, &path.to_string_lossy(), fault);
    let unreadable = |error: std::io::Error| wrong(FetchErrorKind::Unreadable(bounded(&error.to_string())));
    // Check before opening: opening a named pipe blocks.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong(FetchErrorKind::Unreadable("not a regular file".to_owned())));
    }
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file that is too long.
    File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() > limit {
        return Err(wrong(FetchErrorKind::Unreadable(format!("larger than {limit} bytes"))));
    }
    Ok(bytes)
}

fn unfit(kind: DocumentKind, path: &Path, what: &'static str) -> FetchError {
    FetchError::new(kind, &path.to_string_lossy(), FetchErrorKind::Unreadable(what.to_owned()))
}
