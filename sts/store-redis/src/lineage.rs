//! The epochs whose records count. A record is sealed for the epoch in which it was written, so that what is left of a store whose epoch
//! somebody deleted is no part of the store that a new server begins in its place: nobody knows any more what was revoked of it.

use sts_types::{Seal, TokenRecord};

use super::error::RedisStoreError;
use sts_store::backend::codec;
use sts_store::{Fault, Place};

/// The epoch in force, and those whose loss was accepted; the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    pub(super) id: String,
    pub(super) former: Vec<String>,
}

impl Lineage {
    /// Seals a record of `id`.
    pub(super) fn seal_record(
        &self,
        seal: &dyn Seal,
        id: &str,
        record: &TokenRecord,
    ) -> Result<Vec<u8>, RedisStoreError> {
        codec::seal_value(seal, Place::Record, &key(id, &self.id), record).map_err(|_| RedisStoreError::Form)
    }

    /// Opens the record of `id` that was written in this epoch or one before. Earlier versions sealed records for no epoch: theirs
    /// count where their store was taken over.
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

/// Both have one length always, so that no two pairs make one key.
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
        for (own, is_open) in [
            (lineage("e1", &[]), true),
            (lineage("e2", &["e1"]), true),
            (lineage("e3", &["e2", "e1"]), true),
            (lineage("e2", &[]), false),
            (lineage("e3", &["e2"]), false),
        ] {
            let opened = own.open_record(&seal, "id", &stored);
            assert_eq!(opened, if is_open { Ok(written.clone()) } else { Err(Fault::Seal) }, "{own:?}");
        }
        let earlier = codec::seal_value(&seal, Place::Record, b"id", &written).unwrap();
        assert_eq!(lineage("e2", &["e1"]).open_record(&seal, "id", &earlier), Ok(written));
        assert_eq!(lineage("e1", &[]).open_record(&seal, "id", &earlier), Err(Fault::Seal));
    }
}
