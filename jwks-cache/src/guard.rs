//! Which addresses may be dialled.
//!
//! The guard judges the address that is dialled, not the name that led to it: it sits between the resolver and the connector,
//! so there is no second resolution that could answer otherwise (DNS rebinding). Hosts that are IP literals never reach the
//! resolver and are judged by [`Guard::check_literal`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use url::Host;

use crate::{NetworkRule, Resolver};

/// What an address is, as far as dialling it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Globally reachable.
    Public,
    /// RFC 1918, ULA, CGNAT.
    Private,
    /// 127.0.0.0/8 and `::1`.
    Loopback,
    /// Everything else: link-local (where cloud metadata lives), multicast, unspecified, documentation, translation
    /// prefixes whose target is another address, and what is reserved.
    Never,
}

/// A URL's host or one of its addresses may not be dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}")]
pub struct AddressRefused {
    address: IpAddr,
    what: &'static str,
}

impl AddressRefused {
    /// The address that was refused.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// The rule that one client dials by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Guard {
    public: bool,
    private: bool,
    loopback: bool,
}

impl Guard {
    /// The guard for a URL of that scheme: plain http reaches loopback only, whatever else the rule allows.
    pub(crate) fn new(rule: NetworkRule, https: bool) -> Self {
        Self {
            public: https,
            private: https && rule.allow_private_network,
            loopback: rule.allow_http || (https && rule.allow_private_network),
        }
    }

    /// Whether only https is spoken by whoever dials under this guard.
    pub(crate) fn is_https(self) -> bool {
        self.public
    }

    /// Judges one address.
    pub(crate) fn check(self, address: IpAddr) -> Result<(), AddressRefused> {
        let what = match reach(address) {
            Reach::Public if self.public => return Ok(()),
            Reach::Private if self.private => return Ok(()),
            Reach::Loopback if self.loopback => return Ok(()),
            Reach::Public => "not a loopback address, and plain http (`allow_http`) goes to loopback only",
            Reach::Private if !self.public => "a private address, and plain http (`allow_http`) goes to loopback only",
            Reach::Private => "a private address; set `allow_private_network: true` for this issuer if that is meant",
            Reach::Loopback => "a loopback address; set `allow_private_network: true` for this issuer if that is meant",
            Reach::Never => "an address that is never dialled (link-local, multicast, reserved or translated)",
        };
        Err(AddressRefused { address, what })
    }

    /// Judges a host that is an IP literal; names are judged when they are resolved.
    pub(crate) fn check_literal(self, host: &Host<&str>) -> Result<(), AddressRefused> {
        match host {
            Host::Ipv4(address) => self.check(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.check(IpAddr::V6(*address)),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// The resolver that a client dials through: one refused address refuses the name, so that a mixed answer cannot be raced.
pub(crate) struct GuardedResolver {
    pub(crate) guard: Guard,
    pub(crate) resolver: Arc<dyn Resolver>,
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let guard = self.guard;
        let answer = self.resolver.resolve(name.as_str());
        Box::pin(async move {
            let addresses = answer.await?;
            for address in &addresses {
                guard.check(*address)?;
            }
            // The connector puts the URL's port in the place of 0.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

/// Classifies an address by the IANA special-purpose registries (RFC 6890 and its updates).
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        // Alibaba Cloud's metadata service sits within CGNAT space, Azure's within public space.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Reach::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // "this network", link-local, IETF assignments, documentation, 6to4 relays, benchmarking, multicast and above.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Loopback;
    }
    match address.segments() {
        // The metadata services of AWS and Google within ULA space.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // IETF assignments with Teredo, documentation, 6to4.
        [0x2001, 0x0000..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0x0000..=0x0fff, ..] => {
            Reach::Never
        }
        // Global unicast. All else is not: unspecified, IPv4-mapped and -compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48),
        // discard, segment routing, link-local, site-local, multicast.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC_ONLY: NetworkRule = NetworkRule { allow_private_network: false, allow_http: false };
    const PRIVATE: NetworkRule = NetworkRule { allow_private_network: true, allow_http: false };
    const HTTP: NetworkRule = NetworkRule { allow_private_network: false, allow_http: true };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn c089_every_special_range_has_its_reach_up_to_its_edges() {
        for (want, addresses) in [
            (Reach::Loopback, "127.0.0.1 127.0.0.0 127.255.255.255 ::1"),
            (
                Reach::Private,
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 100.64.0.0 100.127.255.255 \
                 fc00:: fd00::1 fdff:ffff::1",
            ),
            (
                Reach::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.0 169.254.255.255 100.100.100.200 168.63.129.16 192.0.0.1 192.0.0.192 192.0.2.1 \
                 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 \
                 255.255.255.255 :: ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 ::2 fe80::1 febf::1 fec0::1 ff02::1 \
                 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:1ff::1 2001:db8::1 2002:7f00:1:: \
                 2002:808:808:: 3fff::1 3fff:fff::1 5f00::1 fd00:ec2::254 fd20:ce::254 4000::1 1fff::1",
            ),
            (
                Reach::Public,
                "8.8.8.8 1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 \
                 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 \
                 223.255.255.255 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00::1 2003::1 3ffe::1",
            ),
        ] {
            for address in addresses.split_whitespace() {
                assert_eq!(reach(ip(address)), want, "{address}");
            }
        }
    }

    #[test]
    fn c089_c091_bc09_a_rule_widens_the_guard_by_exactly_what_it_names() {
        let allowed = |rule, https| {
            ["8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "224.0.0.1", "::ffff:10.0.0.1"]
                .map(|address| Guard::new(rule, https).check(ip(address)).is_ok())
        };
        assert_eq!(allowed(PUBLIC_ONLY, true), [true, false, false, false, false, false]);
        assert_eq!(allowed(PRIVATE, true), [true, true, true, false, false, false]);
        assert_eq!(allowed(HTTP, true), [true, false, true, false, false, false]);
        assert_eq!(allowed(HTTP, false), [false, false, true, false, false, false]);
        assert_eq!(allowed(PRIVATE, false), [false; 6]);
        // The error names what is in the way, and no rule that would not help.
        let told = |rule, https, address| Guard::new(rule, https).check(ip(address)).unwrap_err().to_string();
        for address in ["8.8.8.8", "10.0.0.1"] {
            let text = told(HTTP, false, address);
            assert!(text.contains("`allow_http`") && !text.contains("allow_private_network"), "{text}");
        }
        for address in ["10.0.0.1", "127.0.0.1"] {
            assert!(told(PUBLIC_ONLY, true, address).contains("`allow_private_network: true`"));
        }
        let both = NetworkRule { allow_private_network: true, allow_http: true };
        assert_eq!(allowed(both, false), [false, false, true, false, false, false]);
    }

    #[test]
    fn c089_odd_spellings_of_an_address_are_judged_as_the_address() {
        let guard = Guard::new(PUBLIC_ONLY, true);
        for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "[::ffff:7f00:1]", "[::]", "0"] {
            let url = url::Url::parse(&format!("https://{host}/")).unwrap();
            assert!(guard.check_literal(&url.host().unwrap()).is_err(), "{host}");
        }
    }

    struct Fixed(Vec<IpAddr>);

    impl Resolver for Fixed {
        fn resolve(&self, _: &str) -> crate::ResolveFuture {
            let addresses = self.0.clone();
            Box::pin(async move { Ok(addresses) })
        }
    }

    #[tokio::test]
    async fn c089_one_refused_address_among_good_ones_refuses_the_name() {
        use reqwest::dns::Resolve as _;
        let resolve = async |addresses: &[&str]| {
            let resolver = Arc::new(Fixed(addresses.iter().map(|address| ip(address)).collect()));
            let guarded = GuardedResolver { guard: Guard::new(PUBLIC_ONLY, true), resolver };
            guarded
                .resolve("issuer.test".parse().unwrap())
                .await
                .map(Iterator::count)
                .map_err(|error| error.to_string())
        };
        assert_eq!(resolve(&["8.8.8.8", "1.1.1.1"]).await, Ok(2));
        assert!(resolve(&["8.8.8.8", "10.0.0.1"]).await.unwrap_err().contains("allow_private_network"));
    }
}
