//! Blocks of IP addresses.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpNetwork(IpNet);

impl IpNetwork {
    /// Parses `ADDRESS/PREFIX` or a single address. `None` if the text is neither, or has host bits
    /// set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        // The standard library is stricter than `IpNet` about how an address is written.
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = match prefix {
            None if address.is_ipv4() => 32,
            None => 128,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        // `contains` compares an IPv4-mapped address as IPv4, so a mapped block becomes an IPv4
        // block.
        let network = match (address.to_canonical(), prefix.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => IpNet::new(v4, prefix),
            _ => IpNet::new(address, prefix),
        };
        network.ok().filter(|network| network.trunc() == *network).map(Self)
    }

    /// Whether the block is larger than one subnet: an IPv4 /24 or an IPv6 /64.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.0.prefix_len() < if self.0.addr().is_ipv4() { 24 } else { 64 }
    }

    /// Whether `address` is in the block. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<IpNetwork> for String {
    fn from(network: IpNetwork) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for IpNetwork {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a block of addresses is `ADDRESS/PREFIX` without host bits, or one address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_own_addresses_only() {
        let has = |network: &str, address: &str| IpNetwork::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.1.2"));
        assert!(!has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(!has("0.0.0.0/0", "::1"));
        assert!(has("0.0.0.0/0", "255.255.255.255"));
        assert!(has("::/0", "fe80::1"));
        assert!(has("fd00::/8", "fdff::1"));
        assert!(has("192.0.2.1", "192.0.2.1"));
        assert!(has("::ffff:10.0.0.0/104", "10.255.1.2"));
        assert!(has("::ffff:10.0.0.0/104", "::ffff:10.255.1.2"));
        assert!(has("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!has("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(!has("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn a_network_with_host_bits_or_a_wrong_prefix_is_none() {
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "::ffff:10.0.0.1/104",
            "::ffff:10.0.0.0/129",
            "x",
            "",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "10.0.0.0/08/",
            "10.0/8",
            " 10.0.0.0/8",
        ] {
            assert_eq!(IpNetwork::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn f9_a_block_is_wide_when_it_is_more_than_a_subnet() {
        let is_wide = |network: &str| IpNetwork::parse(network).unwrap().is_wide();
        for wide in ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/23", "::/0", "fd00::/63", "::ffff:10.0.0.0/104"] {
            assert!(is_wide(wide), "{wide}");
        }
        for narrow in ["10.0.0.0/24", "10.0.0.1/32", "10.0.0.1", "fd00::/64", "fd00::1", "::ffff:10.0.0.0/120"] {
            assert!(!is_wide(narrow), "{narrow}");
        }
    }

    #[test]
    fn a_network_goes_round_as_text() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"] {
            let network: IpNetwork = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(network).unwrap(), text);
        }
        assert!(serde_json::from_value::<IpNetwork>("10.0.0.1/8".into()).is_err());
    }
}
