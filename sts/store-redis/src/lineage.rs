//! The epochs whose records count. A record is sealed for the epoch in which it was written. If
//! somebody deletes the epoch, a new server begins another one, and the leftover records do not
//! count in it: nobody knows any more which of them were revoked.

use sts_types::{Seal, TokenRecord};

use super::error::RedisStoreError;
use sts_store::backend::codec;
use sts_store::{Fault, Place};

/// The current epoch and the former ones whose loss an operator accepted. Latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    pub(super) id: String,
    pub(super) former: Vec<String>,
}

impl Lineage {
    pub(super) fn seal_record(
        &self,
        seal: &dyn Seal,
        id: &str,
        record: &TokenRecord,
    ) -> Result<Vec<u8>, RedisStoreError> {
        codec::seal_value(seal, Place::Record, &key(id, &self.id), record).map_err(|_| RedisStoreError::Form)
    }

    /// Opens the record of `id` if it belongs to this epoch or a former one. Earlier versions
    /// sealed records for no epoch. Those count only in a store that was taken over.
    pub(super) fn open_record(&self, seal: &dyn Seal, id: &str, stored: &[u8]) -> Result<TokenRecord, Fault> {
        let open = |key: &[u8]| codec::open_record(seal, key, stored);
        let mut opened = open(&key(id, &self.id));
        for epoch in &self.former {
            if opened != Err(Fault::Seal) {
                return opened;
            }
            opened = open(&key(id, epoch));
        }
        if opened == Err(Fault::Seal) && !self.former.is_empty() {
            opened = open(id.as_bytes());
        }
        opened
    }
}

/// Ids and epochs each have a fixed length, so no two pairs give the same key.
fn key(id: &str, epoch: &str) -> Vec<u8> {
    [id.as_bytes(), epoch.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::{TestSeal, record};

    #[test]
    fn f2_a_record_counts_in_its_epoch_and_those_that_follow_it_and_in_no_other() {
        let (seal, written) = (TestSeal(1), record("a", "octo"));
        let lineage = |id: &str, former: &[&str]| Lineage {
            id: id.to_owned(),
            former: former.iter().map(|id| (*id).to_owned()).collect(),
        };
        let stored = lineage("e1", &[]).seal_record(&seal, "id", &written).unwrap();
        for (lineage_under_test, is_open) in [
            (lineage("e1", &[]), true),
            (lineage("e2", &["e1"]), true),
            (lineage("e3", &["e2", "e1"]), true),
            (lineage("e2", &[]), false),
            (lineage("e3", &["e2"]), false),
        ] {
            let opened = lineage_under_test.open_record(&seal, "id", &stored);
            assert_eq!(opened, if is_open { Ok(written.clone()) } else { Err(Fault::Seal) }, "{lineage_under_test:?}");
        }
        let earlier = codec::seal_value(&seal, Place::Record, b"id", &written).unwrap();
        assert_eq!(lineage("e2", &["e1"]).open_record(&seal, "id", &earlier), Ok(written));
        assert_eq!(lineage("e1", &[]).open_record(&seal, "id", &earlier), Err(Fault::Seal));
    }
}
