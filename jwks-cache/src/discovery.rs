//! The discovery document, where an issuer names the URL of its keys (OpenID Connect Discovery 1.0
//! section 4, RFC 8414 section 3.3).
//!
//! Only two members are read. A full metadata type would reject real issuers: GitHub, AWS and
//! Forgejo leave out members that the specification requires.

use serde::Deserialize;
use sts_types::Issuer;
use url::Url;

use crate::bounded::bounded;
use crate::{FetchErrorKind, NetworkRule};

/// Limit of a `jwks_uri`, in bytes.
const MAX_URI_BYTES: usize = 2048;

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// The URL of the discovery document: the issuer without one trailing slash, plus the well-known
/// path.
pub(crate) fn discovery_url(issuer: &Issuer) -> String {
    let issuer = issuer.as_str();
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// The `jwks_uri` of the discovery document of `issuer`.
///
/// # Errors
/// [`FetchErrorKind::NotDiscovery`] if it is not a discovery document, [`FetchErrorKind::OtherIssuer`] if
/// it names another issuer, [`FetchErrorKind::JwksUri`] if its `jwks_uri` must not be fetched.
pub fn read_discovery(document: &[u8], issuer: &Issuer, rule: NetworkRule) -> Result<Url, FetchErrorKind> {
    let document: Document = serde_json::from_slice(document).map_err(|_| FetchErrorKind::NotDiscovery)?;
    // OpenID Connect Discovery section 4.3 requires an exact match, so compare bytes, not URLs.
    if document.issuer != issuer.as_str() {
        return Err(FetchErrorKind::OtherIssuer { found: bounded(&document.issuer) });
    }
    key_set_url(&document.jwks_uri, rule).map_err(FetchErrorKind::JwksUri)
}

/// Parses a URL that keys may be fetched from. Its host may differ from the issuer's (Google's and
/// Entra's do). The address guard checks the address when it is dialled.
pub(crate) fn key_set_url(text: &str, rule: NetworkRule) -> Result<Url, &'static str> {
    if text.len() > MAX_URI_BYTES {
        return Err("is longer than 2,048 bytes");
    }
    let url = Url::parse(text).map_err(|_| "is not an absolute URL")?;
    match url.scheme() {
        "https" => {}
        "http" if rule.allow_http => {}
        "http" => return Err("is plain http; https is needed (or `allow_http: true`, for loopback addresses only)"),
        _ => return Err("is not an https URL"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password, which do not belong there");
    }
    if url.fragment().is_some() {
        return Err("has a fragment (`#...`), which is not part of a document's address");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRICT: NetworkRule = NetworkRule { allow_private_network: false, allow_http: false };

    fn issuer(text: &str) -> Issuer {
        Issuer::new(text).unwrap()
    }

    #[test]
    fn one_trailing_slash_of_the_issuer_gives_way() {
        for (text, want) in [
            ("https://a.example", "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/", "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/t/v2.0", "https://a.example/t/v2.0/.well-known/openid-configuration"),
            ("https://a.example/t//", "https://a.example/t//.well-known/openid-configuration"),
        ] {
            assert_eq!(discovery_url(&issuer(text)), want);
        }
    }

    #[test]
    fn c087_another_issuer_is_refused_however_alike() {
        let read = |found: &str| {
            let document = serde_json::json!({"issuer": found, "jwks_uri": "https://a.example/keys"}).to_string();
            read_discovery(document.as_bytes(), &issuer("https://a.example/t"), STRICT)
        };
        assert_eq!(read("https://a.example/t").map(String::from), Ok("https://a.example/keys".to_owned()));
        for found in [
            "https://a.example/t/",
            "https://a.example/T",
            "https://A.example/t",
            "https://b.example/t",
            "",
            "https://a.example:443/t",
        ] {
            assert_eq!(read(found), Err(FetchErrorKind::OtherIssuer { found: found.to_owned() }));
        }
    }

    #[test]
    fn c086_c092_only_a_clean_https_url_is_followed() {
        for bad in [
            "http://a.example/keys",
            "file:///etc/passwd",
            "data:application/json,{}",
            "unix:/run/x.sock",
            "gopher://a.example/",
            "ftp://a.example/",
            "//a.example/keys",
            "/keys",
            "https://",
            "https://user@a.example/keys",
            "https://user:secret@a.example/keys",
            "https://a.example/keys#x",
            &format!("https://a.example/{}", "k".repeat(65_536)),
        ] {
            assert!(key_set_url(bad, STRICT).is_err(), "{bad}");
        }
        assert!(key_set_url("https://keys.example:8443/a?b=c", STRICT).is_ok());
        assert!(key_set_url("http://127.0.0.1:1/keys", NetworkRule { allow_http: true, ..STRICT }).is_ok());
    }

    #[test]
    fn every_recorded_document_is_read_and_openidconnect_agrees_where_it_reads_it() {
        let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/issuers");
        let mut found = Vec::new();
        for (name, oracle_reads) in [
            ("github-actions", false),
            ("gitlab", true),
            ("google", true),
            ("aws-outbound", false),
            ("forgejo-actions", false),
        ] {
            let document = std::fs::read(recorded.join(format!("{name}.discovery.json"))).unwrap();
            let own: Document = serde_json::from_slice(&document).unwrap();
            let keys = read_discovery(&document, &issuer(&own.issuer), STRICT)
                .unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let oracle = serde_json::from_slice::<openidconnect::core::CoreProviderMetadata>(&document);
            assert_eq!(oracle.is_ok(), oracle_reads, "{name}: {:?}", oracle.err());
            if let Ok(oracle) = oracle {
                assert_eq!((oracle.issuer().as_str(), oracle.jwks_uri().url()), (own.issuer.as_str(), &keys), "{name}");
            }
            found.push(name);
        }
        let files =
            std::fs::read_dir(recorded).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        assert_eq!(
            files.filter(|name| name.ends_with(".discovery.json")).count(),
            found.len(),
            "every recorded document"
        );
    }

    #[test]
    fn what_is_not_a_discovery_document_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"issuer":"https://a.example"}"#,
            r#"{"issuer":1,"jwks_uri":"https://a.example/k"}"#,
        ] {
            assert_eq!(
                read_discovery(text.as_bytes(), &issuer("https://a.example"), STRICT),
                Err(FetchErrorKind::NotDiscovery),
                "{text}"
            );
        }
        let twice = br#"{"issuer":"https://b.example","issuer":"https://a.example","jwks_uri":"https://a.example/k"}"#;
        assert_eq!(read_discovery(twice, &issuer("https://a.example"), STRICT), Err(FetchErrorKind::NotDiscovery));
    }

    proptest! {
        #[test]
        fn c092_whatever_passes_is_https_without_credentials(text in "[a-z]{0,6}:?/{0,3}[ -~]{0,40}") {
            if let Ok(url) = key_set_url(&text, STRICT) {
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.host().is_some());
            }
        }
    }
}
