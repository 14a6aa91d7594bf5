//! Warnings before API keys end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sts_types::{ApiKeyId, UnixTime};

use crate::api_keys::ApiKeys;

const DAY: i64 = 86_400;
/// How long before its end a key is told of first, in seconds.
pub(super) const FIRST_NOTICE: i64 = 14 * DAY;
/// And how long before for the second time.
const SECOND_NOTICE: i64 = 3 * DAY;

/// Which keys were told of, and how often. Each server tells once for each time, and again after a
/// restart.
#[derive(Debug, Default)]
pub(super) struct KeyNotices(Mutex<HashMap<(ApiKeyId, UnixTime), u8>>);

impl KeyNotices {
    /// Warns of the keys that are about to end.
    pub(super) fn tell(&self, keys: &ApiKeys, now: UnixTime) {
        for (id, days) in self.due(keys, now) {
            let Some(key) = keys.find(&id) else { continue };
            tracing::warn!(%id, account = %key.account, name = %key.name, expires_at = %key.expires_at, within_days = days, "an API key expires soon: create another one and replace it");
        }
    }

    /// The keys to tell of now, each with the days it has at most.
    fn due(&self, keys: &ApiKeys, now: UnixTime) -> Vec<(ApiKeyId, i64)> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(id, end), _| keys.find(id).is_some_and(|key| key.expires_at == *end));
        let mut due = Vec::new();
        for key in keys.iter().filter(|key| key.is_live(now)) {
            let notice = match () {
                () if key.expires_at <= now.plus(SECOND_NOTICE) => 2,
                () if key.expires_at <= now.plus(FIRST_NOTICE) => 1,
                () => continue,
            };
            let last = told.entry((key.id.clone(), key.expires_at)).or_default();
            if *last < notice {
                *last = notice;
                due.push((key.id.clone(), if notice == 2 { SECOND_NOTICE / DAY } else { FIRST_NOTICE / DAY }));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use sts_types::{AccountName, Digest256};

    use super::*;
    use crate::api_keys::ApiKeyEntry;

    #[test]
    fn a_key_is_told_of_14_and_3_days_before_its_end_and_once_each() {
        let key = ApiKeyEntry {
            id: ApiKeyId::new("0123456789ab").unwrap(),
            account: AccountName::new("octo").unwrap(),
            name: "build".to_owned(),
            secret_sha256: Digest256([1; 32]),
            scopes: None,
            allow_from: Vec::new(),
            created_at: UnixTime::from_secs(0),
            created_by: "admin token".to_owned(),
            expires_at: UnixTime::from_secs(30 * 86_400),
        };
        let keys = ApiKeys::new([key]);
        let notices = KeyNotices::default();
        let told = |day: i64| -> Vec<i64> {
            let due = notices.due(&keys, UnixTime::from_secs(day * 86_400));
            due.into_iter().map(|(_, days)| days).collect()
        };
        let all: [Vec<i64>; 9] = [0, 15, 16, 17, 26, 27, 28, 30, 31].map(told);
        let none = Vec::<i64>::new;
        assert_eq!(all, [none(), none(), vec![14], none(), none(), vec![3], none(), none(), none()]);
        let late = KeyNotices::default().due(&keys, UnixTime::from_secs(29 * 86_400));
        assert_eq!(late.len(), 1, "a server that was away tells once");
    }
}
