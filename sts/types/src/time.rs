//! Time as a parameter.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};

/// Whole seconds since the Unix epoch: a `NumericDate` (RFC 7519) rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The time `seconds` after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// This time plus `seconds`, saturating.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time, saturating; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time that `text` states in RFC 3339, without its fraction of a second.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp()))
    }

    /// The time that `text` states in RFC 2822, the form of mail and HTTP headers.
    #[must_use]
    pub fn from_rfc2822(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc2822(text).ok().map(|time| Self(time.timestamp()))
    }

    /// RFC 3339 in UTC, to the second. `None` outside the years 0 to 9999, which RFC 3339 cannot
    /// write.
    #[must_use]
    pub fn to_rfc3339(self) -> Option<String> {
        written(DateTime::from_timestamp(self.0, 0)?, SecondsFormat::Secs)
    }
}

/// Milliseconds since the Unix epoch in RFC 3339, UTC. `None` after the year 9999.
#[must_use]
pub fn rfc3339_millis(millis: u64) -> Option<String> {
    written(DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)?, SecondsFormat::Millis)
}

fn written(time: DateTime<chrono::Utc>, format: SecondsFormat) -> Option<String> {
    use chrono::Datelike as _;
    (0..=9999).contains(&time.year()).then(|| time.to_rfc3339_opts(format, true))
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lifetime of a token in whole seconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Lifetime(u32);

impl Lifetime {
    /// A lifetime of `seconds`; `None` for 0.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Option<Self> {
        if seconds == 0 { None } else { Some(Self(seconds)) }
    }

    /// The lifetime in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

/// The clock: wall time for tokens and records, monotonic time for timeouts and cool-downs.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_millis(&self) -> u64;

    /// Time since an arbitrary fixed moment. It never goes back, even if wall time does.
    fn monotonic(&self) -> Duration;

    /// Wall time in whole seconds.
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(i64::try_from(self.now_millis() / 1000).unwrap_or(i64::MAX))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now_millis(&self) -> u64 {
        (**self).now_millis()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them_and_read_back() {
        for (seconds, text) in [
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let time = UnixTime::from_secs(seconds);
            assert_eq!(time.to_rfc3339().as_deref(), Some(text));
            assert_eq!(UnixTime::from_rfc3339(text), Some(time));
        }
        for seconds in [i64::MIN, -62_167_219_201, 253_402_300_800, i64::MAX] {
            assert_eq!(UnixTime::from_secs(seconds).to_rfc3339(), None, "{seconds}");
        }
    }

    #[test]
    fn a_fraction_and_an_offset_are_read_and_a_bare_date_is_not() {
        let time = Some(UnixTime::from_secs(1_790_000_000));
        assert_eq!(UnixTime::from_rfc3339("2026-09-21T16:13:20.999+02:00"), time);
        assert_eq!(UnixTime::from_rfc2822("Mon, 21 Sep 2026 14:13:20 GMT"), time);
        for text in ["", "2026-09-21", "2026-09-21T14:13:20", "1790000000"] {
            assert_eq!(UnixTime::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_have_three_digits() {
        assert_eq!(rfc3339_millis(1_790_000_000_007).as_deref(), Some("2026-09-21T14:13:20.007Z"));
        assert_eq!(rfc3339_millis(253_402_300_800_000), None);
        assert_eq!(rfc3339_millis(u64::MAX), None);
    }
}
