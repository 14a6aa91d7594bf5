//! Visits records, newest first.

use std::time::Duration;

use sts_store::{Entry, LedgerError, Listing};
use sts_types::{AccountId, Jti};

use super::TokenAdmin;
use crate::standing::Ancestry;

/// Records per query.
const PAGE: usize = 1000;
/// How often a scan starts over if the record to continue after was swept.
const ATTEMPTS: usize = 5;
/// The time limit of a scan for an operator. The answer says that records were left out.
pub(super) const BUDGET: Duration = Duration::from_secs(5);

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The visitor stopped it, or every record was visited.
    Done,
    /// The time limit was reached.
    OutOfTime,
}

impl TokenAdmin {
    /// Passes the live records, of one account if given, to `visit` until it returns `false`.
    /// Whenever the scan starts over, it calls `visit` with `None` first.
    pub(super) async fn scan_records(
        &self,
        account: Option<&AccountId>,
        mut visit: impl FnMut(Option<(&Entry, &Ancestry)>) -> bool,
    ) -> Result<Scanned, LedgerError> {
        let until = self.clock.monotonic().saturating_add(BUDGET);
        for _ in 0..ATTEMPTS {
            visit(None);
            let mut after: Option<Jti> = None;
            loop {
                let page = self.records_after(account, after.clone(), PAGE).await?;
                let Some(page) = page else { break };
                let ancestry = Ancestry::of(&*self.ledger, page.iter().map(|entry| &entry.record)).await?;
                if !page.iter().all(|entry| visit(Some((entry, &ancestry)))) || page.len() < PAGE {
                    return Ok(Scanned::Done);
                }
                if self.clock.monotonic() >= until {
                    return Ok(Scanned::OutOfTime);
                }
                after = page.last().map(|entry| entry.record.jti.clone());
            }
        }
        Err(LedgerError::Unavailable("records are forgotten faster than they can be looked through".into()))
    }

    /// A page of records, newest first. `None` if the record to continue after is forgotten.
    pub(super) async fn records_after(
        &self,
        account: Option<&AccountId>,
        after: Option<Jti>,
        limit: usize,
    ) -> Result<Option<Vec<Entry>>, LedgerError> {
        let listing = Listing { account: account.cloned(), after: after.clone(), limit };
        let page = self.ledger.list(listing).await?;
        let Some(after) = after.filter(|_| page.is_empty()) else { return Ok(Some(page)) };
        Ok(self.ledger.look_up(after).await?.map(|_| page))
    }
}
