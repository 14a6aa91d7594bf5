//! How an entry's issuer is reached: whose certificates are trusted, which token is shown, which proxy is asked.
//!
//! The files are read for each fetch, so that a rotated token or certificate is used without a reload (the ones that Kubernetes
//! projects into a pod change while it runs).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sts_types::{CheckCode, SecretFileError, SecretOwner, read_secret_file, shown_path};
use url::{Origin, Url};

use crate::fetch_error::bounded;
use crate::{DocumentKind, EntrySpec, FetchError, FetchFault, KeySource, ProxyUrl};

/// The largest bundle of CA certificates that is read, in bytes. That of all public authorities has 220 kB.
const MAX_BUNDLE_BYTES: usize = 1024 * 1024;
/// The largest bearer token that is read, in bytes. Servers refuse longer heads.
const MAX_BEARER_BYTES: u64 = 16 * 1024;

/// What one fetch goes by.
pub(crate) struct Access {
    pub(crate) roots: Option<Roots>,
    pub(crate) proxy: Option<ProxyUrl>,
    bearer: Option<Bearer>,
}

/// The only roots that are trusted, as they were read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Roots {
    path: PathBuf,
    pem: Bytes,
}

/// A token, and the one origin that may see it.
struct Bearer {
    origin: Origin,
    header: HeaderValue,
}

impl Access {
    /// Reads what the spec names on disk. Blocks.
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

    /// The `Authorization` for `url` (RFC 6750 section 2.1): only the origin that the configuration names sees the token. A
    /// `jwks_uri` is what the issuer's document says, and may lead anywhere.
    pub(crate) fn authorization(&self, url: &Url) -> Option<&HeaderValue> {
        self.bearer.as_ref().filter(|bearer| bearer.origin == url.origin()).map(|bearer| &bearer.header)
    }

    /// Whether there is a token that `url` does not see.
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

    /// The certificates.
    ///
    /// # Errors
    /// What is wrong with the bundle.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates = CertificateDer::pem_slice_iter(&self.pem).collect::<Result<_, _>>();
        certificates.map_err(|error| format!("its certificates cannot be read: {}", bounded(&error.to_string())))
    }

    /// Whether these are what the same file held at another time.
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
    /// The rule that the file breaks.
    pub(crate) fn code(&self) -> CheckCode {
        match self {
            Self::File(error) => error.code(),
            Self::Content(_) => CheckCode::InvalidSecret,
        }
    }

    /// What is wrong with the file at `path`, which is named once.
    pub(crate) fn message(&self, path: &Path) -> String {
        match self {
            Self::File(error) => error.message(),
            Self::Content(what) => format!("{} {what}", shown_path(path)),
        }
    }

    /// What to do.
    pub(crate) fn help(&self) -> String {
        const CONTENT: &str = "write one line with the token into the file";
        match self {
            Self::File(error) => format!("{}; the file holds one line with the token", error.help()),
            Self::Content(_) => CONTENT.to_owned(),
        }
    }

    /// The same of a fetch, whose error names the path itself.
    fn of_fetch(&self, path: &Path) -> FetchError {
        let (fault, hint) = match self {
            Self::File(error) => (error.reason(), Some(error.help())),
            Self::Content(what) => (format!("it {what}"), None),
        };
        let kind = DocumentKind::BearerTokenFile;
        FetchError { hint, ..FetchError::new(kind, &path.to_string_lossy(), FetchFault::Unreadable(fault)) }
    }
}

/// The `Authorization` that the token in the file makes.
pub(crate) fn bearer(path: &Path) -> Result<HeaderValue, BearerError> {
    let bytes = read_secret_file(path, SecretOwner::Configured, MAX_BEARER_BYTES).map_err(BearerError::File)?.bytes;
    let token = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let token = token.strip_suffix(b"\r").unwrap_or(token);
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(BearerError::Content("is not one line of printable characters without spaces"));
    }
    let mut header = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| BearerError::Content("cannot be sent in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn read(kind: DocumentKind, path: &Path, most: usize) -> Result<Vec<u8>, FetchError> {
    let wrong = |fault| FetchError::new(kind, &path.to_string_lossy(), fault);
    let unreadable = |error: std::io::Error| wrong(FetchFault::Unreadable(bounded(&error.to_string())));
    // Before it is opened: opening a pipe waits.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong(FetchFault::Unreadable("not a regular file".to_owned())));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() > most {
        return Err(wrong(FetchFault::Unreadable(format!("larger than {most} bytes"))));
    }
    Ok(bytes)
}

fn unfit(kind: DocumentKind, path: &Path, what: &'static str) -> FetchError {
    FetchError::new(kind, &path.to_string_lossy(), FetchFault::Unreadable(what.to_owned()))
}
