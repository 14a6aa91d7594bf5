//! A sign-in that has begun: what the callback needs, and the browser that it belongs to.

use serde::{Deserialize, Serialize};
use sts_types::Digest256;

/// Seconds within which a person has to come back from the provider.
pub(crate) const PENDING_SECONDS: i64 = 10 * 60;

/// The cookie that binds a sign-in to its browser. A page of another site leads to the callback, so it
/// cannot be `SameSite=Strict`. It opens nothing by itself.
const COOKIE: &str = "__Host-sts-sign-in";

/// A sign-in that has begun. It is stored under its `state` and the browser's cookie together.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingSignIn {
    /// The ID token must have it.
    pub(crate) nonce: String,
    /// The secret whose digest went to the provider (RFC 7636).
    pub(crate) verifier: String,
    /// The address that the provider leads back to.
    pub(crate) redirect_uri: String,
    /// The page to show then.
    pub(crate) return_to: String,
    /// The provider's terms when it began.
    pub(crate) terms: Digest256,
    /// The session that the browser had. The callback does not see its cookie, which is strict.
    pub(crate) replaces: Option<Digest256>,
}

impl std::fmt::Debug for PendingSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingSignIn").field("return_to", &self.return_to).finish_non_exhaustive()
    }
}

/// The browser's part of a sign-in.
pub(super) mod browser {
    use actix_web::http::header::{self, HeaderMap, HeaderName};

    use super::{COOKIE, PENDING_SECONDS};
    use crate::guard::cookie_value;

    /// The secret that the browser has.
    pub(in crate::sign_in) fn secret(headers: &HeaderMap) -> Option<&str> {
        cookie_value(headers, COOKIE)
    }

    /// The `Set-Cookie` of a sign-in that begins.
    pub(in crate::sign_in) fn cookie(secret: &str) -> (HeaderName, String) {
        let lasts = format!("Max-Age={PENDING_SECONDS}");
        (header::SET_COOKIE, format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax; {lasts}"))
    }

    /// The `Set-Cookie` of a sign-in that is over.
    pub(in crate::sign_in) fn no_cookie() -> (HeaderName, String) {
        (header::SET_COOKIE, format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
    }
}
