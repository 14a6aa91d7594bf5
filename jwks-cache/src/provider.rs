//! Requests to an OpenID provider beside those for its keys: its discovery document, and forms to
//! its endpoints. They obey the same rules: addresses, certificates, proxy, deadline, size.

use sts_types::EntryName;

use crate::discovery::key_set_url;
use crate::fetch::{fetch_discovery, post};
use crate::validate::is_loopback;
use crate::{DocumentKind, FetchError, FetchErrorKind, JwksCache};

/// A form for an endpoint.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// The endpoint, as the discovery document names it.
    pub url: &'a str,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The encoded form. It is never shown.
    pub body: &'a [u8],
}

/// What an endpoint answered, with any status.
#[derive(Clone, PartialEq, Eq)]
pub struct FormAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The body. It is never shown.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("url", &self.url).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FormAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl JwksCache {
    /// Fetches the discovery document of the entry with one issuer that has this name. The document
    /// names that issuer.
    ///
    /// # Errors
    /// As for a fetch of keys.
    pub async fn discovery_document(&self, entry: &EntryName) -> Result<Vec<u8>, FetchError> {
        let spec = self.spec(entry).ok_or_else(|| unknown(entry))?;
        fetch_discovery(self.context(), spec).await.map(|body| body.to_vec())
    }

    /// Checks that a person may be led to `url` under the rules of that entry: over https, or to
    /// loopback where the entry allows plain http.
    ///
    /// # Errors
    /// If they may not. The text says why.
    pub fn check_page(&self, entry: &EntryName, url: &str) -> Result<(), FetchError> {
        let spec = self.spec(entry).ok_or_else(|| unknown(entry))?;
        let refused = |what| FetchError::new(DocumentKind::Endpoint, url, FetchErrorKind::Endpoint(what));
        let url = key_set_url(url, spec.network).map_err(refused)?;
        let is_private = url.scheme() == "https" || url.host().is_some_and(|host| is_loopback(&host));
        if is_private { Ok(()) } else { Err(refused("is plain http to another machine; https is needed")) }
    }

    /// Posts a form under the rules of that entry. Follows no redirect, and never repeats the
    /// request.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn post_form(&self, entry: &EntryName, form: Form<'_>) -> Result<FormAnswer, FetchError> {
        let spec = self.spec(entry).ok_or_else(|| unknown(entry))?;
        post(self.context(), spec, &form).await
    }
}

fn unknown(entry: &EntryName) -> FetchError {
    FetchError::new(DocumentKind::Entry, entry.as_str(), FetchErrorKind::UnknownEntry)
}
