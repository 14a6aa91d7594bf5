//! The tokens that one identity would admit: those of its platform, those that this server saw, and
//! those of the policy tests.

use std::sync::Arc;

use sts_policy::{Admission, ConditionTrace, NoDirectory, RuleSet, TriedToken, test_case};

use super::engine::ManagedObjects;

/// The most recent tokens, and the most policy tests, that are tried.
const MOST_TRIED: usize = 50;

/// Where a tried token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedFrom {
    /// The platform sends such tokens.
    Sample,
    /// Somebody else could get it from the platform.
    Attack,
    /// It came in the last 24 hours.
    Recent,
    /// A policy test has it.
    Test,
}

/// A token that was tried on an identity.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Where it comes from.
    pub from: TriedFrom,
    /// What it is.
    pub name: String,
    /// Its `sub`, without what may be a secret.
    pub subject: String,
    /// Each condition of the identity.
    pub conditions: Vec<ConditionTrace>,
}

impl Tried {
    /// Whether the identity accepts it.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.conditions.iter().all(|condition| condition.holds)
    }
}

impl ManagedObjects {
    /// Tries known tokens on an identity of `rules`, which need not be in force. `None` if there is no
    /// such identity.
    pub async fn admissions(&self, rules: Arc<RuleSet>, account: &str, identity: &str) -> Option<Vec<Tried>> {
        let (account, identity) = (account.to_owned(), identity.to_owned());
        let (tests, recent, now) = (self.rules.tests(), Arc::clone(&self.recent), self.clock.now());
        let tried = tokio::task::spawn_blocking(move || {
            let mut tried: Vec<Tried> =
                rules.admissions(&account, &identity, now)?.into_iter().map(of_platform).collect();
            let entries = rules.entries_of(&account, &identity);
            let recent = recent.since_yesterday(now);
            let of_entries = recent.iter().filter(|decision| entries.contains(decision.facts(&NoDirectory, now).entry));
            for decision in of_entries.take(MOST_TRIED) {
                let conditions = rules.admission_of(&account, &identity, decision.facts(&NoDirectory, now))?;
                let (name, subject) = (decision.request(), decision.shown_subject());
                tried.push(Tried { from: TriedFrom::Recent, name, subject, conditions });
            }
            for test in tests.iter() {
                let Ok(case) = test_case(&rules, rules.frame(), test, now) else { continue };
                if !entries.contains(&case.entry) {
                    continue;
                }
                let facts =
                    sts_policy::Facts { entry: &case.entry, claims: &case.claims, now, memberships: &NoDirectory };
                let conditions = rules.admission_of(&account, &identity, facts)?;
                let subject = case.claims.text("sub").unwrap_or_default().to_owned();
                tried.push(Tried { from: TriedFrom::Test, name: test.name.clone(), subject, conditions });
                if tried.iter().filter(|one| one.from == TriedFrom::Test).count() == MOST_TRIED {
                    break;
                }
            }
            Some(tried)
        });
        tried.await.ok().flatten()
    }
}

fn of_platform(admission: Admission) -> Tried {
    let Admission { token, name, subject, conditions } = admission;
    let from = match token {
        TriedToken::Sample => TriedFrom::Sample,
        TriedToken::Attack => TriedFrom::Attack,
    };
    Tried { from, name, subject, conditions }
}
