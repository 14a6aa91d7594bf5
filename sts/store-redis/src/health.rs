//! Evaluates what Redis reports about itself: what makes it unfit to keep a ledger, and what its
//! operator should know.

use sts_store::Warning;

use super::error::{ErrorReply, RedisStoreError};

/// A larger clock difference gives a warning. Keys live ten minutes longer than they must, so a
/// difference of this size does no harm.
const CLOCK_TOLERANCE_MILLIS: u64 = 5_000;
/// The first version that knows `SET ... PXAT`.
const LEAST_VERSION: (u32, u32) = (6, 2);

/// What Redis reports.
pub(super) struct Health<'a> {
    /// The reply to INFO.
    pub(super) info: &'a str,
    /// The reply to ACL WHOAMI.
    pub(super) user: &'a str,
    /// The reply to TIME, in milliseconds since the epoch.
    pub(super) redis_millis: u64,
    /// Our own time, in milliseconds since the epoch.
    pub(super) our_millis: u64,
}

impl Health<'_> {
    /// Warnings for the operator.
    ///
    /// # Errors
    /// If Redis may evict keys, or is not the primary.
    pub(super) fn check(&self) -> Result<Vec<Warning>, RedisStoreError> {
        if self.field("role") == Some("slave") {
            return Err(RedisStoreError::Named(ErrorReply::ReadOnly));
        }
        let mut warnings = Vec::new();
        match self.field("maxmemory_policy") {
            Some("noeviction") => {}
            Some(policy) => {
                // This word comes from Redis, which must not write arbitrary text into our log.
                let policy: String =
                    policy.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
                return Err(RedisStoreError::Integrity(
                    format!(
                        "this Redis may forget revocations when its memory is full: its `maxmemory-policy` is `{policy}`, and must be \
                         `noeviction`"
                    )
                    .into(),
                ));
            }
            None => warnings.push(Warning {
                name: "eviction_unknown",
                text: "this Redis does not tell its `maxmemory-policy`: see to it that it is `noeviction`".to_owned(),
            }),
        }
        warnings.extend(
            [self.persistence(), self.saving(), self.version(), self.clock(), self.rights()].into_iter().flatten(),
        );
        Ok(warnings)
    }

    fn persistence(&self) -> Option<Warning> {
        (self.field("aof_enabled") != Some("1")).then(|| Warning {
            name: "no_persistence",
            text:
                "this Redis keeps no append-only file: a restart forgets tokens and revocations; set `appendonly yes`"
                    .to_owned(),
        })
    }

    fn saving(&self) -> Option<Warning> {
        let failed = |name| self.field(name).is_some_and(|status| status != "ok");
        (failed("aof_last_write_status") || failed("rdb_last_bgsave_status")).then(|| Warning {
            name: "saving_fails",
            text: "this Redis could not write its data to disk the last time it tried".to_owned(),
        })
    }

    fn version(&self) -> Option<Warning> {
        let mut parts =
            self.field("redis_version").unwrap_or_default().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        (version < LEAST_VERSION).then(|| Warning {
            name: "old_version",
            text: format!(
                "this Redis is version {}.{}; {}.{} or later is needed",
                version.0, version.1, LEAST_VERSION.0, LEAST_VERSION.1
            ),
        })
    }

    fn clock(&self) -> Option<Warning> {
        let difference = self.redis_millis.abs_diff(self.our_millis);
        let direction = if self.redis_millis > self.our_millis { "ahead of" } else { "behind" };
        (difference > CLOCK_TOLERANCE_MILLIS).then(|| Warning {
            name: "clock_difference",
            text: format!(
                "the clock of this Redis is {} s {direction} ours: what expires there does so at the wrong time; set both by NTP",
                difference / 1000
            ),
        })
    }

    fn rights(&self) -> Option<Warning> {
        (self.user == "default").then(|| Warning {
            name: "default_user",
            text: "we speak to this Redis as its `default` user: make one with the rights of deploy/redis/sts.acl, which may run \
                   neither scripts nor CONFIG"
                .to_owned(),
        })
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n\
                         aof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\n";

    fn check(info: &str, user: &str, redis_millis: u64) -> Result<Vec<&'static str>, RedisStoreError> {
        let health = Health { info, user, redis_millis, our_millis: 1_000_000 };
        health.check().map(|warnings| warnings.iter().map(|warning| warning.name).collect())
    }

    #[test]
    fn c132_c136_each_weakness_has_its_warning_and_a_sound_redis_has_none() {
        assert_eq!(check(SOUND, "sts", 1_004_999), Ok(vec![]));
        let cases = [
            (SOUND.replace("aof_enabled:1", "aof_enabled:0"), "sts", 1_000_000, "no_persistence"),
            (SOUND.replace("write_status:ok", "write_status:err"), "sts", 1_000_000, "saving_fails"),
            (SOUND.replace("7.0.15", "6.0.16"), "sts", 1_000_000, "old_version"),
            (SOUND.replace("redis_version:7.0.15", ""), "sts", 1_000_000, "old_version"),
            (SOUND.to_owned(), "sts", 1_005_001, "clock_difference"),
            (SOUND.to_owned(), "sts", 994_999, "clock_difference"),
            (SOUND.to_owned(), "default", 1_000_000, "default_user"),
            (SOUND.replace("maxmemory_policy", "other"), "sts", 1_000_000, "eviction_unknown"),
        ];
        for (info, user, millis, warning) in cases {
            assert_eq!(check(&info, user, millis), Ok(vec![warning]));
        }
    }

    #[test]
    fn c132_c135_a_redis_that_evicts_or_is_a_replica_is_unfit() {
        for policy in ["allkeys-lru", "volatile-ttl", "volatile-lru", "allkeys-random"] {
            let unfit = check(&SOUND.replace("noeviction", policy), "sts", 1_000_000).unwrap_err();
            assert!(unfit.to_string().contains(policy), "{unfit}");
        }
        assert_eq!(
            check(&SOUND.replace("role:master", "role:slave"), "sts", 1_000_000),
            Err(RedisStoreError::Named(ErrorReply::ReadOnly))
        );
    }
}
