//! Times in another unit than seconds, or not written as a number.

use sts_policy::Diagnosis;
use sts_types::UnixTime;

use super::attempt::{Attempt, number, with_fixes};
use super::view::TokenView;

/// Seconds of the year 5138. A larger number is in a smaller unit.
const BEYOND: f64 = 100_000_000_000.0;

/// The possible units, the largest first.
const UNITS: [(&str, f64); 3] =
    [("milliseconds", 1_000.0), ("microseconds", 1_000_000.0), ("nanoseconds", 1_000_000_000.0)];

/// The claims that are times.
const MOMENTS: [&str; 3] = ["iat", "nbf", "exp"];

/// All times of the token that are not in seconds, in one diagnosis.
pub(super) fn not_seconds(token: &TokenView<'_>) -> Option<Diagnosis> {
    let mut wrong: Vec<(&str, f64, &(&str, f64))> = Vec::new();
    for name in MOMENTS {
        let Some(value) = number(token, name).filter(|value| *value >= BEYOND) else { continue };
        let unit = UNITS.iter().find(|(_, per_second)| value / per_second < BEYOND)?;
        wrong.push((name, value, unit));
    }
    let &(first, value, (unit, per_second)) = wrong.first()?;
    let names = wrong.iter().map(|(name, ..)| format!("`{name}`")).collect::<Vec<_>>();
    let (names, are) = match names.as_slice() {
        [one] => (one.clone(), "is"),
        [head @ .., last] => (format!("{} and {last}", head.join(", ")), "are"),
        [] => return None,
    };
    let values = wrong.iter().map(|(name, value, _)| format!("`{name}` is {value:.0}")).collect::<Vec<_>>();
    let cause = format!("{names} {are} in {unit}, and seconds since 1970 are expected: {}", values.join(", "));
    #[expect(clippy::cast_possible_truncation, reason = "below 10^11 once it is in seconds")]
    let seconds = |value: f64, per_second: f64| (value / per_second).floor() as i64;
    let mended = wrong.iter().map(|&(name, value, (_, per_second))| (name, Some(seconds(value, *per_second).into())));
    let mended: Vec<_> = mended.collect();
    let found = Diagnosis::new("", cause).at(first).actual(format!("{value:.0}"));
    let found = found.expected(seconds(value, *per_second).to_string());
    let fix = format!("write {names} in seconds: divide by {per_second:.0}");
    Some(with_fixes(token, found, &fix, [Attempt::of_claims(token, fix.clone(), &mended)]))
}

/// A time that is written as a date, in seconds.
pub(super) fn seconds_of_date(text: &str) -> Option<i64> {
    let text = text.trim();
    UnixTime::from_rfc3339(text).or_else(|| UnixTime::from_rfc2822(text)).map(UnixTime::as_secs)
}
