//! How long a response is fresh (RFC 9111 section 4.2), clamped to what a key set needs.

use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};

/// Lower bound. An issuer that forbids caching is asked once a minute, not once per token.
pub(crate) const MIN_FRESH: Duration = Duration::from_secs(60);
/// Upper bound. A key that its issuer withdraws is gone within the hour.
pub(crate) const MAX_FRESH: Duration = Duration::from_secs(3600);
/// Freshness of a response without caching headers.
pub(crate) const DEFAULT_FRESH: Duration = Duration::from_secs(300);

/// The freshness from `Cache-Control` and `Age`, between [`MIN_FRESH`] and [`MAX_FRESH`].
pub(crate) fn freshness(headers: &HeaderMap) -> Duration {
    let mut max_age: Option<u64> = None;
    for value in headers.get_all(CACHE_CONTROL) {
        let Ok(value) = value.to_str() else { continue };
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => Some(0),
                "max-age" => delta_seconds(argument.trim().trim_matches('"')),
                _ => None,
            };
            // If directives contradict each other, the stricter one wins.
            max_age = [max_age, seconds].into_iter().flatten().min();
        }
    }
    let Some(max_age) = max_age else { return DEFAULT_FRESH };
    let age = headers.get(AGE).and_then(|age| delta_seconds(age.to_str().ok()?.trim())).unwrap_or(0);
    Duration::from_secs(max_age.saturating_sub(age)).clamp(MIN_FRESH, MAX_FRESH)
}

/// Parses delta-seconds (RFC 9111 section 1.2.2): digits only. A number that is too large counts as
/// the largest.
pub(crate) fn delta_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn seconds(cache_control: &[&str], age: Option<&str>) -> u64 {
        let mut headers = HeaderMap::new();
        for value in cache_control {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(value).unwrap());
        }
        if let Some(age) = age {
            headers.insert(AGE, HeaderValue::from_str(age).unwrap());
        }
        freshness(&headers).as_secs()
    }

    #[test]
    fn c105_freshness_is_clamped_whatever_the_response_says() {
        for (cache_control, age, want) in [
            (&[][..], None, 300),
            (&["public"][..], None, 300),
            (&["max-age=600"], None, 600),
            (&["public, Max-Age = 600 , must-revalidate"], None, 600),
            (&["max-age=\"600\""], None, 600),
            (&["max-age=0"], None, 60),
            (&["max-age=59"], None, 60),
            (&["max-age=315360000"], None, 3600),
            (&["max-age=99999999999999999999999999"], None, 3600),
            (&["no-store"], None, 60),
            (&["max-age=600", "no-store"], None, 60),
            (&["max-age=600, max-age=120"], None, 120),
            (&["max-age=-5"], None, 300),
            (&["max-age=1e9"], None, 300),
            (&["max-age="], None, 300),
            (&["max-age=600"], Some("500"), 100),
            (&["max-age=600"], Some("7000"), 60),
            (&["max-age=600"], Some("-100"), 600),
            (&["max-age=600"], Some("soon"), 600),
        ] {
            assert_eq!(seconds(cache_control, age), want, "{cache_control:?} {age:?}");
        }
    }

    proptest! {
        #[test]
        fn c105_no_header_leaves_the_bounds(cache_control in "[ -~]{0,40}", age in "[ -~]{0,10}") {
            let seconds = seconds(&[&cache_control], Some(&age));
            prop_assert!((60..=3600).contains(&seconds));
        }
    }
}
