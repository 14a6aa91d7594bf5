//! Formats times for people.

use sts_types::UnixTime;

/// Formats a time as RFC 3339 in UTC, to the second. Times before 1970 or after 9999 become a
/// number of seconds.
pub(crate) fn rfc3339(at: UnixTime) -> String {
    const DAY: i64 = 86_400;
    const YEAR_10000: i64 = 253_402_300_800;
    let seconds = at.as_secs();
    if !(0..YEAR_10000).contains(&seconds) {
        return format!("{seconds} s since 1970");
    }
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level
    // date algorithms").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
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
