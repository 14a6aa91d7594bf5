//! The address of a directory server.

use rustls::pki_types::ServerName;
use url::Url;

/// `ldaps://host[:port]`, or `ldap://host[:port]`, which is used with StartTLS only.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    host: String,
    port: u16,
    start_tls: bool,
    name: ServerName<'static>,
}

/// Why a text is no address of a directory server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// It is no URL, or has another scheme.
    #[error("a directory's URL is `ldaps://host` or `ldap://host` (with StartTLS), with a port if needed")]
    Scheme,
    /// Its host is missing or malformed.
    #[error("the URL needs the host's name or IP address, as the server's certificate has it")]
    Host,
    /// It has user, password, path, query or fragment.
    #[error("the URL has only scheme, host and port: `base` and `bind` are keys of their own")]
    Parts,
}

impl ServerUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`ServerUrlError`] with the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let url = Url::parse(text).map_err(|_| ServerUrlError::Scheme)?;
        let (start_tls, default_port) = match url.scheme() {
            "ldaps" => (false, 636),
            "ldap" => (true, 389),
            _ => return Err(ServerUrlError::Scheme),
        };
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some();
        if has_more {
            return Err(ServerUrlError::Parts);
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| ServerUrlError::Host)?;
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(ServerUrlError::Host);
        }
        Ok(Self { text: text.to_owned(), host, port, start_tls, name })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port to connect to.
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The name or IP address that the certificate must be for.
    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// Whether TLS begins after a StartTLS request, not with the connection.
    pub(crate) const fn start_tls(&self) -> bool {
        self.start_tls
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_and_the_port_has_a_default() {
        for (text, address, start_tls) in [
            ("ldaps://dc1.corp.example.com", ("dc1.corp.example.com", 636), false),
            ("ldaps://127.0.0.1:1636/", ("127.0.0.1", 1636), false),
            ("ldap://dc1", ("dc1", 389), true),
            ("LDAP://[::1]:1389", ("::1", 1389), true),
        ] {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!((url.address(), url.start_tls()), (address, start_tls), "{text}");
        }
    }

    #[test]
    fn anything_but_host_and_port_is_refused() {
        for (text, error) in [
            ("dc1", ServerUrlError::Scheme),
            ("https://dc1", ServerUrlError::Scheme),
            ("ldapi://%2fvar%2frun", ServerUrlError::Scheme),
            ("ldaps://", ServerUrlError::Host),
            ("ldaps:///DC=corp", ServerUrlError::Parts),
            ("ldaps://dc1/DC=corp", ServerUrlError::Parts),
            ("ldaps://sts:secret@dc1", ServerUrlError::Parts),
            ("ldaps://dc1?cn", ServerUrlError::Parts),
            ("ldaps://dc1#x", ServerUrlError::Parts),
            ("ldaps://dc%201", ServerUrlError::Host),
            ("ldaps://dc1:0", ServerUrlError::Host),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
