//! Tokens without `iss`, which only a SPIFFE trust domain can issue, and SPIFFE IDs of the wrong
//! trust domain.

use sts_policy::Diagnosis;

use super::attempt::{Attempt, with_fixes};
use super::view::{TokenView, shown_text};

const SCHEME: &str = "spiffe://";

/// A JWT-SVID without `iss` whose trust domain no entry has, or whose `sub` is no SPIFFE ID.
pub(super) fn without_issuer(token: &TokenView<'_>) -> Option<Diagnosis> {
    if token.claim("iss").is_some() {
        return None;
    }
    let sub = token.claim_text("sub")?;
    let is_meant = sub.get(..SCHEME.len()).is_some_and(|own| own.eq_ignore_ascii_case(SCHEME));
    if !is_meant {
        return None;
    }
    let actual = shown_text(sub);
    if let Some(fault) = id_fault(sub) {
        let cause = format!(
            "the token has no `iss`, and its `sub` {actual} is no SPIFFE ID that names a trust domain: {fault}"
        );
        let found = Diagnosis::new("", cause).at("sub").actual(actual).expected("spiffe://TRUST-DOMAIN/PATH");
        return Some(found.fix("have the issuer send the workload's whole SPIFFE ID as `sub`, or send `iss`"));
    }
    let domain = domain_of(sub)?;
    let shown = shown_text(domain);
    let domains: Vec<(&str, &str)> =
        token.snapshot.trust.trust_domains().map(|(domain, trust)| (domain, trust.entry.as_str())).collect();
    let cause =
        format!("the token has no `iss`, and its `sub` names the trust domain {shown}, which no issuer entry has");
    if domains.is_empty() {
        let cause = format!("{cause} (`trust_domain`): no entry takes tokens without `iss`");
        let found = Diagnosis::new("", cause).at("trust_domain").actual(domain).expected("a token with `iss`");
        return Some(found.fix(
            "have SPIRE send `iss` (`jwt_issuer` of the server), or write `trust_domain` on the issuer entry whose keys are that domain's",
        ));
    }
    let listed: Vec<String> = domains
        .iter()
        .take(6)
        .map(|(domain, entry)| format!("{} (issuer entry `{entry}`)", shown_text(domain)))
        .collect();
    let near = nearest(domain, &domains).map_or(String::new(), |(own, how)| match how {
        Some(how) => format!("; the nearest is {}: {how}", shown_text(own)),
        None => format!("; the nearest is {}", shown_text(own)),
    });
    let cause = format!("{cause} as its `trust_domain`; there are {}{near}", listed.join(" and "));
    let expected = domains.iter().map(|(domain, _)| *domain).collect::<Vec<_>>().join(" or ");
    let (own, _) = nearest(domain, &domains).or_else(|| Some((domains.first()?.0, None)))?;
    let found = Diagnosis::new("", cause).at("trust_domain").actual(domain).expected(expected);
    Some(found.fix(format!("present an SVID of the trust domain {}, or a token with `iss`", shown_text(own))))
}

/// A token for an entry with a trust domain, whose `sub` is in another one.
pub(super) fn other_domain(token: &TokenView<'_>) -> Option<Diagnosis> {
    let trust = token.entry()?;
    let wanted = trust.trust_domain.as_deref()?;
    let sub = token.claim_text("sub")?;
    let (entry, actual) = (&trust.entry, shown_text(sub));
    let expected = format!("spiffe://{wanted}/PATH");
    let found = |why: String| {
        let cause = format!(
            "`sub` is {actual}, expected a SPIFFE ID of the trust domain {} (`trust_domain` of issuer entry `{entry}`): {why}",
            shown_text(wanted)
        );
        Diagnosis::new("", cause).at("sub").actual(actual.clone()).expected(expected.clone())
    };
    let fix = format!("present an SVID of the trust domain {}", shown_text(wanted));
    if let Some(fault) = id_fault(sub) {
        return Some(found(fault).fix(fix));
    }
    let domain = domain_of(sub).filter(|own| *own != wanted)?;
    let how = sts_policy::difference(wanted, domain).map_or(String::new(), |how| format!(" ({how})"));
    let found = found(format!("its trust domain is {}{how}", shown_text(domain)));
    let path = sub.get(SCHEME.len() + domain.len()..).unwrap_or_default();
    let changed = Some(format!("{SCHEME}{wanted}{path}").into());
    Some(with_fixes(token, found, &fix, [Attempt::of_claims(token, fix.clone(), &[("sub", changed)])]))
}

/// The trust domain of a SPIFFE ID, valid or not.
fn domain_of(sub: &str) -> Option<&str> {
    sub.strip_prefix(SCHEME)?.split('/').next()
}

/// What is wrong with a SPIFFE ID (SPIFFE-ID section 2).
fn id_fault(sub: &str) -> Option<String> {
    let Some(rest) = sub.strip_prefix(SCHEME) else {
        let scheme = sub.split("://").next().unwrap_or_default();
        return Some(if sub.contains("://") && scheme.eq_ignore_ascii_case("spiffe") {
            format!("the scheme `{scheme}` is written `spiffe`")
        } else {
            "it does not begin with `spiffe://`".to_owned()
        });
    };
    let Some((domain, path)) = rest.split_once('/') else {
        return Some("it has no path, which names the workload".to_owned());
    };
    let fault = match domain {
        "" => "its trust domain is empty",
        domain if domain.contains('@') => "its trust domain has a user name",
        domain if domain.contains(':') => "its trust domain has a port",
        domain if domain.bytes().any(|byte| byte.is_ascii_uppercase()) => "its trust domain has capital letters",
        _ if path.is_empty() => "it has no path, which names the workload",
        _ if path.ends_with('/') => "its path ends in a slash",
        _ if path.split('/').any(str::is_empty) => "its path has an empty part (`//`)",
        _ if path.split('/').any(|part| matches!(part, "." | "..")) => "its path has a part `.` or `..`",
        _ if path.contains('%') => "its path has percent encoding",
        _ => return None,
    };
    Some(fault.to_owned())
}

/// The most similar trust domain, and the difference if it is easy to overlook.
fn nearest<'a>(domain: &str, known: &[(&'a str, &str)]) -> Option<(&'a str, Option<String>)> {
    let twin = known.iter().find_map(|(own, _)| Some((*own, Some(sts_policy::difference(own, domain)?))));
    twin.or_else(|| Some((sts_types::nearest(domain, known.iter().map(|(own, _)| *own))?, None)))
}
