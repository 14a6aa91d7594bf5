//! Decides which refusals go when their space is full: those of the largest share. A flood
//! therefore never pushes out the refusals of others, as long as those have fewer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::str::FromStr;

/// The group that a refusal counts for, such as an issuer entry with an account. Its text is `f` or
/// `s` and 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalShare {
    /// Whether it belongs to the small space, for requests that name no configured issuer.
    pub is_small: bool,
    /// The number of the share.
    pub number: u64,
}

/// How many refusals are kept.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Of all full shares together.
    pub full: usize,
    /// Of all small shares together.
    pub small: usize,
}

impl RefusalShare {
    /// Octets of its text.
    pub const TEXT_LEN: usize = 17;
}

impl fmt::Display for RefusalShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", if self.is_small { 's' } else { 'f' }, self.number)
    }
}

impl FromStr for RefusalShare {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, number) = text.split_at_checked(1).ok_or(())?;
        let is_small = match kind {
            "s" => true,
            "f" => false,
            _ => return Err(()),
        };
        let number = sts_types::from_hex(number).map(u64::from_be_bytes);
        Ok(Self { is_small, number: number.ok_or(())? })
    }
}

impl serde::Serialize for RefusalShare {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RefusalShare {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("not a share"))
    }
}

/// Which of `rows` must go so that the rest fits. The rows come oldest first. The result depends on
/// the rows alone, so replicas that clean up at once choose the same.
pub fn surplus<K>(rows: impl IntoIterator<Item = (RefusalShare, K)>, capacity: Capacity) -> Vec<K> {
    let (mut full, mut small) = (BTreeMap::new(), BTreeMap::new());
    for (share, key) in rows {
        let shares: &mut BTreeMap<RefusalShare, VecDeque<K>> = if share.is_small { &mut small } else { &mut full };
        shares.entry(share).or_default().push_back(key);
    }
    let mut removed = remove_from_largest(full, capacity.full);
    removed.append(&mut remove_from_largest(small, capacity.small));
    removed
}

fn remove_from_largest<K>(mut shares: BTreeMap<RefusalShare, VecDeque<K>>, capacity: usize) -> Vec<K> {
    let total: usize = shares.values().map(VecDeque::len).sum();
    let mut largest: BinaryHeap<_> = shares.iter().map(|(share, keys)| (keys.len(), Reverse(*share))).collect();
    let mut removed = Vec::new();
    while total - removed.len() > capacity {
        let Some((count, Reverse(share))) = largest.pop() else { break };
        removed.extend(shares.get_mut(&share).and_then(VecDeque::pop_front));
        largest.push((count.saturating_sub(1), Reverse(share)));
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { full: 10, small: 2 };

    fn rows(of: &[(bool, u64, u32)]) -> Vec<(RefusalShare, (u64, u32))> {
        of.iter()
            .flat_map(|&(is_small, number, count)| {
                (0..count).map(move |at| (RefusalShare { is_small, number }, (number, at)))
            })
            .collect()
    }

    #[test]
    fn fld42_a_flood_gives_up_its_own_and_nothing_of_others() {
        assert!(surplus(rows(&[(false, 1, 6), (false, 2, 4), (true, 3, 2)]), CAPACITY).is_empty());
        let removed = surplus(rows(&[(false, 1, 3), (false, 2, 100), (false, 3, 2)]), CAPACITY);
        assert_eq!(removed.len(), 95);
        assert!(removed.iter().all(|(share, _)| *share == 2), "{removed:?}");
        assert_eq!(removed.last(), Some(&(2, 94)), "the oldest of it first");
        let removed = surplus(rows(&[(true, 9, 1000), (false, 1, 10)]), CAPACITY);
        assert_eq!(
            (removed.len(), removed.iter().all(|(share, _)| *share == 9)),
            (998, true),
            "strangers have their own space"
        );
    }

    #[test]
    fn a_share_is_read_from_its_own_text_and_no_other() {
        for share in [RefusalShare { is_small: true, number: 0 }, RefusalShare { is_small: false, number: u64::MAX }] {
            assert_eq!(share.to_string().parse(), Ok(share));
            assert_eq!(share.to_string().len(), RefusalShare::TEXT_LEN);
        }
        for text in ["", "f", "x0000000000000000", "f000000000000000g", "f00", "\u{e9}000000000000000"] {
            assert!(text.parse::<RefusalShare>().is_err(), "{text}");
        }
    }
}
