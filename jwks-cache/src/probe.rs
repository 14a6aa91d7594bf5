//! Fetches the documents of an entry for a check. Nothing of the cache changes.

use reqwest::header::{AGE, DATE, HeaderMap, HeaderName};
use sts_types::UnixTime;

use crate::fetch::{
    Answered, Fetched, configured_key_set_url, probe_discovery, probe_key_set, read_file, without_query,
};
use crate::freshness::delta_seconds;
use crate::{DocumentKind, EntryRef, EntrySpec, FetchError, FetchErrorKind, JwksCache, KeySource, discovery};

/// One document of an entry, as a check found it.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentProbe {
    /// Which document.
    pub document: DocumentKind,
    /// Its URL without the query, or its path. Empty for keys in the configuration.
    pub location: String,
    /// The host that its URL names. `None` for a file and for keys in the configuration.
    pub host: Option<String>,
    /// What was found, or why it could not be read.
    pub outcome: Result<DocumentFound, FetchError>,
}

/// A document that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentFound {
    /// How many of its keys verify tokens; `None` for a discovery document.
    pub keys: Option<usize>,
    /// How many of its keys are not used.
    pub skipped: usize,
    /// How many seconds this machine's clock was ahead of the issuer's when the answer came. `None`
    /// without a `Date` header.
    pub clock_ahead: Option<i64>,
}

impl JwksCache {
    /// Fetches every document of `entry`, under the rules of a fetch for keys. Keeps nothing: keys,
    /// cool-downs and histories stay as they are. Stops at the first document that cannot be used.
    pub async fn probe<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Vec<DocumentProbe> {
        let entry = entry.into();
        let Some(spec) = self.spec_of(entry) else {
            let error = FetchError::new(DocumentKind::Entry, entry.name.as_str(), FetchErrorKind::UnknownEntry);
            return vec![failed(DocumentKind::Entry, String::new(), None, error)];
        };
        match &spec.source {
            KeySource::Discovery => self.probe_discovered(&spec).await,
            KeySource::Url(text) => vec![self.probe_url(&spec, text).await],
            KeySource::File(path) => {
                let location = path.to_string_lossy().into_owned();
                let outcome = read_file(path, &spec, None).await.1.map(|fetched| match fetched {
                    Fetched::File(set) => found(Some((set.keys.len(), set.skipped.len())), None),
                    _ => found(None, None),
                });
                vec![DocumentProbe { document: DocumentKind::File, location, host: None, outcome }]
            }
            // The cache was built, so its keys are usable.
            KeySource::Inline(_) => {
                let keys = self.cached(entry).map(|keys| (keys.len(), keys.set().skipped.len()));
                let (document, location) = (DocumentKind::Entry, String::new());
                vec![DocumentProbe { document, location, host: None, outcome: Ok(found(keys, None)) }]
            }
        }
    }

    async fn probe_discovered(&self, spec: &EntrySpec) -> Vec<DocumentProbe> {
        let location = discovery::discovery_url(&spec.issuer);
        let host = url::Url::parse(&location).ok().and_then(|url| host_of(&url));
        let document = DocumentKind::Discovery;
        match probe_discovery(self.context(), spec).await {
            Ok(Answered { document: keys, headers }) => {
                let outcome = Ok(found(None, self.clock_ahead(&headers)));
                vec![DocumentProbe { document, location, host, outcome }, self.probe_keys(spec, &keys).await]
            }
            Err(error) => vec![failed(document, location, host, error)],
        }
    }

    async fn probe_url(&self, spec: &EntrySpec, text: &str) -> DocumentProbe {
        match configured_key_set_url(text, spec) {
            Ok(url) => self.probe_keys(spec, &url).await,
            Err(error) => failed(DocumentKind::KeySet, error.location.clone(), None, error),
        }
    }

    async fn probe_keys(&self, spec: &EntrySpec, url: &url::Url) -> DocumentProbe {
        let outcome = probe_key_set(self.context(), spec, url).await.map(|Answered { document, headers }| {
            found(Some((document.keys.len(), document.skipped.len())), self.clock_ahead(&headers))
        });
        DocumentProbe { document: DocumentKind::KeySet, location: without_query(url), host: host_of(url), outcome }
    }

    /// By the answer that has just come.
    fn clock_ahead(&self, headers: &HeaderMap) -> Option<i64> {
        Some(self.context().environment.clock.now().since(date(headers)?))
    }
}

fn found(keys: Option<(usize, usize)>, clock_ahead: Option<i64>) -> DocumentFound {
    DocumentFound { keys: keys.map(|(usable, _)| usable), skipped: keys.map_or(0, |(_, skipped)| skipped), clock_ahead }
}

/// The server's clock when it sent an answer: its `Date`, plus the `Age` of one that a cache had kept
/// (RFC 9111 section 4.2.3).
fn date(headers: &HeaderMap) -> Option<UnixTime> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let age = text(AGE).and_then(|age| delta_seconds(age.trim())).unwrap_or(0);
    Some(UnixTime::from_rfc2822(text(DATE)?)?.plus(i64::try_from(age).unwrap_or(i64::MAX)))
}

fn failed(document: DocumentKind, location: String, host: Option<String>, error: FetchError) -> DocumentProbe {
    DocumentProbe { document, location, host, outcome: Err(error) }
}

fn host_of(url: &url::Url) -> Option<String> {
    url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_clock_of_a_server_is_its_date_and_how_long_a_cache_kept_the_answer() {
        let told = |of_date: Option<&str>, of_age: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(DATE, of_date), (AGE, of_age)] {
                value.into_iter().for_each(|value| drop(headers.insert(&name, HeaderValue::from_str(value).unwrap())));
            }
            date(&headers).map(UnixTime::as_secs)
        };
        let noon = "Sun, 29 Nov 2026 12:00:00 GMT";
        let at = 1_795_953_600;
        for (of_date, of_age, seconds) in [
            (Some(noon), None, Some(at)),
            (Some(noon), Some("90"), Some(at + 90)),
            (Some(noon), Some("-90"), Some(at)),
            (Some(noon), Some("soon"), Some(at)),
            (Some("noon"), Some("90"), None),
            (None, Some("90"), None),
        ] {
            assert_eq!(told(of_date, of_age), seconds, "{of_date:?} {of_age:?}");
        }
    }
}
