//! The Public Suffix List: the names below which others can register.
//!
//! `public_suffix_list.dat` is the list as Mozilla publishes it, under the MPL-2.0. To refresh it,
//! copy the file from the newest release of the PyPI package `publicsuffixlist`, and set the version
//! of `psl` in the workspace's `Cargo.toml` to the newest one that passes the tests below.

use std::cmp::Ordering;

/// The rules, as `build.rs` writes them. They are searched as text, so that a look-up needs neither
/// a table on the heap nor generated code.
static RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/suffixes.txt"));

/// The end of a host that the list calls a public suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suffix<'a> {
    /// With the trailing dot, if the host has one.
    pub(super) text: &'a str,
    /// `None` if no rule covers the host. Its last label counts as the suffix then.
    pub(super) section: Option<Section>,
}

/// The part of the list that a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Names that a registry gives out.
    Icann,
    /// Names that a company gives out below its own.
    Private,
}

/// The longest suffix of `host` that a rule of the list covers, by the algorithm of
/// <https://publicsuffix.org/list/>. The case of letters matters: rules are in lower case. `None` if
/// the host is empty.
pub(super) fn suffix(host: &str) -> Option<Suffix<'_>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut longest = None;
    // The suffix with one label less, and the section of the wildcard rule for the next label.
    let mut parent = Suffix { text: "", section: None };
    for start in name.rmatch_indices('.').map(|(dot, _)| dot + 1).chain([0]) {
        let kinds = kinds_of_rules(name.get(start..)?.as_bytes());
        if kinds.contains(&b'!') {
            // An exception takes back the wildcard rule for this one name.
            longest = Some(parent);
            break;
        }
        let text = host.get(start..)?;
        let section = section_of(kinds, b'i', b'p').or(parent.section);
        if section.is_some() || longest.is_none() {
            longest = Some(Suffix { text, section });
        }
        parent = Suffix { text, section: section_of(kinds, b'I', b'P') };
        if parent.section.is_none() && !kinds.contains(&b'.') {
            break;
        }
    }
    longest.filter(|suffix| !suffix.text.is_empty())
}

fn section_of(kinds: &[u8], icann: u8, private: u8) -> Option<Section> {
    if kinds.contains(&icann) {
        Some(Section::Icann)
    } else if kinds.contains(&private) {
        Some(Section::Private)
    } else {
        None
    }
}

/// One letter for each rule about exactly `name`: `i` and `p` for a plain rule of the ICANN or the
/// private section, `I` and `P` for the wildcard rule below it, `!` for an exception. A `.` if there
/// are longer names below it.
fn kinds_of_rules(name: &[u8]) -> &'static [u8] {
    let mut lines = RULES;
    while let Some((before, line, after)) = middle_line(lines) {
        let (found, kinds) = name_and_kinds(line);
        match name.cmp(found) {
            Ordering::Less => lines = before,
            Ordering::Equal => return kinds,
            Ordering::Greater => lines = after,
        }
    }
    b""
}

/// The line in the middle of `lines`, and what stands before and after it.
fn middle_line(lines: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first_half, _) = lines.split_at_checked(lines.len() / 2)?;
    let start = first_half.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (before, rest) = lines.split_at_checked(start)?;
    let (line, after) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n')?)?;
    Some((before, line, after.get(1..)?))
}

fn name_and_kinds(line: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"i"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The names of the searched text: those of the rules, in both spellings, and their ends.
    fn names() -> impl Iterator<Item = &'static str> {
        let lines = std::str::from_utf8(RULES).unwrap().lines();
        lines.map(|line| line.split_once(' ').map_or(line, |(name, _)| name))
    }

    /// The rules as they are published, each with its section.
    fn published() -> impl Iterator<Item = (&'static str, Section)> {
        let mut section = Section::Icann;
        include_str!("public_suffix_list.dat").lines().filter_map(move |line| {
            if line.contains("===BEGIN PRIVATE DOMAINS===") {
                section = Section::Private;
            }
            (!line.is_empty() && !line.starts_with("//")).then_some((line, section))
        })
    }

    /// `psl` does not apply a wildcard rule to a label that a longer rule goes through: with the
    /// rules `*.futurecms.at` and `*.ex.futurecms.at`, it takes `at` for the suffix of
    /// `ex.futurecms.at`. By the algorithm, the longest rule that matches counts.
    fn psl_misses_a_wildcard(found: Suffix<'_>) -> bool {
        let name = found.text.strip_suffix('.').unwrap_or(found.text);
        let kinds = kinds_of_rules(name.as_bytes());
        found.section.is_some() && !kinds.is_empty() && section_of(kinds, b'i', b'p').is_none()
    }

    fn by_psl(host: &str) -> Option<Suffix<'_>> {
        let found = psl::suffix(host.as_bytes())?;
        let section = found.typ().map(|kind| match kind {
            psl::Type::Icann => Section::Icann,
            psl::Type::Private => Section::Private,
        });
        Some(Suffix { text: std::str::from_utf8(found.as_bytes()).unwrap(), section })
    }

    fn agrees_with_psl(host: &str) -> bool {
        let (ours, theirs) = (suffix(host), by_psl(host));
        ours == theirs || ours.is_some_and(psl_misses_a_wildcard)
    }

    #[test]
    fn every_name_of_the_list_is_found() {
        assert!(names().is_sorted_by(|one, next| one < next));
        for name in names() {
            assert!(!kinds_of_rules(name.as_bytes()).is_empty(), "{name}");
        }
    }

    #[test]
    fn every_rule_applies_in_its_section() {
        for (rule, section) in published() {
            let (host, wanted) = match (rule.strip_prefix("*."), rule.strip_prefix('!')) {
                (Some(parent), _) => (format!("b.a-label.{parent}"), format!("a-label.{parent}")),
                (_, Some(name)) => (format!("b.{name}"), name.split_once('.').unwrap().1.to_owned()),
                _ => (rule.to_owned(), rule.to_owned()),
            };
            assert_eq!(suffix(&host), Some(Suffix { text: &wanted, section: Some(section) }), "{rule}");
        }
    }

    #[test]
    fn psl_gives_the_same_answer_for_every_rule() {
        for (rule, _) in published() {
            let name = rule.trim_start_matches("*.").trim_start_matches('!');
            let parent = name.split_once('.').map_or("", |(_, parent)| parent);
            let ascii = url::quirks::domain_to_ascii(name);
            let below = [name, &ascii, parent].map(|end| ["a.", "b.a.", "{x}."].map(|labels| format!("{labels}{end}")));
            let other = [rule, name, &ascii, parent, &format!(".{name}"), &format!("{name}.")].map(str::to_owned);
            for host in below.into_iter().flatten().chain(other) {
                assert!(agrees_with_psl(&host), "{host}: {:?}, not {:?}", suffix(&host), by_psl(&host));
            }
        }
    }

    #[test]
    fn the_longest_rule_counts_even_where_psl_misses_it() {
        let by_wildcard = Suffix { text: "ex.futurecms.at", section: Some(Section::Private) };
        assert_eq!(suffix("ex.futurecms.at"), Some(by_wildcard));
        assert_eq!(by_psl("ex.futurecms.at"), Some(Suffix { text: "at", section: Some(Section::Icann) }));
    }

    #[test]
    fn psl_gives_the_same_answer_for_odd_hosts() {
        let dots = ". .. ... a a. a.. .a ..a com com. com.. .com ..com a..com .ck a..ck www..ck ..ck.";
        let rules = "ck a.ck www.ck a.www.ck www.ck. b.a.ck. !www.ck *.ck * *. *.com ! !. ! COM a.Co.Uk";
        let variables = "{x} {x}.com a{x}b.co.uk {x}.{y}.ck {a.b}.com {x}.github.io {x}.";
        let addresses = "127.0.0.1 1.2.3.4. ::1 [::1] [2001:db8::1] localhost example.com:8443 a/b.com //";
        let unicode = "食狮.中国 食狮.xn--fiqs8s a.公司.cn a.xn--55qx5d.cn a.公司.香港 a.公司.xn--j6w193g \
                       a.xn--55qx5d.香港 a.xn--55qx5d.xn--j6w193g XN--FIQS8S é a.é \u{301}.com \u{10ffff}. \0";
        // A blank and a line feed have a meaning in the text that is searched.
        let blanks = ["", " ", "com i", "ck I", "ck I.com", "a b.com", "a\nb", "com\n", "\ncom", "\n", "com\nck"];
        for host in [dots, rules, variables, addresses, unicode].iter().flat_map(|hosts| hosts.split(' ')).chain(blanks)
        {
            assert_eq!(suffix(host), by_psl(host), "{host:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn psl_gives_the_same_answer_for_a_host_of_the_lists_labels(
            labels in proptest::collection::vec(
                prop_oneof![
                    4 => proptest::sample::select(names().flat_map(|name| name.split('.')).collect::<Vec<_>>()),
                    1 => proptest::sample::select(vec!["", "a", "*", "!", "!www", "{x}", "WWW", "é", "xn--a", "1", " i", "\n"]),
                ],
                0..3,
            ),
            end in proptest::sample::select(names().chain(["", ".", "a"]).collect::<Vec<_>>()),
            dots in proptest::sample::select(vec!["", ".", ".."]),
        ) {
            let host = format!("{}{end}{dots}", labels.iter().map(|label| format!("{label}.")).collect::<String>());
            prop_assert!(agrees_with_psl(&host), "{:?}: {:?}, not {:?}", host, suffix(&host), by_psl(&host));
        }

        #[test]
        fn psl_gives_the_same_answer_for_any_text(host in ".{0,40}|[a-c.]{0,12}|([a-z]{1,3}\\.){0,5}(ck|co|com|jp|uk|us)?") {
            prop_assert!(agrees_with_psl(&host), "{:?}: {:?}, not {:?}", host, suffix(&host), by_psl(&host));
        }
    }
}
