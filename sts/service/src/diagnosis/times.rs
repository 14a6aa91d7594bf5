//! Tokens that are too late, too early, too long-lived, or used twice.

use sts_policy::Diagnosis;

use super::attempt::{Attempt, with_fixes};
use super::units::not_seconds;
use super::view::{TokenView, span, time};

/// The largest possible `leeway`, in seconds.
const MAX_LEEWAY: i64 = 300;
/// A token that lives longer or is older than this is a password. No hint suggests accepting it.
const MAX_ADVISED: i64 = 7 * 86_400;

/// `exp` has passed.
pub(super) fn expired(token: &TokenView<'_>) -> Option<Diagnosis> {
    let (exp, now) = (token.moment("exp")?, token.now().as_secs());
    let leeway = token.entry().map_or(60, |trust| i64::from(trust.leeway));
    let late = now.saturating_sub(exp);
    let cause = format!(
        "`exp` is {} ({exp}), {} ago by our clock, {}; {} of leeway are given",
        time(exp),
        span(late),
        judged_at(token),
        span(leeway)
    );
    let lived = token.moment("iat").map(|iat| exp.saturating_sub(iat));
    let fix = match lived {
        Some(lived) if late < 300 => format!(
            "request a new token right before the exchange (this one lives {}), and check both clocks if it is new",
            span(lived)
        ),
        _ => "request a new token right before the exchange".to_owned(),
    };
    let expected = format!("later than {}", time(now.saturating_sub(leeway)));
    let found = Diagnosis::new("", cause).at("exp").actual(time(exp)).expected(expected);
    Some(with_fixes(token, found, &fix, [Attempt::of_fresh_token(token, fix.clone(), None)]))
}

fn judged_at(token: &TokenView<'_>) -> String {
    format!("judged as of {}", time(token.now().as_secs()))
}

/// `nbf` or `iat` is in the future.
pub(super) fn not_yet_valid(token: &TokenView<'_>) -> Option<Diagnosis> {
    if let Some(found) = not_seconds(token) {
        return Some(found);
    }
    let now = token.now().as_secs();
    let leeway = token.entry().map_or(60, |trust| i64::from(trust.leeway));
    let (name, at) = ["nbf", "iat"]
        .into_iter()
        .filter_map(|name| Some((name, token.moment(name)?)))
        .filter(|(_, at)| *at > now.saturating_add(leeway))
        .max_by_key(|(_, at)| *at)?;
    let ahead = at.saturating_sub(now);
    let cause = format!(
        "`{name}` is {} ({at}), {} ahead of our clock, {}; {} of leeway are given",
        time(at),
        span(ahead),
        judged_at(token),
        span(leeway)
    );
    let entry = token.entry().map(|trust| trust.entry.to_string()).unwrap_or_default();
    let expected = format!("at most {}", time(now.saturating_add(leeway)));
    let found = Diagnosis::new("", cause).at(name).actual(time(at)).expected(expected);
    if ahead <= MAX_LEEWAY {
        let fix = format!("set both clocks by NTP, or write `leeway: {ahead}s` on issuer entry `{entry}`");
        let widened = Attempt::of_entry(token, fix.clone(), |trust| trust.leeway = u32::try_from(ahead).unwrap_or(0));
        return Some(with_fixes(token, found, &fix, [widened]));
    }
    let later = time(at.saturating_sub(leeway));
    let fix = format!("send the token at {later} or later, or set the issuer's clock and ours by NTP");
    Some(with_fixes(token, found, &fix, [Attempt::of_fresh_token(token, fix.clone(), None)]))
}

/// The token's lifetime is too long, or it is too old.
pub(super) fn too_old(token: &TokenView<'_>) -> Option<Diagnosis> {
    if let Some(found) = not_seconds(token) {
        return Some(found);
    }
    let trust = token.entry()?;
    let (exp, now) = (token.moment("exp")?, token.now().as_secs());
    let begins = token.moment("iat").or_else(|| token.moment("nbf")).unwrap_or(now);
    let (lives, most) = (exp.saturating_sub(begins), i64::try_from(trust.max_token_lifetime).unwrap_or(i64::MAX));
    let entry = &trust.entry;
    if lives > most {
        let from = if token.moment("iat").is_some() { "`exp` - `iat`" } else { "`exp` - now" };
        let cause = format!(
            "the token lives {} ({from}), at most {} is accepted from issuer entry `{entry}` (`max_token_lifetime`)",
            span(lives),
            span(most)
        );
        let found = Diagnosis::new("", cause)
            .at("max_token_lifetime")
            .actual(span(lives))
            .expected(format!("at most {}", span(most)));
        let shorter = format!("request a token that lives at most {}", span(most));
        let longer = format!("write `max_token_lifetime: {}` on issuer entry `{entry}`", setting(lives));
        let widened = (lives <= MAX_ADVISED).then(|| {
            let lives = u64::try_from(lives).unwrap_or(0);
            Attempt::of_entry(token, longer, |trust| trust.max_token_lifetime = lives)
        });
        let shortened = Attempt::of_fresh_token(token, shorter.clone(), Some(most));
        return Some(with_fixes(token, found, &shorter, [shortened, widened.flatten()]));
    }
    let (iat, most) = (token.moment("iat")?, i64::try_from(trust.max_token_age?).unwrap_or(i64::MAX));
    let age = now.saturating_sub(iat);
    let cause = format!(
        "the token is {} old (`iat` is {}, {}), at most {} is accepted from issuer entry `{entry}` (`max_token_age`)",
        span(age),
        time(iat),
        judged_at(token),
        span(most)
    );
    let found =
        Diagnosis::new("", cause).at("max_token_age").actual(span(age)).expected(format!("at most {}", span(most)));
    let new = "request a new token right before the exchange";
    let older = format!("write `max_token_age: {}` on issuer entry `{entry}`", setting(age));
    let widened = (age <= MAX_ADVISED).then(|| {
        let age = u64::try_from(age).ok();
        Attempt::of_entry(token, older, |trust| trust.max_token_age = age)
    });
    Some(with_fixes(token, found, new, [Attempt::of_fresh_token(token, new.to_owned(), Some(most)), widened.flatten()]))
}

/// A duration as the configuration writes it, rounded up to seconds.
fn setting(seconds: i64) -> String {
    match seconds {
        _ if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        _ if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A one-use token that was used.
pub(super) fn replayed(token: &TokenView<'_>) -> Option<Diagnosis> {
    let jti = token.shown_claim("jti");
    let which = jti
        .as_ref()
        .map_or("it has no `jti`, so its signature tells it apart".to_owned(), |jti| format!("`jti` {jti}"));
    let of = token
        .entry()
        .map_or(String::new(), |trust| format!(" (`replay` of issuer entry `{}` or of its identity)", trust.entry));
    let earlier = token.request.earlier_use.map(|earlier| {
        let seconds = i64::try_from(earlier.at_millis / 1000).unwrap_or(i64::MAX);
        format!("{} by request {}", time(seconds), earlier.request_id)
    });
    let when = earlier.as_ref().map_or(String::new(), |earlier| format!(" at {earlier}"));
    let cause = format!("the token may be used once{of}, and was used before{when} ({which})");
    let actual = earlier.map_or("used before".to_owned(), |earlier| format!("used at {earlier}"));
    let found = Diagnosis::new("", cause).at("replay").actual(actual).expected("a token that was not used yet");
    Some(found.fix("request a new token for each exchange, and keep the access token for its lifetime"))
}
