//! Counts refusals with the same cause together.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use sts_types::{RequestId, UnixTime};

use super::RememberedRefusal;

/// A property to group refusals by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The stable reason.
    Reason,
    /// The requested account, or that of the nearest identity.
    Account,
    /// The nearest identity.
    Identity,
    /// The claim or condition at fault.
    Condition,
}

impl GroupBy {
    /// Every property.
    pub const ALL: [Self; 4] = [Self::Reason, Self::Account, Self::Identity, Self::Condition];

    /// The name in queries and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Account => "account",
            Self::Identity => "identity",
            Self::Condition => "condition",
        }
    }

    /// Parses a comma-separated list.
    ///
    /// # Errors
    /// The unknown name.
    pub fn parse(names: &str) -> Result<Vec<Self>, String> {
        let one = |name: &str| {
            Self::ALL.into_iter().find(|by| by.name() == name.trim()).ok_or_else(|| name.trim().to_owned())
        };
        names.split(',').map(one).collect()
    }

    fn of(self, refusal: &RememberedRefusal) -> Option<String> {
        let nearest = refusal.nearest_identity.as_deref().and_then(|nearest| nearest.split_once('/'));
        match self {
            Self::Reason => Some(refusal.diagnosis.reason.to_string()),
            Self::Account => refusal.account.clone().or_else(|| nearest.map(|(account, _)| account.to_owned())),
            Self::Identity => nearest.map(|(_, identity)| identity.to_owned()),
            Self::Condition => {
                refusal.failing_condition.as_ref().map(|failed| failed.on.clone()).or(refusal.diagnosis.claim.clone())
            }
        }
    }
}

/// Refusals with the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialGroup {
    /// What they have in common; `None` where they have no such thing.
    pub common: Vec<(GroupBy, Option<String>)>,
    /// How many there are.
    pub count: usize,
    /// When the first was refused.
    pub first: UnixTime,
    /// When the last was refused.
    pub last: UnixTime,
    /// The request id of the last one, as an example.
    pub request_id: RequestId,
    /// The verdict of that one, with its cause.
    pub summary: String,
}

/// Groups `refusals`, which come newest first. The largest group comes first.
#[must_use]
pub fn group(refusals: &[Arc<RememberedRefusal>], by: &[GroupBy]) -> Vec<DenialGroup> {
    let mut groups: Vec<DenialGroup> = Vec::new();
    let mut indexes: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    for refusal in refusals {
        let key: Vec<Option<String>> = by.iter().map(|by| by.of(refusal)).collect();
        if let Some(group) = indexes.get(&key).and_then(|index| groups.get_mut(*index)) {
            group.count += 1;
            group.first = group.first.min(refusal.time);
            continue;
        }
        let common = by.iter().copied().zip(key.iter().cloned()).collect();
        indexes.insert(key, groups.len());
        groups.push(DenialGroup {
            common,
            count: 1,
            first: refusal.time,
            last: refusal.time,
            request_id: refusal.request_id.clone(),
            summary: refusal.summary.clone(),
        });
    }
    groups.sort_by_key(|group| Reverse(group.count));
    groups
}
