//! The address that a request came from. Forwarding headers are believed from configured proxies only (requirement SB-5).

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use sts_config::IpNetwork;

/// The proxies in front of us.
#[derive(Clone, Default)]
pub(crate) struct Proxies(Vec<IpNetwork>);

impl Proxies {
    pub(crate) fn new(networks: Vec<IpNetwork>) -> Self {
        Self(networks)
    }

    /// The caller's address: the peer's, or, when the peer is one of our proxies, the last address of `X-Forwarded-For` that is
    /// not. Whatever stands before that one was written by somebody we do not know.
    pub(crate) fn source(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        if !self.is_one(peer) {
            return Some(peer);
        }
        let headers: Vec<&str> =
            request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
        for text in headers.iter().rev().flat_map(|value| value.rsplit(',')) {
            match address(text.trim()) {
                Some(address) if self.is_one(address) => {}
                Some(address) => return Some(address),
                None => return Some(peer),
            }
        }
        Some(peer)
    }

    fn is_one(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn c118_sb05_a_forwarded_address_counts_from_our_proxies_only() {
        let proxies = Proxies::new(vec![IpNetwork::parse("10.0.0.0/8").unwrap()]);
        let source = |peer: &str, forwarded: &[&str]| {
            let mut request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
            for value in forwarded {
                request = request.append_header(("x-forwarded-for", *value));
            }
            proxies.source(&request.to_http_request()).unwrap().to_string()
        };
        assert_eq!(source("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(source("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(source("10.0.0.1", &["1.2.3.4, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(source("10.0.0.1", &["1.2.3.4", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(source("10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(source("10.0.0.1", &["[2001:db8::1]:5"]), "2001:db8::1");
        assert_eq!(source("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(source("10.0.0.1", &["203.0.113.9, junk"]), "10.0.0.1");
        assert_eq!(source("10.0.0.1", &[]), "10.0.0.1");
    }
}
