//! Warnings about API keys: before they end, and when their account is gone.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use sts_audit::ApiKeyExpiring;
use sts_types::{ApiKeyId, UnixTime};

use crate::api_keys::ApiKeys;

const DAY: i64 = 86_400;
/// How long before its end a key is told of first, in seconds.
pub(super) const FIRST_NOTICE: i64 = 14 * DAY;
/// And how long before for the second time.
const SECOND_NOTICE: i64 = 3 * DAY;

/// Which keys were warned of, and how often. Each server warns once for each time, and again after a
/// restart.
#[derive(Debug, Default)]
pub(super) struct KeyNotices {
    expiring: Mutex<HashMap<(ApiKeyId, UnixTime), u8>>,
    orphans: Mutex<HashSet<ApiKeyId>>,
}

impl KeyNotices {
    /// Warns of the keys that are about to end, and of those whose account is in no file and not in
    /// the store.
    pub(super) fn warn(
        &self,
        keys: &ApiKeys,
        now: UnixTime,
        is_account: impl Fn(&str) -> bool,
        record: impl Fn(ApiKeyExpiring),
    ) {
        for (id, days) in self.due(keys, now) {
            let Some(key) = keys.find(&id) else { continue };
            tracing::warn!(%id, account = %key.account, name = %key.name, expires_at = %key.expires_at, within_days = days, "an API key expires soon: create another one and replace it");
            record(ApiKeyExpiring {
                object: format!("api-keys/{id}"),
                account: key.account.to_string(),
                name: key.name.clone(),
                expires_at: key.expires_at.as_secs(),
                within_days: days,
            });
        }
        for id in self.new_orphans(keys, now, is_account) {
            let Some(key) = keys.find(&id) else { continue };
            // Not revoked here: another server may have newer files, which declare the account.
            tracing::warn!(%id, account = %key.account, name = %key.name, "an API key belongs to an account that nothing declares: it gets no tokens until an account of that name comes back; if it shall not, revoke the key");
        }
    }

    /// The keys that have lost their account since the last call.
    fn new_orphans(&self, keys: &ApiKeys, now: UnixTime, is_account: impl Fn(&str) -> bool) -> Vec<ApiKeyId> {
        let live = keys.iter().filter(|key| key.is_live(now));
        let orphans: HashSet<ApiKeyId> =
            live.filter(|key| !is_account(key.account.as_str())).map(|key| key.id.clone()).collect();
        let mut known = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<ApiKeyId> = orphans.difference(&known).cloned().collect();
        new.sort_unstable();
        *known = orphans;
        new
    }

    /// The keys to tell of now, each with the days it has at most.
    fn due(&self, keys: &ApiKeys, now: UnixTime) -> Vec<(ApiKeyId, i64)> {
        let mut told = self.expiring.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn key() -> ApiKeyEntry {
        ApiKeyEntry {
            id: ApiKeyId::new("0123456789ab").unwrap(),
            account: AccountName::new("octo").unwrap(),
            name: "build".to_owned(),
            secret_sha256: Digest256([1; 32]),
            scopes: None,
            allow_from: Vec::new(),
            created_at: UnixTime::from_secs(0),
            created_by: "admin token".to_owned(),
            expires_at: UnixTime::from_secs(30 * 86_400),
        }
    }

    #[test]
    fn a_key_whose_account_is_gone_is_told_of_once_each_time() {
        let (keys, notices) = (ApiKeys::new([key()]), KeyNotices::default());
        let orphans = |account: &str, day: i64| {
            notices.new_orphans(&keys, UnixTime::from_secs(day * 86_400), |name| name == account).len()
        };
        let counts =
            [orphans("octo", 1), orphans("other", 1), orphans("other", 2), orphans("octo", 3), orphans("other", 4)];
        assert_eq!(counts, [0, 1, 0, 0, 1]);
        assert_eq!(KeyNotices::default().new_orphans(&keys, UnixTime::from_secs(31 * 86_400), |_| false).len(), 0);
    }

    #[test]
    fn a_key_is_told_of_14_and_3_days_before_its_end_and_once_each() {
        let keys = ApiKeys::new([key()]);
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
