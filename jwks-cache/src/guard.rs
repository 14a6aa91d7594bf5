//! Which addresses may be dialled.
//!
//! The guard checks the address that is dialled, not the host name. It sits between resolver and
//! connector, so no second resolution can return another address (DNS rebinding). IP literals never
//! reach the resolver; [`AddressGuard::check_literal`] checks them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use url::Host;

use crate::connect_error::UnresolvedNameError;
use crate::progress::Progress;
use crate::{NetworkRule, Resolver};

/// Classes of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressClass {
    /// Globally reachable.
    Public,
    /// RFC 1918, ULA, CGNAT.
    Private,
    /// 127.0.0.0/8 and `::1`.
    Loopback,
    /// Everything else: link-local (cloud metadata services), multicast, unspecified,
    /// documentation, tunnels that embed another address, and reserved ranges.
    Never,
}

/// A URL's host, or one of its addresses, must not be dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}{} is {what}", .inside.map(|inside| format!(" ({inside} behind NAT64)")).unwrap_or_default())]
pub struct AddressRefusedError {
    address: IpAddr,
    /// The IPv4 address that NAT64 translates it to.
    inside: Option<Ipv4Addr>,
    what: &'static str,
}

impl AddressRefusedError {
    /// The address that was refused.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// The address rule of one HTTP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressGuard {
    public: bool,
    private: bool,
    loopback: bool,
}

impl AddressGuard {
    /// The guard for a URL of that scheme. Plain http reaches loopback only, no matter what else
    /// the rule allows.
    pub(crate) fn new(rule: NetworkRule, https: bool) -> Self {
        Self {
            public: https,
            private: https && rule.allow_private_network,
            loopback: rule.allow_http || (https && rule.allow_private_network),
        }
    }

    /// Whether the client may speak https only.
    pub(crate) fn is_https(self) -> bool {
        self.public
    }

    pub(crate) fn check(self, address: IpAddr) -> Result<(), AddressRefusedError> {
        let what = match reach(address) {
            AddressClass::Public if self.public => return Ok(()),
            AddressClass::Private if self.private => return Ok(()),
            AddressClass::Loopback if self.loopback => return Ok(()),
            AddressClass::Public => "not a loopback address, and plain http (`allow_http`) goes to loopback only",
            AddressClass::Private if !self.public => {
                "a private address, and plain http (`allow_http`) goes to loopback only"
            }
            AddressClass::Private => {
                "a private address; set `allow_private_network: true` for this issuer if that is intended"
            }
            AddressClass::Loopback => {
                "a loopback address; set `allow_private_network: true` for this issuer if that is intended"
            }
            AddressClass::Never => "an address that is never dialled (link-local, multicast, reserved or translated)",
        };
        Err(AddressRefusedError { address, inside: inside(address), what })
    }

    /// Checks a host that is an IP literal. The resolver checks names.
    pub(crate) fn check_literal(self, host: &Host<&str>) -> Result<(), AddressRefusedError> {
        match host {
            Host::Ipv4(address) => self.check(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.check(IpAddr::V6(*address)),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// The guarded resolver of an HTTP client. One refused address refuses the whole name: with a mixed
/// answer the connector might otherwise pick the bad one.
pub(crate) struct GuardedResolver {
    pub(crate) guard: AddressGuard,
    pub(crate) resolver: Arc<dyn Resolver>,
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let guard = self.guard;
        Progress::resolving();
        let answer = self.resolver.resolve(name.as_str());
        Box::pin(async move {
            let addresses = answer.await.map_err(UnresolvedNameError)?;
            Progress::resolved(&addresses);
            for address in &addresses {
                guard.check(*address)?;
            }
            // The connector replaces port 0 with the URL's port.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

/// IPv4 blocks that are not public, by the IANA special-purpose registries (RFC 6890 and its
/// updates). The first block with an address decides.
const BLOCKS_V4: [(AddressClass, Ipv4Net); 18] = [
    (AddressClass::Loopback, v4([127, 0, 0, 0], 8)),
    // Metadata services: Alibaba Cloud's is in CGNAT space, Azure's is in public space.
    (AddressClass::Never, v4([100, 100, 100, 200], 32)),
    (AddressClass::Never, v4([168, 63, 129, 16], 32)),
    (AddressClass::Private, v4([10, 0, 0, 0], 8)),
    (AddressClass::Private, v4([172, 16, 0, 0], 12)),
    (AddressClass::Private, v4([192, 168, 0, 0], 16)),
    (AddressClass::Private, v4([100, 64, 0, 0], 10)),
    // This network.
    (AddressClass::Never, v4([0, 0, 0, 0], 8)),
    // Link-local.
    (AddressClass::Never, v4([169, 254, 0, 0], 16)),
    // IETF assignments.
    (AddressClass::Never, v4([192, 0, 0, 0], 24)),
    // Documentation.
    (AddressClass::Never, v4([192, 0, 2, 0], 24)),
    (AddressClass::Never, v4([198, 51, 100, 0], 24)),
    (AddressClass::Never, v4([203, 0, 113, 0], 24)),
    // 6to4 relays.
    (AddressClass::Never, v4([192, 88, 99, 0], 24)),
    // Benchmarking.
    (AddressClass::Never, v4([198, 18, 0, 0], 15)),
    // Multicast, and what is reserved above it.
    (AddressClass::Never, v4([224, 0, 0, 0], 4)),
    (AddressClass::Never, v4([240, 0, 0, 0], 4)),
    (AddressClass::Public, v4([0, 0, 0, 0], 0)),
];

/// IPv6 blocks, likewise. What is in none of them is never dialled: unspecified, IPv4-mapped and
/// IPv4-compatible, discard, segment routing, link-local, site-local, multicast.
const BLOCKS_V6: [(AddressClass, Ipv6Net); 9] = [
    (AddressClass::Loopback, v6([0, 0, 0, 0, 0, 0, 0, 1], 128)),
    // The metadata services of AWS and Google, in ULA space.
    (AddressClass::Never, v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32)),
    (AddressClass::Never, v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0], 32)),
    (AddressClass::Private, v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7)),
    // IETF assignments with Teredo.
    (AddressClass::Never, v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23)),
    // Documentation.
    (AddressClass::Never, v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32)),
    (AddressClass::Never, v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20)),
    // 6to4.
    (AddressClass::Never, v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)),
    // Global unicast.
    (AddressClass::Public, v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The class of `address`.
pub(crate) fn reach(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> AddressClass {
    let block = BLOCKS_V4.iter().find(|(_, block)| block.contains(&address));
    block.map_or(AddressClass::Never, |(class, _)| *class)
}

fn reach_v6(address: Ipv6Addr) -> AddressClass {
    reach_translated(address).unwrap_or_else(|| {
        let block = BLOCKS_V6.iter().find(|(_, block)| block.contains(&address));
        block.map_or(AddressClass::Never, |(class, _)| *class)
    })
}

/// The IPv4 address in the last 32 bits of an address with a NAT64 prefix (RFC 6052, RFC 8215).
fn inside(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    match address.segments() {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x0064, 0xff9b, 1, _, _, _, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// The class of the IPv4 address behind a NAT64 address. In an IPv6-only network, DNS64 returns
/// such an address for every host that has only IPv4.
fn reach_translated(address: Ipv6Addr) -> Option<AddressClass> {
    let last = inside(address.into())?;
    let octets = address.octets();
    // With the local-use prefix, a translator may place the IPv4 address elsewhere, around the zero
    // octet at index 8 (RFC 6052 section 2.2). No reading may be an address that must not be
    // dialled. A reading that starts with 0 is not a real address.
    let [_, _, _, _, _, _, a, b, _, c, d, e, f, ..] = octets;
    let others = match address.segments() {
        [_, _, 0, ..] => None,
        _ => Some([[a, b, c, d], [b, c, d, e], [c, d, e, f]]),
    };
    let others = others.into_iter().flatten().filter(|[first, ..]| *first != 0).map(Ipv4Addr::from);
    let strictest = others.chain([last]).map(reach_v4).max_by_key(|reach| match reach {
        AddressClass::Public => 0,
        AddressClass::Private => 1,
        AddressClass::Loopback | AddressClass::Never => 2,
    });
    // The translator's loopback is not ours.
    strictest.map(|reach| if reach == AddressClass::Loopback { AddressClass::Never } else { reach })
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
            (AddressClass::Loopback, "127.0.0.1 127.0.0.0 127.255.255.255 ::1"),
            (
                AddressClass::Private,
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 100.64.0.0 100.127.255.255 \
                 fc00:: fd00::1 fdff:ffff::1",
            ),
            (
                AddressClass::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.0 169.254.255.255 100.100.100.200 168.63.129.16 192.0.0.1 192.0.0.192 192.0.2.1 \
                 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 \
                 255.255.255.255 :: ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 ::2 fe80::1 febf::1 fec0::1 ff02::1 \
                 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:1ff::1 2001:db8::1 2002:7f00:1:: \
                 2002:808:808:: 3fff::1 3fff:fff::1 5f00::1 fd00:ec2::254 fd20:ce::254 4000::1 1fff::1",
            ),
            (
                AddressClass::Public,
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
                .map(|address| AddressGuard::new(rule, https).check(ip(address)).is_ok())
        };
        assert_eq!(allowed(PUBLIC_ONLY, true), [true, false, false, false, false, false]);
        assert_eq!(allowed(PRIVATE, true), [true, true, true, false, false, false]);
        assert_eq!(allowed(HTTP, true), [true, false, true, false, false, false]);
        assert_eq!(allowed(HTTP, false), [false, false, true, false, false, false]);
        assert_eq!(allowed(PRIVATE, false), [false; 6]);
        // The error names the address, and no setting that would not help.
        let message = |rule, https, address| AddressGuard::new(rule, https).check(ip(address)).unwrap_err().to_string();
        for address in ["8.8.8.8", "10.0.0.1"] {
            let text = message(HTTP, false, address);
            assert!(text.contains("`allow_http`") && !text.contains("allow_private_network"), "{text}");
        }
        for address in ["10.0.0.1", "127.0.0.1"] {
            assert!(message(PUBLIC_ONLY, true, address).contains("`allow_private_network: true`"));
        }
        let both = NetworkRule { allow_private_network: true, allow_http: true };
        assert_eq!(allowed(both, false), [false, false, true, false, false, false]);
    }

    #[test]
    fn fld19_an_address_behind_nat64_is_judged_by_the_ipv4_address_inside_it() {
        for (address, want) in [
            ("64:ff9b::8.8.8.8", AddressClass::Public),
            ("64:ff9b::140.82.121.3", AddressClass::Public),
            ("64:ff9b::10.0.0.1", AddressClass::Private),
            ("64:ff9b::172.16.0.1", AddressClass::Private),
            ("64:ff9b::192.168.1.1", AddressClass::Private),
            ("64:ff9b::100.64.0.1", AddressClass::Private),
            ("64:ff9b::127.0.0.1", AddressClass::Never),
            ("64:ff9b::169.254.169.254", AddressClass::Never),
            ("64:ff9b::168.63.129.16", AddressClass::Never),
            ("64:ff9b::100.100.100.200", AddressClass::Never),
            ("64:ff9b::0.0.0.0", AddressClass::Never),
            ("64:ff9b::224.0.0.1", AddressClass::Never),
            ("64:ff9b::255.255.255.255", AddressClass::Never),
            ("64:ff9b:1::8.8.8.8", AddressClass::Public),
            ("64:ff9b:1:fffe::10.0.0.1", AddressClass::Never),
            ("64:ff9b:1::10.0.0.1", AddressClass::Private),
            ("64:ff9b:1::127.0.0.1", AddressClass::Never),
            ("64:ff9b:1::169.254.169.254", AddressClass::Never),
            // Read at other offsets it is 10.0.0.1, 169.254.169.254 and 127.0.0.1.
            ("64:ff9b:1:a00:0:100:8.8.8.8", AddressClass::Private),
            ("64:ff9b:1:a9fe:a9:fe00:8.8.8.8", AddressClass::Never),
            ("64:ff9b:1::7f:0:808:808", AddressClass::Never),
            // Just outside the prefixes.
            ("64:ff9b:0:0:0:1:808:808", AddressClass::Never),
            ("64:ff9b:2::8.8.8.8", AddressClass::Never),
            ("64:ff9a::8.8.8.8", AddressClass::Never),
            // Other notations of an IPv4 address must not pass either.
            ("::ffff:8.8.8.8", AddressClass::Never),
            ("2002:808:808::", AddressClass::Never),
            ("2001:0:808:808::", AddressClass::Never),
        ] {
            assert_eq!(reach(ip(address)), want, "{address}");
        }
        let message = AddressGuard::new(PUBLIC_ONLY, true).check(ip("64:ff9b::10.0.0.1")).unwrap_err().to_string();
        assert!(
            message.contains("64:ff9b::a00:1 (10.0.0.1 behind NAT64)") && message.contains("allow_private_network"),
            "{message}"
        );
        assert!(AddressGuard::new(PRIVATE, true).check(ip("64:ff9b::10.0.0.1")).is_ok());
        // Plain http never leaves this host.
        for address in ["64:ff9b::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1"] {
            assert!(AddressGuard::new(HTTP, false).check(ip(address)).is_err(), "{address}");
        }
    }

    #[test]
    fn c089_odd_spellings_of_an_address_are_judged_as_the_address() {
        let guard = AddressGuard::new(PUBLIC_ONLY, true);
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
            let guarded = GuardedResolver { guard: AddressGuard::new(PUBLIC_ONLY, true), resolver };
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
