//! Paths to endpoints: one table for each listener, matched after one normalisation.

/// `path` with repeated slashes collapsed and a trailing one dropped. Nothing is decoded: an encoded path is another path.
pub(crate) fn normalise(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    clean
}

/// What the public listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    Revoke,
    Introspect,
    Metadata,
    KeySet,
    StatusList,
    Live,
    Ready,
}

/// The path of every status list.
const STATUS_LIST: &str = "/status/{list}";

impl Endpoint {
    /// Where each endpoint is.
    pub(crate) const PATHS: &[(&'static str, Self)] = &[
        ("/token", Self::Token),
        ("/revoke", Self::Revoke),
        ("/introspect", Self::Introspect),
        ("/.well-known/openid-configuration", Self::Metadata),
        ("/.well-known/oauth-authorization-server", Self::Metadata),
        ("/.well-known/jwks.json", Self::KeySet),
        ("/.well-known/jwks", Self::KeySet),
        (STATUS_LIST, Self::StatusList),
        ("/healthz", Self::Live),
        ("/readyz", Self::Ready),
    ];

    /// `Allow` of the endpoint.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Token | Self::Revoke | Self::Introspect => "POST",
            Self::Metadata | Self::KeySet | Self::StatusList | Self::Live | Self::Ready => "GET, HEAD",
        }
    }
}

/// The endpoint at `path`, which is normalised; `base` is the normalised path of our issuer, empty when it has none.
///
/// Every endpoint answers at the root and under `base`; the metadata also with `base` appended (RFC 8414 section 3.1).
pub(crate) fn endpoint(path: &str, base: &str) -> Option<Endpoint> {
    let inserted = || {
        let at = path.strip_suffix(base).filter(|_| !base.is_empty())?;
        at_root(at).filter(|endpoint| *endpoint == Endpoint::Metadata)
    };
    at_root(path).or_else(|| path.strip_prefix(base).filter(|_| !base.is_empty()).and_then(at_root)).or_else(inserted)
}

fn at_root(path: &str) -> Option<Endpoint> {
    if let Some(name) = path.strip_prefix("/status/") {
        return (!name.contains('/')).then_some(Endpoint::StatusList);
    }
    Endpoint::PATHS.iter().find(|(own, _)| *own == path).map(|(_, endpoint)| *endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md02_c117_paths_have_one_normal_form() {
        let at = |path: &str, base: &str| endpoint(&normalise(path), base);
        assert_eq!(at("//token/", ""), Some(Endpoint::Token));
        assert_eq!(at("/t1/status/1-0/", "/t1"), Some(Endpoint::StatusList));
        assert_eq!(at("/t1//token", "/t1"), Some(Endpoint::Token));
        assert_eq!(at("/token", "/t1"), Some(Endpoint::Token));
        assert_eq!(at("/.well-known/oauth-authorization-server/t1", "/t1"), Some(Endpoint::Metadata));
        assert_eq!(at("/t1/.well-known/openid-configuration", "/t1"), Some(Endpoint::Metadata));
        for nowhere in [
            "/t2/token",
            "/.well-known/oauth-authorization-server/t2",
            "/t1token",
            "/%74oken",
            "/a/../token",
            "/Token",
            "/token;x",
            "/token.",
            "/status",
            "/status/1-0/2",
            "/t2/status/1-0",
        ] {
            assert_eq!(at(nowhere, "/t1"), None, "{nowhere}");
        }
        assert_eq!(at("/.well-known/openid-configuration/t1", ""), None);
    }
}
