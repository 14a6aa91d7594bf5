//! The context of a request.

use std::net::IpAddr;
use std::time::Duration;

use sts_types::{Clock, Entropy, RequestId};

/// Who sent a request, and when.
pub struct RequestContext {
    /// The request's id.
    pub request_id: RequestId,
    /// The client's address, if known.
    pub source: Option<IpAddr>,
    /// Monotonic time of its arrival.
    pub arrived: Duration,
}

/// A ULID: 48 bits of milliseconds and 80 random bits, in Crockford's base 32.
pub(crate) fn new_request_id(clock: &dyn Clock, entropy: &dyn Entropy) -> RequestId {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut random = [0; 16];
    entropy.fill(random.split_at_mut(6).1);
    let millis = u128::from(clock.now_millis() & 0xffff_ffff_ffff) << 80;
    let value = millis | (u128::from_be_bytes(random) & ((1 << 80) - 1));
    let text: String = (0..26)
        .rev()
        .map(|at| {
            let digit = usize::try_from((value >> (5 * at)) & 31).unwrap_or(0);
            ALPHABET.get(digit).copied().map_or('0', char::from)
        })
        .collect();
    #[expect(clippy::expect_used, reason = "26 characters of Crockford's alphabet are a ULID by construction")]
    RequestId::new(&text).expect("a ULID")
}
