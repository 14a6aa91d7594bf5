//! Tells whether a host belongs to a known platform, or only looks like it.
//!
//! A look-alike is a host that somebody else can register and that a reader takes for the
//! platform's. Hosts are compared label by label; a label in braces matches any. How many letters
//! may differ depends on the length of the label: in a short one, another letter makes another
//! word, which may be somebody's name.

mod spelling;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::LazyLock;

use super::domain::{public_suffix, registered};
use super::known::FORMS;
use spelling::{edits, is_slip, skeleton};

/// How a host compares with a known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It is the known host.
    Same,
    /// It is another host that a reader takes for the known one.
    Near,
}

/// Whether `host` looks like `known` but is another host.
pub(crate) fn is_near_host(host: &str, known: &str) -> bool {
    likeness(host, known) == Some(Likeness::Near)
}

/// Top-level domains used to imitate a domain of two labels.
const ENDINGS: [&str; 8] = ["co", "cm", "om", "con", "org", "net", "io", "corn"];

/// Endings that nobody can register. A host below them is in a private network.
const PRIVATE_ENDINGS: [&str; 9] = ["local", "internal", "intranet", "lan", "home", "corp", "svc", "localhost", "test"];

/// Well-known hosts that resemble a known host but are not meant to.
const NEIGHBOURS: [&str; 1] = ["gitea.com"];

/// Further domains of the platforms' companies, such as other clouds and other countries.
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

/// Domains that belong to a known platform's company as a whole.
static VENDORS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let of_forms = FORMS.iter().filter_map(|form| registered(form.host()));
    VENDORS_DOMAINS.into_iter().chain(of_forms).collect()
});

/// Shortest label in which one wrong or extra letter counts as a slip.
const LONG_NAME: usize = 6;
/// Shortest label in which two wrong letters count as a slip.
const LONG_FOR_TWO: usize = 9;
/// Most wrong letters in a whole host.
const MOST: usize = 2;

/// Compares `host` with `known`. Both may have variables in braces. `None` if they are unrelated.
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

/// Strips the port and the root dot, lowers the case, and decodes punycode to what a reader sees.
fn bare(host: &str) -> String {
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    if host.contains("xn--") { url::quirks::domain_to_unicode(&host) } else { host }
}

/// Whether `host` is `known`, however it is spelled. [`likeness`] also finds hosts that only look
/// like it, and takes longer.
pub(super) fn is_known_host(host: &str, known: &str) -> bool {
    is_same(&bare(host), known)
}

fn labels(host: &str) -> impl Iterator<Item = &str> {
    host.split('.')
}

fn is_same(host: &str, known: &str) -> bool {
    labels(host).count() == labels(known).count()
        && labels(host).zip(labels(known)).all(|(label, other)| label == other || fits(label, other))
}

/// Whether two labels, at least one of them with a variable, can have the same text.
pub(super) fn fits(label: &str, other: &str) -> bool {
    match (parts(label), parts(other)) {
        (None, None) => false,
        (Some((head, tail)), None) => has(other, head, tail),
        (None, Some((head, tail))) => has(label, head, tail),
        (Some((head, tail)), Some((other_head, other_tail))) => {
            (head.starts_with(other_head) || other_head.starts_with(head))
                && (tail.ends_with(other_tail) || other_tail.ends_with(tail))
        }
    }
}

/// The text before and after the variable of a label.
fn parts(label: &str) -> Option<(&str, &str)> {
    let (head, rest) = label.split_once('{')?;
    Some((head, rest.split_once('}')?.1))
}

fn has(label: &str, head: &str, tail: &str) -> bool {
    label.len() > head.len() + tail.len() && label.starts_with(head) && label.ends_with(tail)
}

/// Whether `host` is below another domain of a known platform's company. Hosts that the company
/// gives to others there do not count as its own.
fn is_other_vendors(host: &str, known: &str) -> bool {
    let Some(domain) = registered(host) else { return false };
    let hosts_others = || public_suffix(host).is_some_and(|suffix| suffix.is_company && suffix.text != domain);
    VENDORS.contains(domain) && registered(known) != Some(domain) && !hosts_others()
}

/// Whether every label equals that of `known` or is a slip away from it.
fn by_label(host: &str, known: &str) -> bool {
    if labels(host).count() != labels(known).count() {
        return false;
    }
    let is_one_domain = registered(host) == registered(known);
    let name_index = name_at(known);
    let last = labels(known).count().saturating_sub(1);
    let mut wrong = 0;
    for (index, (label, other)) in labels(host).zip(labels(known)).enumerate() {
        let cost = if label == other || fits(label, other) {
            Some(0)
        } else if label.contains('{') || other.contains('{') {
            None
        } else if index == last {
            ENDINGS.contains(&label).then_some(1)
        } else if is_one_domain && has_other_number(label, other) {
            // `app3` beside `app`: the company numbers its hosts.
            None
        } else {
            slips(label, other, Some(index) == name_index)
        };
        let Some(cost) = cost else { return false };
        wrong += cost;
    }
    wrong <= MOST
}

/// Index of the label of `known` that its company registered.
fn name_at(known: &str) -> Option<usize> {
    labels(known).count().checked_sub(labels(registered(known)?).count())
}

fn has_other_number(written: &str, other: &str) -> bool {
    let name = |label: &'_ str| label.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    name(written) == name(other)
}

/// The number of wrong letters in a label, if few enough for a reader to miss. `is_name` marks the
/// registered name, which identifies its owner by itself and so allows fewer.
fn slips(label: &str, known: &str, is_name: bool) -> Option<usize> {
    let (own_shape, known_shape) = (skeleton(label), skeleton(known));
    if own_shape == known_shape {
        return Some(0);
    }
    if is_slip(label, known) {
        return Some(1);
    }
    let length = known.chars().count();
    let most = match length {
        LONG_FOR_TWO.. => 2,
        LONG_NAME.. => 1,
        4.. if !is_name => 1,
        _ => 0,
    };
    let as_written = edits(label, known);
    let wrong = if most < 2 { as_written } else { as_written.min(edits(&own_shape, &known_shape)) };
    (wrong <= most).then_some(wrong)
}

/// Whether the hosts differ only by dots and hyphens, and so in the number of labels.
fn by_dots(host: &str, known: &str) -> bool {
    /// Shortest host in which a reader misses one more dot.
    const LONG: usize = 12;
    let squeezed = |text: &str| skeleton(text).replace(['.', '-'], "");
    let (count, others) = (labels(host).count(), labels(known).count());
    let is_long = known.len() >= LONG;
    count != others
        && !host.contains('{')
        && !known.contains('{')
        && (count < others || is_long)
        && squeezed(host) == squeezed(known)
}

/// Whether only the top-level domain differs.
fn has_own_name(host: &str, known: &str) -> bool {
    let (Some((host_name, _)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    is_same(host_name, name)
}

/// Whether the top-level domain imitates that of `known`. Any ending does for a long name below
/// another label. A short or lone name is a word that many use, so only typical endings count.
fn has_other_ending(host: &str, known: &str) -> bool {
    let (Some((_, ending)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    let is_long = name.contains('.') && name.rsplit('.').next().is_some_and(|name| name.len() >= LONG_NAME);
    is_long || ENDINGS.contains(&ending)
}

/// Whether `host` contains the whole known host inside somebody else's domain, with its dots or
/// with hyphens instead.
fn contains_known(host: &str, known: &str) -> bool {
    let (host_labels, others): (Vec<&str>, Vec<&str>) = (labels(host).collect(), labels(known).collect());
    let is_it = |window: &[&str]| {
        let last = window.len().saturating_sub(1);
        window.iter().zip(&others).enumerate().all(|(index, (label, other))| {
            let begins_so = || index == last && label.strip_prefix(*other).is_some_and(|rest| rest.starts_with('-'));
            label == other || fits(label, other) || begins_so()
        })
    };
    // At the end of the host it would be the known domain itself.
    let in_front = host_labels.windows(others.len().max(1)).rev().skip(1).any(is_it);
    let tail_begins_so = host_labels.len() == others.len() && is_it(&host_labels);
    let hyphened = known.replace('.', "-");
    let as_label = |label: &&str| {
        label.split_once(&hyphened).is_some_and(|(before, after)| {
            (before.is_empty() || before.ends_with('-')) && (after.is_empty() || after.starts_with('-'))
        })
    };
    in_front || tail_begins_so || (!known.contains('{') && host_labels.iter().any(as_label))
}

/// Whether the registered domain alone is a slip away from a long one. The labels before it do not
/// matter: the domain is not the company's.
fn by_domain(host: &str, known: &str) -> bool {
    /// Shortest name that nobody else has by chance.
    const LONG: usize = 8;
    /// Shortest name in which a reader misses two wrong letters.
    const LONG_FOR_TWO: usize = 12;
    let (Some(domain), Some(other)) = (registered(host), registered(known)) else { return false };
    let (Some((domain, own_suffix)), Some((other, suffix))) = (domain.split_once('.'), other.split_once('.')) else {
        return false;
    };
    if domain == other || own_suffix != suffix || domain.contains('{') {
        return false;
    }
    let most = match other.chars().count() {
        LONG_FOR_TWO.. => 2,
        LONG.. => 1,
        _ => return false,
    };
    skeleton(domain) == skeleton(other) || edits(domain, other) <= most
}
