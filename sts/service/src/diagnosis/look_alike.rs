//! Compares an `iss` with a similar one of an entry: how they differ, and whether they can be the
//! same issuer.

use sts_policy::EntryView;

/// The most similar entry, and how the token's `iss` differs from its issuer.
pub(super) struct LookAlike<'e, 'r> {
    pub(super) entry: &'e EntryView<'r>,
    /// The differences in words, at least one.
    pub(super) differences: Vec<String>,
    /// Whether it is the same issuer, written differently: same scheme, host and port, and the same
    /// path apart from slashes.
    pub(super) is_same: bool,
    /// Whether the host differs. Somebody else may own it.
    pub(super) is_other_host: bool,
}

/// The entry most similar to `iss`, if one is similar.
pub(super) fn nearest<'e, 'r>(
    iss: &str,
    entries: impl IntoIterator<Item = &'e EntryView<'r>>,
) -> Option<LookAlike<'e, 'r>>
where
    'r: 'e,
{
    let near = entries.into_iter().filter_map(|entry| compared(iss, entry));
    near.min_by_key(|candidate| (!candidate.is_same, candidate.is_other_host, candidate.differences.len()))
}

fn compared<'e, 'r>(iss: &str, entry: &'e EntryView<'r>) -> Option<LookAlike<'e, 'r>> {
    let own = entry.issuer;
    let (Some(sent), Some(wanted)) = (ServiceDependencies::of(iss), ServiceDependencies::of(own)) else {
        let how = sts_policy::difference(own, iss)?;
        return Some(LookAlike { entry, differences: vec![how], is_same: false, is_other_host: false });
    };
    let (is_same_host, mut differences) = hosts(&sent, &wanted)?;
    let is_same = is_same_host
        && sent.scheme.eq_ignore_ascii_case(wanted.scheme)
        && sent.port() == wanted.port()
        && slashless(sent.path) == slashless(wanted.path);
    if !sent.scheme.eq_ignore_ascii_case(wanted.scheme) {
        differences.push(format!("the scheme is `{}`, not `{}`", sent.scheme.escape_debug(), wanted.scheme));
    } else if sent.scheme != wanted.scheme {
        differences.push("the letter case of the scheme".to_owned());
    }
    if sent.port != wanted.port {
        let port =
            |port: Option<&str>| port.map_or("no port".to_owned(), |port| format!("the port `:{}`", bounded(port)));
        differences.push(format!("it has {}, not {}", port(sent.port), port(wanted.port)));
    }
    if sent.path != wanted.path {
        differences.push(paths(sent.path, wanted.path));
    }
    Some(LookAlike { entry, differences, is_same, is_other_host: !is_same_host })
}

/// Whether the hosts are the same, with the differences. `None` if nobody could confuse them.
fn hosts(sent: &ServiceDependencies<'_>, wanted: &ServiceDependencies<'_>) -> Option<(bool, Vec<String>)> {
    if sent.host == wanted.host {
        return Some((true, Vec::new()));
    }
    let rootless = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if sent.host.eq_ignore_ascii_case(wanted.host) {
        return Some((true, vec!["the letter case of the host".to_owned()]));
    }
    if rootless(sent.host) == rootless(wanted.host) {
        return Some((true, vec!["a dot at the end of the host".to_owned()]));
    }
    let (shown, other) = (bounded(sent.host), bounded(wanted.host));
    // A cluster's name with and without its domain.
    if let Some(more) = wanted.host.strip_prefix(sent.host).filter(|more| more.starts_with('.')) {
        return Some((false, vec![format!("`{}` is missing at the end of the host", bounded(more))]));
    }
    let strange = sent.host.chars().find(|c| !c.is_ascii());
    let how = match strange {
        _ if !sts_policy::is_look_alike_host(sent.host, wanted.host) => return None,
        Some(c) => format!(
            "the host `{shown}` has a letter that only looks like one of `{other}` (U+{:04X}), and is another host",
            u32::from(c)
        ),
        None => format!("the host is `{shown}`, another one than `{other}`"),
    };
    Some((false, vec![how]))
}

fn paths(sent: &str, wanted: &str) -> String {
    let (shown, other) = (bounded(sent), bounded(wanted));
    if sent.strip_suffix('/') == Some(wanted) && !wanted.ends_with('/') {
        return "a trailing `/` that the entry's has not".to_owned();
    }
    if wanted.strip_suffix('/') == Some(sent) && !sent.ends_with('/') {
        return "a trailing `/` that only the entry's has".to_owned();
    }
    if slashless(sent) == slashless(wanted) {
        return "they differ only by slashes".to_owned();
    }
    if sent.eq_ignore_ascii_case(wanted) {
        return format!("the letter case of the path: `{shown}`, not `{other}`");
    }
    let (bare_sent, bare_wanted) = (sent.trim_end_matches('/'), wanted.trim_end_matches('/'));
    if let Some(more) = bare_wanted.strip_prefix(bare_sent) {
        return format!("they are on the same host, and `{}` is missing at its end", bounded(more));
    }
    if let Some(more) = bare_sent.strip_prefix(bare_wanted) {
        return format!("they are on the same host, and `{}` follows at its end", bounded(more));
    }
    match sts_policy::difference(wanted, sent) {
        Some(how) => format!("the path is `{shown}`, not `{other}` ({how})"),
        None => format!("the path is `{}`, not `{other}`", if sent.is_empty() { "/" } else { &shown }),
    }
}

fn slashless(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn bounded(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_default).collect()
}

/// A URL in parts.
struct ServiceDependencies<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

impl<'a> ServiceDependencies<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let is_scheme = |scheme: &&str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let port = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (host, port) = match authority.rsplit_once(':').filter(|(_, own)| port(own)) {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        (!host.is_empty()).then_some(Self { scheme, host, port, path })
    }

    /// The port, in words or by the scheme.
    fn port(&self) -> &'a str {
        let default = if self.scheme.eq_ignore_ascii_case("http") { "80" } else { "443" };
        self.port.unwrap_or(default)
    }
}
