//! Our metadata (RFC 8414, OpenID Connect Discovery). Every URL is absolute and built from `issuer`
//! alone. The document lists only what exists.

use serde_json::{Value, json};
use sts_types::{Algorithm, Digest256, Issuer};

/// Where the document is.
pub(super) const PATHS: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

/// The document, rendered once for each state of what a reload may change.
pub(crate) struct Metadata {
    with_api_keys: Rendered,
    without_api_keys: Rendered,
    /// The normalised path of the issuer.
    pub(crate) base: String,
}

/// A rendered document.
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) etag: String,
}

impl Metadata {
    pub(crate) fn new(issuer: &Issuer, algorithms: &[Algorithm]) -> Self {
        let render = |has_api_keys| {
            let text = describe(issuer, algorithms, has_api_keys).to_string();
            let Digest256(digest) = sts_jose::sha256(text.as_bytes());
            let etag = format!("\"{}\"", sts_jose::base64url(digest.get(..16).unwrap_or_default()));
            Rendered { text, etag }
        };
        let path = url::Url::parse(issuer.as_str()).map(|url| url.path().to_owned()).unwrap_or_default();
        Self {
            with_api_keys: render(true),
            without_api_keys: render(false),
            base: super::routing::normalise(path.trim_end_matches('/')).into_owned(),
        }
    }

    /// The document while API keys are on or off.
    pub(crate) const fn document(&self, has_api_keys: bool) -> &Rendered {
        if has_api_keys { &self.with_api_keys } else { &self.without_api_keys }
    }
}

fn describe(issuer: &Issuer, algorithms: &[Algorithm], has_api_keys: bool) -> Value {
    let root = issuer.as_str().strip_suffix('/').unwrap_or(issuer.as_str());
    let at = |path: &str| format!("{root}{path}");
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let secrets: &[&str] = if has_api_keys { &["client_secret_basic", "client_secret_post"] } else { &[] };
    let methods = [&["none", "private_key_jwt"], secrets].concat();
    json!({
        "issuer": issuer,
        // Required by RFC 8414 and OpenID Connect Discovery, and must not be empty. There is no
        // authorization endpoint that a response type could be asked of. Clouds that federate with an
        // issuer demand `id_token` (AWS IAM), and every platform's issuer has it for that reason.
        "response_types_supported": ["id_token"],
        "token_endpoint": at("/token"),
        "token_endpoint_auth_methods_supported": methods,
        // RFC 8414 section 2 requires it beside `private_key_jwt`. An assertion is the ID token of a
        // platform, so these are the algorithms that an issuer entry may have.
        "token_endpoint_auth_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        "grant_types_supported": sts_service::GrantType::ALL.map(sts_service::GrantType::uri),
        "dpop_signing_alg_values_supported": sts_jose::DPOP_ALGORITHMS.map(Algorithm::name),
        "jwks_uri": at("/.well-known/jwks.json"),
        "id_token_signing_alg_values_supported": names,
        "subject_types_supported": ["public"],
        // AWS IAM demands it. These are in every token of ours.
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"],
        "revocation_endpoint": at("/revoke"),
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "introspection_endpoint": at("/introspect"),
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "Bearer", "DPoP"],
        "introspection_signing_alg_values_supported": names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md01_md04_every_url_is_absolute_and_from_the_issuer_alone() {
        for (issuer, token, base) in [
            ("https://sts.example.com", "https://sts.example.com/token", ""),
            ("https://sts.example.com/", "https://sts.example.com/token", ""),
            ("https://sts.example.com/t1", "https://sts.example.com/t1/token", "/t1"),
        ] {
            let metadata = Metadata::new(&Issuer::new(issuer).unwrap(), &[Algorithm::ES256]);
            let document: Value = serde_json::from_str(&metadata.document(true).text).unwrap();
            assert_eq!(document["issuer"], issuer);
            assert_eq!(document["token_endpoint"], token);
            assert_eq!(metadata.base, base);
            assert!(
                document
                    .as_object()
                    .unwrap()
                    .values()
                    .all(|value| value.as_array().is_none_or(|list| !list.is_empty()))
            );
        }
    }
}
