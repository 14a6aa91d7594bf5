//! The `Authorization` header (RFC 7235, RFC 7617, RFC 6750).

use actix_web::HttpRequest;
use actix_web::http::header;
use data_encoding::BASE64;
use sts_service::{NO_CLIENT_AUTHENTICATION, Reason, RefusedError};
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
    Basic([(String, Zeroizing<String>); 2]),
    Bearer(Zeroizing<String>),
}

/// Reads the `Authorization` header. Refuses a second one, and one that is malformed.
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

/// The `client_id` in the header of a request to `/token`. Refuses credentials that would prove who
/// the client is.
pub(super) fn public_client(request: &HttpRequest) -> Result<Option<String>, Failure> {
    match credentials(request) {
        Ok(Credentials::None) => Ok(None),
        Ok(Credentials::PublicClient(client_id)) => Ok(client_id),
        Ok(_) | Err(_) => Err(RefusedError::because(Reason::InvalidClient, NO_CLIENT_AUTHENTICATION).into()),
    }
}

fn form_decoded(text: &str) -> String {
    let encoded = Zeroizing::new(format!("v={text}").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
