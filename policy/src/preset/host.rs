//! Whether a host is that of a known platform, or looks like it.
//!
//! A look-alike is a host that somebody else can register and that a reader takes for the platform's. Hosts are compared
//! label by label, where a label in braces stands for any. How many letters may differ depends on the label: in a short
//! one another letter makes another word, and the word is somebody's name.

mod spelling;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::LazyLock;

use super::domain::{public_suffix, registered};
use super::known::FORMS;
use spelling::{edits, is_slip, skeleton};

/// How a host stands to a known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It is that host.
    Same,
    /// A reader takes it for that host.
    Near,
}

/// Endings by which a domain of two labels is imitated.
const ENDINGS: [&str; 8] = ["co", "cm", "om", "con", "org", "net", "io", "corn"];

/// Endings that nobody can register: a host under them is somebody's own network.
const PRIVATE_ENDINGS: [&str; 9] = ["local", "internal", "intranet", "lan", "home", "corp", "svc", "localhost", "test"];

/// Well-known hosts that lie near to one of ours and are none.
const NEIGHBOURS: [&str; 1] = ["gitea.com"];

/// Domains of the platforms' companies beside those of their known issuers: other clouds of theirs, and other countries.
const VENDORS_DOMAINS: [&str; 22] = [
    "amazonaws.com.cn",
    "amazonaws.eu",
    "amazonwebservices.com.cn",
    "amazonwebservices.eu",
    "api.aws",
    "aws.dev",
    "adc-e.uk",
    "ic.gov",
    "sgov.gov",
    "azure.com",
    "azure.us",
    "azure.cn",
    "windows.net",
    "microsoftonline.com",
    "microsoftonline.us",
    "microsoftonline.cn",
    "microsoftonline.de",
    "microsoftonline-p.com",
    "chinacloudapi.cn",
    "usgovcloudapi.net",
    "microsoft.com",
    "gitlab-dedicated.com",
];

/// Domains of which every host is a known platform's company's.
static VENDORS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let of_forms = FORMS.iter().filter_map(|form| registered(form.host()));
    VENDORS_DOMAINS.into_iter().chain(of_forms).collect()
});

/// The shortest label in which a letter too many or another letter is still taken for a slip.
const LONG_NAME: usize = 6;
/// The shortest label in which two are.
const LONG_FOR_TWO: usize = 9;
/// The most wrong letters of a host.
const MOST: usize = 2;

/// How `host` stands to `known`; both may have variables in braces.
pub(super) fn likeness(host: &str, known: &str) -> Option<Likeness> {
    let host = bare(host);
    if is_same(&host, known) {
        return Some(Likeness::Same);
    }
    let ending = host.rsplit_once('.').map_or(host.as_str(), |(_, ending)| ending);
    if PRIVATE_ENDINGS.contains(&ending) || NEIGHBOURS.contains(&host.as_str()) || is_other_vendors(&host, known) {
        return None;
    }
    let is_near = if has_own_name(&host, known) {
        has_other_ending(&host, known)
    } else {
        by_label(&host, known) || by_dots(&host, known) || contains_known(&host, known) || by_domain(&host, known)
    };
    is_near.then_some(Likeness::Near)
}

/// Without port, root dot and capitals; punycode as it is shown.
fn bare(host: &str) -> String {
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    if host.contains("xn--") { url::quirks::domain_to_unicode(&host) } else { host }
}

fn labels(host: &str) -> impl Iterator<Item = &str> {
    host.split('.')
}

fn is_same(host: &str, known: &str) -> bool {
    labels(host).count() == labels(known).count()
        && labels(host).zip(labels(known)).all(|(own, other)| own == other || fits(own, other))
}

/// Whether two labels, one of which has a variable, may be one text.
pub(super) fn fits(own: &str, other: &str) -> bool {
    match (parts(own), parts(other)) {
        (None, None) => false,
        (Some((head, tail)), None) => has(other, head, tail),
        (None, Some((head, tail))) => has(own, head, tail),
        (Some((head, tail)), Some((other_head, other_tail))) => {
            (head.starts_with(other_head) || other_head.starts_with(head))
                && (tail.ends_with(other_tail) || other_tail.ends_with(tail))
        }
    }
}

/// What stands before and after the variable of a label.
fn parts(label: &str) -> Option<(&str, &str)> {
    let (head, rest) = label.split_once('{')?;
    Some((head, rest.split_once('}')?.1))
}

fn has(label: &str, head: &str, tail: &str) -> bool {
    label.len() > head.len() + tail.len() && label.starts_with(head) && label.ends_with(tail)
}

/// Whether `host` belongs to the company of a known platform, though not by the domain of `known`. What a company hosts
/// for others there is not its own.
fn is_other_vendors(host: &str, known: &str) -> bool {
    let Some(domain) = registered(host) else { return false };
    let hosts_others = public_suffix(host).is_some_and(|own| own.is_company && own.text != domain);
    VENDORS.contains(domain) && registered(known) != Some(domain) && !hosts_others
}

/// Whether every label is that of `known`, or a slip away from it.
fn by_label(host: &str, known: &str) -> bool {
    if labels(host).count() != labels(known).count() {
        return false;
    }
    let is_one_domain = registered(host) == registered(known);
    let name_at = name_at(known);
    let last = labels(known).count().saturating_sub(1);
    let mut wrong = 0;
    for (at, (own, other)) in labels(host).zip(labels(known)).enumerate() {
        let cost = if own == other || fits(own, other) {
            Some(0)
        } else if own.contains('{') || other.contains('{') {
            None
        } else if at == last {
            ENDINGS.contains(&own).then_some(1)
        } else if is_one_domain && has_other_number(own, other) {
            // `app3` beside `app`: the company numbers its hosts.
            None
        } else {
            slips(own, other, Some(at) == name_at)
        };
        let Some(cost) = cost else { return false };
        wrong += cost;
    }
    wrong <= MOST
}

/// The place of the label of `known` that its company registered.
fn name_at(known: &str) -> Option<usize> {
    labels(known).count().checked_sub(labels(registered(known)?).count())
}

fn has_other_number(own: &str, other: &str) -> bool {
    let name = |label: &'_ str| label.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    name(own) == name(other)
}

/// The wrong letters of a label, where a reader may miss them. `is_name` says that it is the registered name, which stands
/// for its owner by itself.
fn slips(own: &str, known: &str, is_name: bool) -> Option<usize> {
    let (own_shape, known_shape) = (skeleton(own), skeleton(known));
    if own_shape == known_shape {
        return Some(0);
    }
    if is_slip(own, known) {
        return Some(1);
    }
    let length = known.chars().count();
    let most = match length {
        LONG_FOR_TWO.. => 2,
        LONG_NAME.. => 1,
        4.. if !is_name => 1,
        _ => 0,
    };
    let as_written = edits(own, known);
    let wrong = if most < 2 { as_written } else { as_written.min(edits(&own_shape, &known_shape)) };
    (wrong <= most).then_some(wrong)
}

/// Whether the hosts differ only by dots and hyphens, in the number of labels, too.
fn by_dots(host: &str, known: &str) -> bool {
    /// Letters of a host in which one more dot is not seen.
    const LONG: usize = 12;
    let squeezed = |text: &str| skeleton(text).replace(['.', '-'], "");
    let (own, others) = (labels(host).count(), labels(known).count());
    let is_long = known.len() >= LONG;
    own != others
        && !host.contains('{')
        && !known.contains('{')
        && (own < others || is_long)
        && squeezed(host) == squeezed(known)
}

/// Whether only the top-level domain differs.
fn has_own_name(host: &str, known: &str) -> bool {
    let (Some((own, _)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    is_same(own, name)
}

/// Whether the top-level domain is one by which a name is imitated. A short name, and one without more before it, is a
/// word that many use.
fn has_other_ending(host: &str, known: &str) -> bool {
    let (Some((_, ending)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    let is_long = name.contains('.') && name.rsplit('.').next().is_some_and(|name| name.len() >= LONG_NAME);
    is_long || ENDINGS.contains(&ending)
}

/// The whole of a known host in somebody else's domain, its dots as they are or as hyphens.
fn contains_known(host: &str, known: &str) -> bool {
    let (own, others): (Vec<&str>, Vec<&str>) = (labels(host).collect(), labels(known).collect());
    let is_it = |window: &[&str]| {
        let last = window.len().saturating_sub(1);
        window.iter().zip(&others).enumerate().all(|(at, (own, other))| {
            let begins_so = || at == last && own.strip_prefix(*other).is_some_and(|rest| rest.starts_with('-'));
            own == other || fits(own, other) || begins_so()
        })
    };
    // At the end of the host it is the known domain itself.
    let in_front = own.windows(others.len().max(1)).rev().skip(1).any(is_it);
    let tail_begins_so = own.len() == others.len() && is_it(&own);
    let hyphened = known.replace('.', "-");
    let as_label = |label: &&str| {
        label.split_once(&hyphened).is_some_and(|(before, after)| {
            (before.is_empty() || before.ends_with('-')) && (after.is_empty() || after.starts_with('-'))
        })
    };
    in_front || tail_begins_so || (!known.contains('{') && own.iter().any(as_label))
}

/// Whether the registered domain alone is a slip away from a long one: whatever stands before it, it is not theirs.
fn by_domain(host: &str, known: &str) -> bool {
    /// Letters of a name that is nobody else's by chance.
    const LONG: usize = 8;
    /// Letters of a name in which two wrong ones are not seen.
    const LONG_FOR_TWO: usize = 12;
    let (Some(own), Some(other)) = (registered(host), registered(known)) else { return false };
    let (Some((own, own_suffix)), Some((other, suffix))) = (own.split_once('.'), other.split_once('.')) else {
        return false;
    };
    if own == other || own_suffix != suffix || own.contains('{') {
        return false;
    }
    let most = match other.chars().count() {
        LONG_FOR_TWO.. => 2,
        LONG.. => 1,
        _ => return false,
    };
    skeleton(own) == skeleton(other) || edits(own, other) <= most
}
