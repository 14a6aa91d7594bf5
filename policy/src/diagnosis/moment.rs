//! Formats times for people.

use sts_types::UnixTime;

/// Formats a time as RFC 3339 in UTC, to the second. Times before 1970 or after 9999 become a
/// number of seconds.
pub(crate) fn rfc3339(at: UnixTime) -> String {
    let is_since_1970 = at.as_secs() >= 0;
    let text = is_since_1970.then(|| at.to_rfc3339()).flatten();
    text.unwrap_or_else(|| format!("{at} s since 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_calendars_have_them() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800 s since 1970"),
            (-1, "-1 s since 1970"),
        ] {
            assert_eq!(rfc3339(UnixTime::from_secs(seconds)), wanted);
        }
    }
}
