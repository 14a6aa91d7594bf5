//! The client's address. Only configured proxies may set it in forwarding headers.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use sts_types::IpNetwork;

/// Where a request came from.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// The address that counts for the request.
    pub(crate) address: Option<IpAddr>,
    /// Whether that is the caller's address. It is our proxy's if the proxy does not tell another.
    pub(crate) is_known: bool,
}

/// The proxies in front of us.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    networks: Vec<IpNetwork>,
    /// Whether proxies, not we, protect the callers' tokens with TLS.
    end_tls: bool,
}

impl Proxies {
    /// The proxies in `networks`. `tls` says whether we end TLS ourselves.
    pub(crate) fn new(networks: Vec<IpNetwork>, tls: bool) -> Self {
        Self { end_tls: !tls && !networks.is_empty(), networks }
    }

    /// Whether the peer may send tokens here. Where proxies end TLS, a request from anybody else
    /// came unencrypted.
    pub(crate) fn admit(&self, request: &HttpRequest) -> bool {
        !self.end_tls || request.peer_addr().is_some_and(|peer| self.is_one(peer.ip()))
    }

    /// The caller's address. This is the peer's address, unless the peer is one of our proxies.
    /// Then it is the last address in `X-Forwarded-For` that is not a proxy of ours. Anything
    /// before that one comes from an unknown sender. If there is none, the proxy's address stands in,
    /// and says nothing of the caller.
    pub(crate) fn source(&self, request: &HttpRequest) -> Source {
        let known = |address| Source { address: Some(address), is_known: true };
        let Some(peer) = request.peer_addr() else { return Source { address: None, is_known: false } };
        let peer = peer.ip().to_canonical();
        if !self.is_one(peer) {
            return known(peer);
        }
        let unknown = Source { address: Some(peer), is_known: false };
        let fields: Vec<&[u8]> = request.headers().get_all("x-forwarded-for").map(HeaderValue::as_bytes).collect();
        for text in fields.iter().rev().flat_map(|field| field.rsplit(|byte| *byte == b',')) {
            match std::str::from_utf8(text).ok().and_then(|text| address(text.trim())) {
                Some(address) if self.is_one(address) => {}
                Some(address) => return known(address.to_canonical()),
                None => return unknown,
            }
        }
        unknown
    }

    /// Whether one of our proxies says that it ended TLS in front of this plain listener.
    pub(crate) fn ended_tls(&self, request: &HttpRequest) -> bool {
        let is_ours = request.peer_addr().is_some_and(|peer| self.is_one(peer.ip().to_canonical()));
        let mut lines = request.headers().get_all("x-forwarded-proto");
        is_ours && lines.next().is_some_and(|scheme| scheme == "https") && lines.next().is_none()
    }

    fn is_one(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
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

    fn proxies(networks: &[&str], tls: bool) -> Proxies {
        Proxies::new(networks.iter().map(|text| IpNetwork::parse(text).unwrap()).collect(), tls)
    }

    fn from(peer: &str, forwarded: &[&[u8]]) -> HttpRequest {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let mut request = TestRequest::get().peer_addr(peer);
        for value in forwarded {
            request = request.append_header(("x-forwarded-for", HeaderValue::from_bytes(value).unwrap()));
        }
        request.to_http_request()
    }

    #[test]
    fn c118_sb05_f9_a_forwarded_address_counts_from_our_proxies_only() {
        let proxies = proxies(&["10.0.0.0/8", "fd00::/64"], false);
        let source = |peer: &str, forwarded: &[&str]| {
            let forwarded: Vec<&[u8]> = forwarded.iter().map(|text| text.as_bytes()).collect();
            let Source { address, is_known } = proxies.source(&from(peer, &forwarded));
            // What stands for the caller without being its address is always a proxy's.
            assert_eq!(is_known, !proxies.is_one(address.unwrap()), "{peer} {forwarded:?}");
            address.unwrap().to_string()
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
        assert_eq!(source("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.1");
        // An IPv4 address has one form, whatever socket or proxy it came by.
        assert_eq!(source("::ffff:192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(source("::ffff:10.0.0.1", &["::ffff:203.0.113.9, ::ffff:10.0.0.2"]), "203.0.113.9");
        assert_eq!(source("fd00::1", &["2001:db8::1, fd00::2"]), "2001:db8::1");
        assert_eq!(source("fd00:0:0:1::1", &["2001:db8::1"]), "fd00:0:0:1::1");
    }

    #[test]
    fn f9_only_a_proxy_of_ours_says_that_the_caller_came_over_tls() {
        let proxies = proxies(&["10.0.0.0/8"], false);
        let request = |peer: &str, lines: &[&'static str]| {
            let mut request = TestRequest::get().peer_addr(SocketAddr::new(peer.parse().unwrap(), 1));
            for line in lines {
                request = request.append_header(("x-forwarded-proto", *line));
            }
            request.to_http_request()
        };
        for (peer, lines, is_tls) in [
            ("10.0.0.1", &["https"][..], true),
            ("::ffff:10.0.0.1", &["https"], true),
            ("192.0.2.1", &["https"], false),
            ("10.0.0.1", &["http"], false),
            ("10.0.0.1", &["https, http"], false),
            ("10.0.0.1", &["http", "https"], false),
            ("10.0.0.1", &["https", "http"], false),
            ("10.0.0.1", &[], false),
        ] {
            assert_eq!(proxies.ended_tls(&request(peer, lines)), is_tls, "{peer} {lines:?}");
        }
    }

    #[test]
    fn f9_a_field_that_is_no_text_hides_nothing_that_stands_behind_it() {
        let proxies = proxies(&["10.0.0.0/8"], false);
        let source = |forwarded: &[&[u8]]| proxies.source(&from("10.0.0.1", forwarded)).address.unwrap().to_string();
        assert_eq!(source(&[b"1.2.3.4", b"\xff, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(source(&[b"1.2.3.4", b"203.0.113.9, \xff"]), "10.0.0.1");
        assert_eq!(source(&[b"1.2.3.4", b""]), "10.0.0.1");
    }

    #[test]
    fn f9_where_proxies_end_tls_only_they_are_served() {
        let behind = proxies(&["10.1.2.3", "::ffff:10.1.2.4/128", "fd00::1"], false);
        for (peer, is_served) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.1.2.4", true),
            ("fd00::1", true),
            ("10.1.2.5", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("fd00::2", false),
        ] {
            assert_eq!(behind.admit(&from(peer, &[b"10.1.2.3"])), is_served, "{peer}");
            assert!(proxies(&["10.1.2.3"], true).admit(&from(peer, &[])), "whoever speaks TLS to us: {peer}");
            assert!(proxies(&[], false).admit(&from(peer, &[])), "no proxy is configured: {peer}");
        }
        assert!(!behind.admit(&TestRequest::get().to_http_request()));
    }
}
