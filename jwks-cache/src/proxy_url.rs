//! URL of an outbound proxy. It may contain credentials.

use url::Url;

/// An http or https URL of an outbound proxy. `Display` and `Debug` show no credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// Parses `http://[USER:PASSWORD@]HOST[:PORT]`, or the same with https.
    ///
    /// # Errors
    /// A text that says what is wrong. It does not repeat the URL, which may contain a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("is neither an http nor an https URL");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("has more than a scheme, a host and a port");
        }
        Ok(Self(url))
    }

    /// The URL with its credentials.
    pub(crate) fn expose(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl std::fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let proxy = ProxyUrl::parse("http://user:hunter2@proxy.example:3128").unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://proxy.example:3128 ProxyUrl(http://proxy.example:3128)");
        assert_eq!(proxy.expose().password(), Some("hunter2"));
    }

    #[test]
    fn only_the_url_of_a_host_is_a_proxy() {
        for bad in
            ["", "proxy.example:3128", "socks5://proxy.example", "http://", "https://p.example/x", "http://p.example?q"]
        {
            assert!(ProxyUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
