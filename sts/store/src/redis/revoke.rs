//! Recording revocations.

use redis::cmd;

use super::batch::{Batch, command};
use super::read::{Found, RULE_KEY, found};
use super::trouble::Trouble;
use super::{RedisLedger, forget_at};
use crate::alert::Place;
use crate::codec;
use crate::ledger::live_until;
use crate::record::{Revocation, RevocationScope};

impl RedisLedger {
    /// Records a revocation, raises the sequence number with it, and remembers that here: only then is it answered.
    ///
    /// The mark is judged before anything is written, over one connection: a write to an older copy would raise its number towards the
    /// one that is missed.
    pub(super) async fn record_revocation(&self, revocation: &Revocation) -> Result<(), Trouble> {
        let sealed = |place, key: &[u8]| {
            codec::seal_value(&*self.inspector.seal, place, key, revocation).map_err(|_| Trouble::Form)
        };
        let mut first = self.inspector.reading(Batch::plain());
        let mut commit = self.inspector.reading(Batch::atomic());
        let mark = self.names().mark();
        let link = self.waiting.as_ref().unwrap_or(&self.link);
        let token = match &revocation.scope {
            RevocationScope::Token(jti) => Some(self.names().id(jti)),
            RevocationScope::Rule(_) => None,
        };
        if let Some(id) = &token {
            first.add(command("GET", &[&self.names().revocation(id)]));
        }
        let floor = self.admitted()?;
        let (_, mut replies) = self.judged(floor, link.run(first).await?)?;
        commit.add(command("HINCRBY", &[mark, "sequence", "1"]));
        match &token {
            Some(id) if self.stands(id, &found(&mut replies)?, revocation) => {}
            Some(id) => {
                let stored = sealed(Place::Revocation, id.as_bytes())?;
                let (key, gone) = (self.names().revocation(id), forget_at(live_until(revocation.until)));
                commit.add(cmd("SET").arg(&key).arg(stored).arg("PXAT").arg(gone).to_owned());
                commit.add(command("RPUSH", &[self.names().revoked(), id]));
                commit.add(command("HINCRBY", &[mark, "tokens", "1"]));
            }
            None => {
                let stored = sealed(Place::Rule, RULE_KEY)?;
                commit.add(cmd("RPUSH").arg(self.names().rules()).arg(stored).to_owned());
                commit.add(command("HINCRBY", &[mark, "rules", "1"]));
            }
        }
        // Even what stands already is a write, so that its replicas are waited for: an earlier one may have been refused for want of
        // them.
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        commit.wait_for(self.wait_replicas, millis);
        let floor = self.admitted()?;
        let (_, mut committed) = self.judged(floor, link.run_after(&replies, commit).await?)?;
        self.guard().raise(u64::try_from(committed.number()?).map_err(|_| Trouble::Form)?);
        self.guard().save().await;
        Ok(())
    }

    /// Whether the revocation that was found stands: it is the first, unless it cannot be read or would be forgotten earlier than the
    /// new one. Callers revoke to the token's end, so that two at once write values of one life.
    fn stands(&self, id: &str, held: &Found, revocation: &Revocation) -> bool {
        match held {
            Found::Bytes(held) => {
                codec::open::<Revocation>(&*self.inspector.seal, Place::Revocation, id.as_bytes(), held)
                    .is_ok_and(|held| held.until >= revocation.until)
            }
            Found::Nothing | Found::Foreign => false,
        }
    }
}
