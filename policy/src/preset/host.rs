//! Whether a host is that of a known platform, or looks like it.
//!
//! Hosts are compared label by label, where a label in braces stands for any, and as whole texts, so that a dot too few or
//! too many counts as any other letter.

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
const PRIVATE_ENDINGS: [&str; 8] = ["local", "internal", "intranet", "lan", "home", "corp", "svc", "localhost"];

/// Well-known hosts that lie near to one of ours and are none.
const NEIGHBOURS: [&str; 1] = ["gitea.com"];

/// How `host` stands to `known`; both may have variables in braces.
pub(super) fn likeness(host: &str, known: &str) -> Option<Likeness> {
    let host = bare(host);
    if is_same(&host, known) {
        return Some(Likeness::Same);
    }
    let ending = host.rsplit_once('.').map_or(host.as_str(), |(_, ending)| ending);
    if PRIVATE_ENDINGS.contains(&ending) || NEIGHBOURS.contains(&host.as_str()) {
        return None;
    }
    if has_own_name(&host, known) {
        return has_other_ending(&host, known).then_some(Likeness::Near);
    }
    let longest = labels(known).filter(|label| !label.contains('{')).map(str::len).max().unwrap_or(0);
    // In a short name two letters are most of it.
    let most = if longest >= 6 { 2 } else { 1 };
    let is_near = |host: &str, known: &str| by_label(host, known) <= most || by_text(host, known) <= most;
    let near = is_near(&host, known) || is_near(&skeleton(&host), &skeleton(known)) || begins_like(&host, known);
    near.then_some(Likeness::Near)
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
fn fits(own: &str, other: &str) -> bool {
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

/// The letters by which the fixed labels differ; `usize::MAX` where that cannot be said.
fn by_label(host: &str, known: &str) -> usize {
    if labels(host).count() != labels(known).count() {
        return usize::MAX;
    }
    labels(host).zip(labels(known)).fold(0, |sum: usize, (own, other)| {
        let differ = match (own.contains('{') || other.contains('{'), fits(own, other)) {
            (true, true) => 0,
            (true, false) => usize::MAX,
            (false, _) => edits(own, other),
        };
        sum.saturating_add(differ)
    })
}

/// The letters by which the whole texts differ. A host of a family is compared by its labels only: its variable could
/// take in any letters that are wrong.
fn by_text(host: &str, known: &str) -> usize {
    if host.contains('{') { usize::MAX } else { edits(host, known) }
}

/// Whether only the top-level domain differs.
fn has_own_name(host: &str, known: &str) -> bool {
    let (Some((own, _)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    is_same(own, name)
}

/// Whether the top-level domain is one by which a name is imitated. A name of one label is a word that many use.
fn has_other_ending(host: &str, known: &str) -> bool {
    let (Some((_, ending)), Some((name, _))) = (host.rsplit_once('.'), known.rsplit_once('.')) else { return false };
    name.contains('.') || ENDINGS.contains(&ending)
}

/// The whole of a known host before somebody else's domain, its dots as they are or as hyphens.
fn begins_like(host: &str, known: &str) -> bool {
    let count = labels(known).count();
    let more = labels(host).count() > count;
    let begins = more && labels(host).zip(labels(known)).all(|(own, other)| own == other || fits(own, other));
    begins || (!known.contains('{') && labels(host).any(|label| label == known.replace('.', "-")))
}

/// The host with letters that look alike made one.
fn skeleton(host: &str) -> String {
    let alike = |c: char| match c {
        '0' | 'о' | 'ο' | 'օ' => 'o',
        '1' | 'і' | 'ı' | 'ӏ' | 'ι' | 'í' | 'ì' => 'l',
        'i' => 'l',
        '3' | 'е' | 'é' | 'è' | 'ë' | 'ė' => 'e',
        '4' | 'а' | 'α' | 'á' | 'à' | 'ä' => 'a',
        '5' | 'ѕ' => 's',
        'с' | 'ϲ' | 'ç' => 'c',
        'р' | 'ρ' => 'p',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'к' | 'κ' => 'k',
        'т' | 'τ' => 't',
        'м' => 'm',
        'һ' => 'h',
        'ԁ' => 'd',
        'ɡ' => 'g',
        'ո' | 'п' | 'η' => 'n',
        'ó' | 'ö' | 'ò' => 'o',
        'ü' | 'ú' | 'υ' => 'u',
        '‐' | '‑' | '–' | '—' => '-',
        c => c,
    };
    let text: String = host.chars().map(alike).collect();
    text.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// Damerau-Levenshtein distance. A variable in `known` takes any letters of one label, one or more, for nothing.
fn edits(own: &str, known: &str) -> usize {
    let known = tokens(known);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=known.len()).collect();
    let mut last = None;
    for (at, c) in own.chars().enumerate() {
        let mut next = vec![at + 1];
        for (column, token) in known.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let best = match token {
                Some(letter) => {
                    let changed = cell(&row, column) + usize::from(c != *letter);
                    changed.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1)
                }
                None if c == '.' => (cell(&row, column + 1) + 1).min(cell(&next, column) + 1),
                None => cell(&row, column).min(cell(&row, column + 1)).min(cell(&next, column) + 1),
            };
            let swapped = column.checked_sub(1).filter(|previous| {
                *token == last && *token != Some(c) && known.get(*previous).copied().flatten() == Some(c)
            });
            let swapped = swapped.map_or(usize::MAX / 2, |previous| cell(&before, previous) + 1);
            next.push(best.min(swapped));
        }
        before = std::mem::replace(&mut row, next);
        last = Some(c);
    }
    row.last().copied().unwrap_or(0)
}

/// The letters of a known host; `None` for a variable.
fn tokens(known: &str) -> Vec<Option<char>> {
    let mut tokens = Vec::with_capacity(known.len());
    let mut chars = known.chars();
    while let Some(c) = chars.next() {
        if c == '{' {
            let _ = chars.by_ref().find(|c| *c == '}');
            tokens.push(None);
        } else {
            tokens.push(Some(c));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = "token.actions.githubusercontent.com";
    const EKS: &str = "oidc.eks.{region}.amazonaws.com";

    #[test]
    fn a_host_is_the_same_whatever_its_case_port_and_root_dot() {
        for (host, known) in [
            (GITHUB, GITHUB),
            ("Token.Actions.GitHubUserContent.com", GITHUB),
            ("token.actions.githubusercontent.com.", GITHUB),
            ("token.actions.githubusercontent.com:443", GITHUB),
            ("{x}.actions.githubusercontent.com", GITHUB),
            ("t{x}n.actions.githubusercontent.com", GITHUB),
            ("oidc.eks.eu-west-1.amazonaws.com", EKS),
            ("oidc.eks.{r}.amazonaws.com", EKS),
            ("oidc.eks.eu-{r}.amazonaws.com", EKS),
        ] {
            assert_eq!(likeness(host, known), Some(Likeness::Same), "{host}");
        }
    }

    #[test]
    fn fld3_a_letter_or_two_a_look_alike_or_another_ending_is_near() {
        for (host, known) in [
            ("token.action.githubusercontent.com", GITHUB),
            ("tokens.actions.githubusercontent.com", GITHUB),
            ("token.actions.githubusercontnet.com", GITHUB),
            ("token.actions.githubusecontent.com", GITHUB),
            ("token.actions.githubuserscontents.com", GITHUB),
            ("token.actoins.githubusercontent.com", GITHUB),
            ("tokenactions.githubusercontent.com", GITHUB),
            ("token-actions.githubusercontent.com", GITHUB),
            ("token.actions.github-usercontent.com", GITHUB),
            ("token.actions.githubusercontent.co", GITHUB),
            ("token.actions.githubusercontent.net", GITHUB),
            ("token.actions.githubusercontent.com.evil.example", GITHUB),
            ("token-actions-githubusercontent-com.evil.example", GITHUB),
            ("t0ken.acti0ns.github0sercontent.com", GITHUB),
            ("tоken.aсtiоns.githubusercоntent.com", GITHUB),
            ("{x}.actions.githubusercontnet.com", GITHUB),
            ("gitlab.co", "gitlab.com"),
            ("gltlab.com", "gitlab.com"),
            ("gitlap.com", "gitlab.com"),
            ("gitIab.com", "gitlab.com"),
            ("xn--gtlab-zsa.com", "gitlab.com"),
            ("xn--gtlab-n2e.com", "gitlab.com"),
            ("accounts.googIe.com", "accounts.google.com"),
            ("account.google.com", "accounts.google.com"),
            ("oidc.eks.eu-west-1.amazonaw.com", EKS),
            ("oidc.ek.eu-west-1.amazonaws.com", EKS),
            ("oidc.eks.{region}.amazonawss.com", EKS),
            ("oidc.fl.io", "oidc.fly.io"),
            ("octo.app.spacelif.io", "{account}.app.spacelift.io"),
        ] {
            assert_eq!(likeness(host, known), Some(Likeness::Near), "{host}");
        }
    }

    #[test]
    fn what_nobody_would_take_for_it_is_left_alone() {
        for (host, known) in [
            ("gitlab.example.com", "gitlab.com"),
            ("gitlab.internal", "gitlab.com"),
            ("gitlab.corp", "gitlab.com"),
            ("gitlab.dev", "gitlab.com"),
            ("gitlap.lan", "gitlab.com"),
            ("gitea.com", "gitlab.com"),
            ("git.acme.com", "gitlab.com"),
            ("{team}.lab.com", "gitlab.com"),
            ("oidc.foo.io", "oidc.fly.io"),
            ("oidc.example.com", "oidc.fly.io"),
            ("ci.terraform.example", "app.terraform.io"),
            ("kubernetes.default.svc", GITHUB),
            ("10.0.0.1", "gitlab.com"),
            ("issuer.example", "scalr.io"),
        ] {
            assert_eq!(likeness(host, known), None, "{host}");
        }
    }
}
