//! The acceptance of a store by an operator, after something was lost.

use redb::ReadableTable;
use sts_types::{Jti, Seal, UnixTime};

use super::objects::sealed_key;
use super::tables::TALLY;
use super::tally::Tally;
use super::write::{Changed, Encoded, Tables, WriteError};
use sts_store::backend::Watermark;
use sts_store::backend::codec;
use sts_store::{ManagedObject, Place, Revocation};

/// The author of a revocation that replaces an unreadable one.
const ACCEPTANCE: &str = "sts store accept-epoch";

/// How many rows could not be read and are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) rules: usize,
    pub(super) objects: usize,
}

impl Tables<'_> {
    /// Accepts the readable rows as the complete set, and begins an epoch with them. A token whose
    /// revocation cannot be read stays revoked. A rule or object that cannot be read is forgotten.
    pub(super) fn accept(
        &mut self,
        seal: &dyn Seal,
        seen: Option<&Watermark>,
        now: UnixTime,
    ) -> Result<Forgotten, WriteError> {
        let stored = self.tallies.open()?.get(TALLY)?.map(|stored| stored.value().to_vec());
        let stored_tally = Tally::decode(seal, stored.as_deref()).unwrap_or_default();
        self.changed = Changed {
            rules: true,
            tally: Some(Tally::succeeding(seal, seen, &stored_tally, now)),
            accepted: true,
            ..Changed::default()
        };
        self.accept_revocations(seal, now)?;
        Ok(Forgotten { rules: self.accept_rules(seal)?, objects: self.accept_objects(seal)? })
    }

    fn accept_revocations(&mut self, seal: &dyn Seal, now: UnixTime) -> Result<(), WriteError> {
        let mut broken = Vec::new();
        let rows: Vec<(String, Vec<u8>)> = self
            .revocations
            .open()?
            .iter()?
            .map(|row| row.map(|(key, stored)| (key.value().to_owned(), stored.value().to_vec())))
            .collect::<Result<_, _>>()?;
        for (key, stored) in rows {
            if codec::open::<Revocation>(seal, Place::Revocation, key.as_bytes(), &stored).is_ok() {
                self.tally(seal)?.add(seal, Place::Revocation, key.as_bytes(), &stored);
            } else {
                self.revocations.open()?.remove(key.as_str())?;
                broken.extend(Jti::new(&key));
            }
        }
        for jti in broken {
            let replacement = Encoded::new(Revocation::in_place_of_a_broken_one(jti.clone(), now, ACCEPTANCE))
                .map_err(WriteError::Refused)?;
            self.put_in_revocation(seal, &jti, replacement.value.until, &replacement.payload)?;
        }
        Ok(())
    }

    fn accept_rules(&mut self, seal: &dyn Seal) -> Result<usize, WriteError> {
        let mut broken = Vec::new();
        for row in self.rules.open()?.iter()? {
            let (number, stored) = row?;
            let key = number.value().to_be_bytes();
            if codec::open::<Revocation>(seal, Place::Rule, &key, stored.value()).is_ok() {
                if let Some(tally) = &mut self.changed.tally {
                    tally.add(seal, Place::Rule, &key, stored.value());
                }
            } else {
                broken.push(number.value());
            }
        }
        for number in &broken {
            self.rules.open()?.remove(number)?;
        }
        Ok(broken.len())
    }

    fn accept_objects(&mut self, seal: &dyn Seal) -> Result<usize, WriteError> {
        let objects = self.objects.open()?;
        let Some(tally) = &mut self.changed.tally else { return Ok(0) };
        let mut broken = Vec::new();
        for row in objects.iter()? {
            let (key, stored) = row?;
            let ((kind, name), stored) = (key.value(), stored.value());
            let sealed_key = sealed_key(kind, name);
            match codec::open::<ManagedObject>(seal, Place::Object, &sealed_key, stored) {
                Ok(object) => {
                    tally.add(seal, Place::Object, &sealed_key, stored);
                    tally.pass_revision(object.revision);
                }
                Err(_) => broken.push((kind, name.to_owned())),
            }
        }
        for (kind, name) in &broken {
            objects.remove((*kind, name.as_str()))?;
        }
        Ok(broken.len())
    }
}
