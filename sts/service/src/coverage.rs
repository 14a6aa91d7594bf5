//! How many live tokens a revocation rule covers.

use sts_store::{Entry, LedgerError, Listing, Revocation, RevocationScope};
use sts_types::AccountId;

use crate::Service;
use crate::reason::Refused;
use crate::rules_in_force::Coverage;

/// Records that are asked for at a time.
const PAGE: usize = 1000;
/// How often counting begins anew when the record to go on after is swept meanwhile.
const ATTEMPTS: usize = 5;

impl Service {
    /// Number of tokens that have not expired, were not revoked alone, and are covered by `revocation`, made or not. It reads
    /// page by page, those of one account where the rule names one.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn count_covered(&self, revocation: &Revocation) -> Result<u64, Refused> {
        self.count_records(revocation).await.map_err(|error| Refused::by_ledger(&error))
    }

    async fn count_records(&self, revocation: &Revocation) -> Result<u64, LedgerError> {
        let account = match &revocation.scope {
            RevocationScope::Rule(rule) => rule.account.as_deref().and_then(|account| AccountId::new(account).ok()),
            RevocationScope::Token(jti) => {
                let entry = self.ledger.look_up(jti.clone()).await?;
                let coverage = Coverage::new(revocation);
                return Ok(u64::from(entry.is_some_and(|entry| self.is_covered(&coverage, &entry))));
            }
        };
        let coverage = Coverage::new(revocation);
        for _ in 0..ATTEMPTS {
            if let Some(count) = self.count_once(&coverage, account.as_ref()).await? {
                return Ok(count);
            }
        }
        Err(LedgerError::Unavailable("the records change faster than they can be counted".into()))
    }

    /// `None` when the record to go on after was swept.
    async fn count_once(
        &self,
        coverage: &Coverage<'_>,
        account: Option<&AccountId>,
    ) -> Result<Option<u64>, LedgerError> {
        let (mut count, mut after) = (0, None);
        loop {
            let listing = Listing { account: account.cloned(), after: after.clone(), limit: PAGE };
            let page = self.ledger.list(listing).await?;
            if let (true, Some(after)) = (page.is_empty(), after) {
                return Ok(self.ledger.look_up(after).await?.map(|_| count));
            }
            count += page.iter().filter(|entry| self.is_covered(coverage, entry)).map(|_| 1).sum::<u64>();
            match page.into_iter().next_back() {
                Some(Entry { record, .. }) => after = Some(record.jti),
                None => return Ok(Some(count)),
            }
        }
    }

    fn is_covered(&self, coverage: &Coverage<'_>, Entry { record, revoked }: &Entry) -> bool {
        revoked.is_none() && record.exp > self.clock.now() && coverage.covers(record)
    }
}
