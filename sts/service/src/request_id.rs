//! Request ids.

use sts_types::{Clock, Entropy, RequestId};
use ulid::Ulid;

/// A ULID: 48 bits of milliseconds, 80 random bits. Ids of the same millisecond are in no order.
pub(crate) fn new_request_id(clock: &dyn Clock, entropy: &dyn Entropy) -> RequestId {
    let mut random = [0; 16];
    entropy.fill(random.split_at_mut(6).1);
    let id = Ulid::from_parts(clock.now_millis(), u128::from_be_bytes(random));
    let mut text = [0; ulid::ULID_LEN];
    #[expect(clippy::expect_used, reason = "a ULID is a request id by construction")]
    RequestId::new(id.array_to_str(&mut text)).expect("a ULID")
}

#[cfg(test)]
mod tests {
    use sts_testkit::ManualClock;

    use super::*;

    struct Bytes(u8);

    impl Entropy for Bytes {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn an_id_is_its_millisecond_and_then_what_was_drawn() {
        for (millis, random, id) in [
            (0, 0, "00000000000000000000000000"),
            (1_469_918_176_385, 255, "01ARYZ6S41ZZZZZZZZZZZZZZZZ"),
            (0xffff_ffff_ffff, 255, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
            // A clock that is off by millennia still gives an id.
            (u64::MAX, 0, "7ZZZZZZZZZ0000000000000000"),
        ] {
            assert_eq!(new_request_id(&ManualClock::at_millis(millis), &Bytes(random)).as_str(), id);
        }
    }
}
