//! What is wrong with a token that never reached the rules, for its owner: the claim at fault, what it is and what was wanted.
//! Read from a token that nobody has verified, so it is shown and never believed.

use serde_json::{Number, Value};
use sts_jose::CompactJws;
use sts_types::{ClaimSet, Json, UnixTime};

use crate::Snapshot;
use crate::reason::Reason;

/// The longest value that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// The claim or header member behind `reason`; `None` where the reason says all there is.
pub(crate) fn describe(snapshot: &Snapshot, reason: Reason, token: &str, now: UnixTime) -> Option<String> {
    let jws = CompactJws::parse(token).ok()?;
    let claims = ClaimSet::parse(jws.payload()).ok()?;
    let moment = |name: &str| {
        claims
            .get(name)
            .and_then(Json::as_number)
            .and_then(Number::as_f64)
            .map(|at| format!("`{name}` is {}", time(at)))
    };
    let judged = format!("judged as of {}", time_of(now));
    match reason {
        Reason::TokenExpired => Some(format!("{}, {judged}", moment("exp")?)),
        Reason::TokenNotYetValid => Some(format!(
            "{}, {judged}",
            [moment("nbf"), moment("iat")].into_iter().flatten().collect::<Vec<_>>().join(" and ")
        )),
        Reason::TokenTooOld => Some(format!(
            "{}, {judged}; `max_token_lifetime` and `max_token_age` of the issuer entry are the limits",
            [moment("iat"), moment("exp")].into_iter().flatten().collect::<Vec<_>>().join(" and ")
        )),
        Reason::IssuerUnknown => issuer(snapshot, claims.text("iss")?),
        Reason::KeyUnknown | Reason::SignatureInvalid | Reason::IssuerUnavailable => Some(match &jws.header().kid {
            Some(kid) => {
                format!("its `kid` is {}, its algorithm {}", shown(&Value::from(kid.as_str())), jws.header().algorithm)
            }
            None => format!("it has no `kid`, its algorithm is {}", jws.header().algorithm),
        }),
        Reason::TokenAlgorithm => Some(format!("its algorithm is {}", jws.header().algorithm)),
        Reason::TokenTypeRefused => Some(match &jws.header().typ {
            Some(typ) => format!(
                "its `typ` is {}; list it under `types` of the issuer entry to accept it",
                shown(&Value::from(typ.as_str()))
            ),
            None => "it has a `cnf`".to_owned(),
        }),
        _ => None,
    }
}

/// `iss` against the issuers that are trusted.
pub(crate) fn issuer(snapshot: &Snapshot, iss: &str) -> Option<String> {
    let known = snapshot.trust.issuers();
    let slash = known.iter().find(|own| own.trim_end_matches('/') == iss.trim_end_matches('/'));
    let wanted = match slash {
        Some(own) => format!("`{own}` is trusted: they differ by a slash"),
        None if known.is_empty() => "no issuer is trusted".to_owned(),
        None => format!("trusted are {}", known.iter().map(|own| format!("`{own}`")).collect::<Vec<_>>().join(", ")),
    };
    Some(format!("`iss` is {}, {wanted}", shown(&Value::from(iss))))
}

/// `aud` of a token for somebody else.
pub(crate) fn audience(claims: &ClaimSet) -> Option<String> {
    Some(match claims.get("aud") {
        Some(aud) => format!("`aud` is {}", shown(&aud.to_value())),
        None => "`aud` is absent".to_owned(),
    })
}

/// A value as JSON text in ASCII, bounded.
fn shown(value: &Value) -> String {
    let escaped: String = value
        .to_string()
        .chars()
        .flat_map(|c| if c.is_ascii() { vec![c] } else { c.escape_unicode().collect() })
        .collect();
    match escaped.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", escaped.get(..end).unwrap_or_default()),
        None => escaped,
    }
}

fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "for show: a number out of range saturates")]
    time_of(UnixTime::from_secs(seconds.floor() as i64))
}

fn time_of(at: UnixTime) -> String {
    chrono::DateTime::from_timestamp(at.as_secs(), 0)
        .map_or_else(|| at.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
