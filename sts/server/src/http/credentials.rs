//! The `Authorization` header (RFC 7235, RFC 7617, RFC 6750).

use actix_web::HttpRequest;
use actix_web::http::header;
use data_encoding::BASE64;
use sts_service::{AuthorizationScheme, BasicCredentials, NOT_BASIC, PresentedAccessToken, Reason, RefusedError};
use zeroize::Zeroizing;

use super::Failure;

/// The credentials of a request.
pub(crate) enum Credentials {
    None,
    /// Basic with an empty password, which OAuth libraries send by default for a client without a
    /// secret. It proves nothing. The user name, form-decoded (RFC 6749 section 2.3.1), is a
    /// `client_id`.
    PublicClient(Option<String>),
    /// Name and secret in both readings: as sent, which most clients mean, and form-decoded, as RFC
    /// 6749 section 2.3.1 demands.
    Basic(BasicCredentials),
    Bearer(Zeroizing<String>),
    /// A token that is bound to a key (RFC 9449 section 7.1). The proof is in the header `DPoP`.
    Dpop(Zeroizing<String>),
}

impl Credentials {
    /// The access token, if the credentials are one. `proofs` are the values of the header `DPoP`,
    /// `method` and `uri` the request that they must be made for.
    pub(crate) fn access_token<'a>(
        &'a self,
        proofs: &'a [&'a str],
        method: &'a str,
        uri: &'a str,
    ) -> Option<PresentedAccessToken<'a>> {
        let (token, scheme) = match self {
            Self::Bearer(token) => (token, AuthorizationScheme::Bearer),
            Self::Dpop(token) => (token, AuthorizationScheme::Dpop { proofs, method, uri }),
            Self::None | Self::PublicClient(_) | Self::Basic(_) => return None,
        };
        Some(PresentedAccessToken { token, scheme })
    }
}

/// Reads the `Authorization` header. Refuses a second one, and one that is malformed.
///
/// Actix has no typed header for it. The one of `actix-web-httpauth` takes the first of two headers,
/// and reads no DPoP.
pub(crate) fn credentials(request: &HttpRequest) -> Result<Credentials, Failure> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(Credentials::None) };
    if values.next().is_some() {
        return Err(
            RefusedError::because(Reason::RequestMalformed, "there is more than one Authorization header").into()
        );
    }
    let broken =
        || Failure::from(RefusedError::because(Reason::RequestMalformed, "the Authorization header is malformed"));
    // One space, then token68: no tab, no second space, no comma (Keycloak GHSA-gv94-wp4h-vv8p).
    let (scheme, rest) = value.to_str().map_err(|_| broken())?.split_once(' ').ok_or_else(broken)?;
    let token68 = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if rest.is_empty() || !rest.bytes().all(token68) {
        return Err(broken());
    }
    if scheme.eq_ignore_ascii_case("Bearer") {
        Ok(Credentials::Bearer(Zeroizing::new(rest.to_owned())))
    } else if scheme.eq_ignore_ascii_case("DPoP") {
        Ok(Credentials::Dpop(Zeroizing::new(rest.to_owned())))
    } else if scheme.eq_ignore_ascii_case("Basic") {
        let wrong = || Failure::from(Reason::InvalidClient);
        let decoded = Zeroizing::new(BASE64.decode(rest.as_bytes()).map_err(|_| wrong())?);
        let text = std::str::from_utf8(&decoded).map_err(|_| wrong())?;
        let (name, secret) = text.split_once(':').ok_or_else(wrong)?;
        if secret.is_empty() {
            return Ok(Credentials::PublicClient(Some(form_decoded(name)).filter(|name| !name.is_empty())));
        }
        let sent = (name.to_owned(), Zeroizing::new(secret.to_owned()));
        Ok(Credentials::Basic([sent, (form_decoded(name), Zeroizing::new(form_decoded(secret)))]))
    } else {
        Err(Reason::InvalidClient.into())
    }
}

/// What the `Authorization` header of a request to `/token` says of the client.
pub(super) enum ClientHeader {
    Nothing,
    /// A name that proves nothing.
    Name(String),
    /// Name and secret, for the grant to judge.
    Secret(BasicCredentials),
}

/// Reads the client of a request to `/token`. Refuses credentials that no grant takes.
pub(super) fn client(request: &HttpRequest) -> Result<ClientHeader, Failure> {
    match credentials(request) {
        Ok(Credentials::None | Credentials::PublicClient(None)) => Ok(ClientHeader::Nothing),
        Ok(Credentials::PublicClient(Some(client_id))) => Ok(ClientHeader::Name(client_id)),
        Ok(Credentials::Basic(readings)) => Ok(ClientHeader::Secret(readings)),
        Ok(Credentials::Bearer(_) | Credentials::Dpop(_)) | Err(_) => {
            Err(RefusedError::because(Reason::InvalidClient, NOT_BASIC).into())
        }
    }
}

/// The values of the header `DPoP`. A value that is no text becomes one that is no proof.
pub(crate) fn dpop_proofs(request: &HttpRequest) -> Vec<&str> {
    request.headers().get_all("DPoP").map(|value| value.to_str().unwrap_or_default()).collect()
}

fn form_decoded(text: &str) -> String {
    let encoded = Zeroizing::new(format!("v={text}").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
