//! Recording revocations.

use redis::cmd;

use super::batch::{Batch, Replies, command};
use super::guard::Mark;
use super::read::{Found, RULE_KEY, found};
use super::trouble::Trouble;
use super::{RedisLedger, forget_at};
use crate::alert::Place;
use crate::codec;
use crate::ledger::live_until;
use crate::record::{Revocation, RevocationScope, RuleId};
use crate::rules::rule_id;

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
            None => {}
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

    /// Records a rule, in place of itself when it is made again.
    pub(super) async fn make_rule(&self, mut rule: Revocation) -> Result<Revocation, Trouble> {
        rule.id = rule_id(&*self.inspector.seal, &rule);
        loop {
            let (mark, held, replies) = self.rule_of(rule.id.as_ref()).await?;
            let order = mark.rules.unwrap_or(0).saturating_add(1);
            rule.order = Some(order);
            rule.until = held.as_ref().map_or(rule.until, |(_, held)| held.until.max(rule.until));
            let stored =
                codec::seal_value(&*self.inspector.seal, Place::Rule, RULE_KEY, &rule).map_err(|_| Trouble::Form)?;
            let made = self.change_rules(held.as_ref().map(|(stored, _)| stored), Some(&stored), &replies).await?;
            // Another change came in between: records may have the number already that this rule was given.
            if made == order {
                return Ok(rule);
            }
        }
    }

    /// Takes a rule back.
    pub(super) async fn take_back_rule(&self, id: &RuleId) -> Result<Option<Revocation>, Trouble> {
        let (_, held, replies) = self.rule_of(Some(id)).await?;
        let Some((stored, rule)) = held.filter(|(_, held)| held.until >= self.clock().now()) else { return Ok(None) };
        self.change_rules(Some(&stored), None, &replies).await?;
        Ok(Some(rule))
    }

    async fn rule_of(&self, id: Option<&RuleId>) -> Result<(Mark, Option<(Vec<u8>, Revocation)>, Replies), Trouble> {
        let link = self.waiting.as_ref().unwrap_or(&self.link);
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("LRANGE", &[self.names().rules(), "0", "-1"]));
        let floor = self.admitted()?;
        let (mark, mut replies) = self.judged(floor, link.run(batch).await?)?;
        let rules = replies.list()?.into_iter().flatten();
        let mut rules = rules.filter_map(|stored| self.open_rule(&stored).map(|rule| (stored, rule)));
        let held = rules.find(|(_, rule)| rule.id.as_ref() == id);
        drop(rules);
        Ok((mark, held, replies))
    }

    async fn change_rules(
        &self,
        old: Option<&Vec<u8>>,
        new: Option<&Vec<u8>>,
        after: &Replies,
    ) -> Result<u64, Trouble> {
        let link = self.waiting.as_ref().unwrap_or(&self.link);
        let (rules, mark) = (self.names().rules(), self.names().mark());
        let mut commit = self.inspector.reading(Batch::atomic());
        commit.add(command("HINCRBY", &[mark, "sequence", "1"]));
        commit.add(command("HINCRBY", &[mark, "rules", "1"]));
        if let Some(old) = old {
            commit.add(cmd("LREM").arg(rules).arg(1).arg(old).to_owned());
        }
        if let Some(new) = new {
            commit.add(cmd("RPUSH").arg(rules).arg(new).to_owned());
        }
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        commit.wait_for(self.wait_replicas, millis);
        let floor = self.admitted()?;
        let (_, mut committed) = self.judged(floor, link.run_after(after, commit).await?)?;
        let number = |number: i64| u64::try_from(number).map_err(|_| Trouble::Form);
        self.guard().raise(number(committed.number()?)?);
        let made = number(committed.number()?)?;
        self.guard().save().await;
        Ok(made)
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
