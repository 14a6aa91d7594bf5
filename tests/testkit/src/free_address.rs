//! Addresses for servers that must know theirs before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the system gives to connections, and to listeners that ask for any port. So only
/// another user of this function can take one before it is used.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// An address on loopback at which nobody listens. No second call in this process returns it.
#[must_use]
pub fn free_address() -> SocketAddr {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin far from each other.
    let begin = std::process::id().wrapping_mul(997);
    for _ in 0..COUNT {
        let offset = begin.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed).into()) % u32::from(COUNT);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + u16::try_from(offset).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free from {FIRST} on");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_free_and_given_once() {
        let addresses: std::collections::BTreeSet<SocketAddr> = (0..100).map(|_| free_address()).collect();
        assert_eq!(addresses.len(), 100);
        let taken = TcpListener::bind(free_address()).unwrap();
        assert!((0..100).all(|_| free_address() != taken.local_addr().unwrap()));
    }
}
