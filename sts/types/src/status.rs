//! Position of a token in the Token Status Lists (draft-ietf-oauth-status-list).
//!
//! Tokens are grouped by the hour in which they expire, the window. A window's lists are dropped
//! together once all of its tokens have expired. Within a window, indexes count from 0 and fill one
//! list after the other.

use std::fmt;
use std::str::FromStr;

use crate::UnixTime;

/// Number of tokens per list, one bit each. All lists have this length, so the length reveals
/// nothing.
pub const STATUS_LIST_LENGTH: u32 = 1 << 20;

/// Length of a window, in seconds.
const WINDOW: i64 = 3600;

/// The tokens that expire within one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusWindow(u64);

impl StatusWindow {
    /// The window with that number, in hours since the epoch.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The window of tokens that expire at `exp`.
    #[must_use]
    pub fn of(exp: UnixTime) -> Self {
        Self(u64::try_from(exp.as_secs().div_euclid(WINDOW)).unwrap_or(0))
    }

    /// The number, in hours since the epoch.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The time by which all of its tokens have expired.
    #[must_use]
    pub fn end(self) -> UnixTime {
        let after = i64::try_from(self.0).unwrap_or(i64::MAX).saturating_add(1);
        UnixTime::from_secs(after.saturating_mul(WINDOW))
    }
}

/// Identifies a list: its window, and its number within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusListId {
    /// The window.
    pub window: StatusWindow,
    /// Number of the list within the window, from 0.
    pub number: u32,
}

impl StatusListId {
    /// The list that contains `index` of `window`, and the index within the list; `None` from 2^52
    /// on.
    #[must_use]
    pub fn holding(window: StatusWindow, index: u64) -> Option<(Self, u32)> {
        let length = u64::from(STATUS_LIST_LENGTH);
        let number = u32::try_from(index / length).ok()?;
        let place = u32::try_from(index % length).ok()?;
        Some((Self { window, number }, place))
    }
}

/// `WINDOW-NUMBER`, as at the end of the list's URI.
impl fmt::Display for StatusListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.window.0, self.number)
    }
}

/// The text is not the id of a status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status list is named by two numbers and a hyphen between them")]
pub struct StatusListIdError;

impl FromStr for StatusListId {
    type Err = StatusListIdError;

    /// Accepts one spelling per list: no leading zeros or signs.
    fn from_str(text: &str) -> Result<Self, StatusListIdError> {
        let (window, number) = text.split_once('-').ok_or(StatusListIdError)?;
        let window = StatusWindow(window.parse().map_err(|_| StatusListIdError)?);
        let id = Self { window, number: number.parse().map_err(|_| StatusListIdError)? };
        if id.to_string() == text { Ok(id) } else { Err(StatusListIdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_tokens_of_one_hour() {
        let window = |exp| StatusWindow::of(UnixTime::from_secs(exp));
        assert_eq!((window(7199).number(), window(7200).number(), window(-1).number()), (1, 2, 0));
        assert_eq!(window(7199).end(), UnixTime::from_secs(7200));
        assert_eq!(StatusWindow::new(u64::MAX).end(), UnixTime::from_secs(i64::MAX));
    }

    #[test]
    fn indexes_fill_one_list_after_the_other() {
        let at = |index| StatusListId::holding(StatusWindow::new(5), index).map(|(id, place)| (id.to_string(), place));
        assert_eq!(at(0), Some(("5-0".to_owned(), 0)));
        assert_eq!(at(1_048_575), Some(("5-0".to_owned(), 1_048_575)));
        assert_eq!(at(1_048_576), Some(("5-1".to_owned(), 0)));
        assert_eq!(at(u64::MAX), None);
    }

    #[test]
    fn a_list_has_one_spelling() {
        assert_eq!("12-3".parse(), Ok(StatusListId { window: StatusWindow::new(12), number: 3 }));
        for wrong in
            ["", "-", "12", "12-", "-3", "012-3", "12-03", "+12-3", "12--3", "12-3-4", "12-4294967296", "12-3 ", "a-b"]
        {
            assert_eq!(wrong.parse::<StatusListId>(), Err(StatusListIdError), "{wrong}");
        }
    }
}
