//! Which hash slot of a Cluster each shard has.

use sts_store::spec::ShardCount;

/// Slots of a Cluster.
const SLOTS: usize = 16_384;

/// One shard of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardIndex {
    /// Less than `of`.
    index: usize,
    of: ShardCount,
}

impl ShardIndex {
    /// A store that is one whole.
    pub(super) const WHOLE: Self = Self { index: 0, of: ShardCount::ONE };

    /// All shards of a store.
    pub(super) fn all(of: ShardCount) -> impl Iterator<Item = Self> {
        (0..of.get()).map(move |index| Self { index, of })
    }

    /// Its part of what the whole store keeps.
    pub(super) fn part_of(self, all: usize) -> usize {
        all.div_ceil(self.of.get())
    }

    /// The part of a file's name that tells the shard: none for a whole store.
    pub(super) fn file_suffix(self) -> Option<String> {
        (self.of != ShardCount::ONE).then(|| format!("{}-of-{}", self.index.saturating_add(1), self.of))
    }

    /// The part in braces of the names of its keys. A whole store has `stem` itself. The slot of a
    /// shard lies in the middle half of its share of all slots, so that shards are spread evenly over
    /// nodes that have even shares of the slots.
    ///
    /// The result must never change: the keys of existing stores have these names.
    pub(super) fn tag(self, stem: &str) -> String {
        if self.of == ShardCount::ONE {
            return stem.to_owned();
        }
        let (first, end) = (self.index * SLOTS / self.of.get(), (self.index + 1) * SLOTS / self.of.get());
        let quarter = (end - first) / 4;
        let wanted = first + quarter..end - quarter;
        // About every second number times the shards fits. A tag that does not fit works, too.
        let tags = (0..SLOTS).map(|number| format!("{stem}.{}-{}.{number}", self.index, self.of));
        let fits = |tag: &String| wanted.contains(&usize::from(slot_of(tag.as_bytes())));
        tags.into_iter().find(fits).unwrap_or_else(|| format!("{stem}.{}-{}", self.index, self.of))
    }
}

/// The slot of a key, or of the part of it in braces: its CRC-16 (XMODEM) as Redis computes it.
fn slot_of(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, octet| {
        (0..8).fold(
            crc ^ (u16::from(*octet) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    });
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(shards: u32) -> Vec<String> {
        ShardIndex::all(ShardCount::new(shards).unwrap()).map(|shard| shard.tag("sts")).collect()
    }

    #[test]
    fn slots_are_those_of_redis() {
        // From the Cluster specification, and `CLUSTER KEYSLOT`.
        for (key, slot) in [("123456789", 0x31c3), ("foo", 12_182), ("bar", 5_061), ("", 0)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn shards_lie_evenly_over_the_slots() {
        for shards in [2_u32, 3, 4, 5, 32, 100, 255, 256] {
            let tags = tags(shards);
            for (index, tag) in tags.iter().enumerate() {
                let share = usize::from(slot_of(tag.as_bytes())) * usize::try_from(shards).unwrap() / SLOTS;
                assert_eq!(share, index, "{tag}");
            }
            for nodes in [1_usize, 2, 3, 4, 6, 8] {
                if tags.len() < 8 * nodes {
                    continue;
                }
                let mut of_nodes = vec![0_usize; nodes];
                for tag in &tags {
                    of_nodes[usize::from(slot_of(tag.as_bytes())) / SLOTS.div_ceil(nodes)] += 1;
                }
                let most = of_nodes.iter().max().unwrap();
                // No node has more than 1.2 times its share.
                assert!(most * nodes * 10 <= tags.len() * 12, "{shards} over {nodes}: {of_nodes:?}");
            }
        }
    }

    #[test]
    fn the_names_of_existing_stores_stay() {
        assert_eq!(ShardIndex::WHOLE.tag("sts"), "sts");
        let tags = tags(32);
        assert_eq!([&tags[0], &tags[1], &tags[31]], GOLDEN);
    }

    const GOLDEN: [&str; 3] = ["sts.0-32.47", "sts.1-32.22", "sts.31-32.6"];
}
