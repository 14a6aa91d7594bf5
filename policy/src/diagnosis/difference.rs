//! Explains how a text differs from the expected one, if the difference is easy to overlook.

use icu_normalizer::ComposingNormalizerBorrowed;

use super::{expression, hidden};
use crate::finding::quoted;
use crate::pattern::Pattern;

/// A difference between two texts, in words for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The difference in words.
    pub(crate) text: String,
    /// Whether both texts mean the same thing and only differ in spelling.
    pub(crate) is_spelling: bool,
}

/// One way in which spellings of a thing differ.
struct Spelling {
    name: &'static str,
    /// Removes the difference from a text.
    plain: fn(&str) -> String,
}

/// The ways in which spellings differ, the likeliest first.
const SPELLINGS: [Spelling; 16] = [
    Spelling { name: "the letter case", plain: |text| text.to_lowercase() },
    Spelling { name: "a trailing `/`", plain: |text| text.strip_suffix('/').unwrap_or(text).to_owned() },
    Spelling { name: "the scheme (`https://`)", plain: |text| without_scheme(text).to_owned() },
    Spelling { name: "slashes", plain: single_slashes },
    Spelling { name: "a line break at the end", plain: |text| text.trim_end_matches(['\r', '\n']).to_owned() },
    Spelling { name: "blanks or invisible characters", plain: visible },
    Spelling { name: "quotes", plain: |text| text.replace(hidden::is_quote, "") },
    Spelling { name: "braces", plain: |text| text.replace(['{', '}'], "") },
    Spelling { name: "the port", plain: |text| text.replacen(":443", "", 1) },
    Spelling { name: "URL encoding (the issuer writes `:` inside a value as `%3A`)", plain: percent_decoded },
    Spelling { name: "the ids that the subject carries (`owner@id/repository@id`)", plain: without_ids },
    Spelling { name: "the prefix of a ref (`refs/heads/`, `refs/tags/`)", plain: without_ref_prefix },
    Spelling { name: "hyphens and underscores", plain: |text| text.replace(['-', '_'], "") },
    Spelling { name: "the ending `.git`", plain: |text| text.strip_suffix(".git").unwrap_or(text).to_owned() },
    Spelling { name: NORMALISATION, plain: normalised },
    Spelling { name: "letters that only look alike", plain: look_alikes },
];

/// Unicode can write one letter as one character or as several, and has compatibility forms for
/// layout.
const NORMALISATION: &str = "the Unicode normalisation (one letter, written as other characters)";

/// Longest text to compare. Nobody compares longer ones by eye.
const MAX_COMPARED: usize = 4096;

/// How `text` differs from `pattern`. `None` if the pattern matches, or the two have nothing in
/// common.
pub(crate) fn between(pattern: &Pattern, text: &str) -> Option<Difference> {
    if text.len() > MAX_COMPARED || pattern.matches(text) {
        return None;
    }
    let spelling = |text: String| Some(Difference { text, is_spelling: true });
    if text.starts_with(pattern.literal_head()) && pattern.widened().is_some_and(|wide| wide.matches(text)) {
        let text = "`*` stops at `:` and `/`: `**` in its place matches".to_owned();
        return spelling(text);
    }
    if let Some(one) = SPELLINGS.iter().find(|spelling| is_twin(pattern, text, spelling.plain)) {
        let detail = hidden::extra(pattern.literal_head(), text).map_or(String::new(), |extra| format!(": {extra}"));
        return spelling(format!("they differ only by {}{detail}", one.name));
    }
    if let Some(names) = several_spellings(pattern, text) {
        return spelling(format!("they differ only by {}", names.join(" and ")));
    }
    if let Some(how) = expression::taken_for_pattern(pattern, text) {
        return Some(Difference { text: how, is_spelling: true });
    }
    id_forms(pattern, text).or_else(|| where_they_part(pattern, text))
}

/// A smallest set of spellings that together explain the difference.
fn several_spellings(pattern: &Pattern, text: &str) -> Option<Vec<&'static str>> {
    let fits = |chosen: &[&Spelling]| {
        is_twin(pattern, text, |text| chosen.iter().fold(text.to_owned(), |text, spelling| (spelling.plain)(&text)))
    };
    let mut chosen: Vec<&Spelling> = SPELLINGS.iter().collect();
    if !fits(&chosen) {
        return None;
    }
    for spelling in SPELLINGS.iter().rev() {
        let without: Vec<&Spelling> = chosen.iter().copied().filter(|other| other.name != spelling.name).collect();
        if fits(&without) {
            chosen = without;
        }
    }
    Some(chosen.into_iter().map(|spelling| spelling.name).collect())
}

/// Whether the pattern matches once `plain` has removed the difference from both.
fn is_twin(pattern: &Pattern, text: &str, plain: impl Fn(&str) -> String) -> bool {
    let (head, text) = (plain(pattern.literal_head()), plain(text));
    if head.is_empty() || text.is_empty() {
        return false;
    }
    if pattern.is_exact() {
        return head == text;
    }
    Pattern::parse(&plain(pattern.as_str())).is_ok_and(|twin| twin.matches(&text))
}

/// Explains a text of the wrong kind, such as an id in the place of a name.
fn id_forms(pattern: &Pattern, text: &str) -> Option<Difference> {
    let wanted = pattern.literal_head();
    let kind = |text: &str| match () {
        () if text.is_empty() => None,
        () if text.bytes().all(|byte| byte.is_ascii_digit()) => Some("a number (an id)"),
        () if sts_types::is_uuid(&text.to_ascii_lowercase()) => Some("a UUID"),
        () if text.split_once('@').is_some_and(|(_, host)| host.contains('.')) => Some("an e-mail address"),
        () if text.contains('@') => None,
        () if text.contains("://") => Some("a URI"),
        () if text.starts_with("arn:") => Some("an ARN"),
        () if text.contains(['/', ':']) => None,
        () => Some("a name"),
    };
    let (wanted, sent) = (kind(wanted).filter(|_| pattern.is_exact())?, kind(text)?);
    let differ = wanted != sent;
    differ.then(|| Difference { text: format!("the rule has {wanted}, the token {sent}"), is_spelling: false })
}

/// Explains where two texts part, or that one is the beginning or the end of the other.
fn where_they_part(pattern: &Pattern, text: &str) -> Option<Difference> {
    let wanted = pattern.literal_head();
    let common = wanted.chars().zip(text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>();
    let (wanted_rest, text_rest) = (wanted.get(common..)?, text.get(common..)?);
    let say = |text: String| Some(Difference { text, is_spelling: false });
    if pattern.is_exact() && common == wanted.len() && common > 0 {
        return say(format!("the token's continues with {}", quoted(text_rest)));
    }
    if common == text.len() && common > 0 {
        return say(format!("the rule's continues with {}", quoted(wanted_rest)));
    }
    if pattern.is_exact() && !text.is_empty() && wanted.len() > text.len() && wanted.ends_with(text) {
        let before = wanted.strip_suffix(text).unwrap_or_default();
        return say(format!("the rule's has {} before it", quoted(before)));
    }
    if pattern.is_exact() && !wanted.is_empty() && text.ends_with(wanted) {
        let before = text.strip_suffix(wanted).unwrap_or_default();
        return say(format!("the token's has {} before it", quoted(before)));
    }
    // A common beginning that is short or only a scheme means nothing.
    let shared = wanted.get(..common).unwrap_or_default();
    if shared.len() < 3 || shared.ends_with("://") || "https://".starts_with(shared) {
        return None;
    }
    let beginning = quoted(wanted.get(..common)?);
    if wanted_rest.is_empty() {
        return say(format!("they agree up to {beginning}"));
    }
    say(format!(
        "after {beginning} the token's continues with {}, the rule's with {}",
        quoted(text_rest),
        quoted(wanted_rest)
    ))
}

/// The number of leading characters that the text shares with the pattern's literal head, case
/// ignored. The nearest rule shares most.
pub(crate) fn likeness(pattern: &Pattern, text: &str) -> usize {
    pattern.literal_head().chars().zip(text.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Removes slashes at both ends, and repeated ones.
fn single_slashes(text: &str) -> String {
    text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !hidden::is_hidden(*c)).collect()
}

/// Converts to Unicode normalisation form KC: composed, without compatibility forms.
fn normalised(text: &str) -> String {
    // Nearly every value is ASCII, which is normalised already.
    if text.is_ascii() {
        return text.to_owned();
    }
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

fn without_scheme(text: &str) -> &str {
    let is_scheme =
        |scheme: &str| ["https", "http", "spiffe", "api"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map_or(text, |(_, rest)| rest)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Rewrites `owner@1/repository@2` to `owner/repository`.
pub(super) fn without_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '@' && chars.peek().is_some_and(char::is_ascii_digit) {
            while chars.next_if(char::is_ascii_digit).is_some() {}
        } else {
            out.push(c);
        }
    }
    out
}

fn without_ref_prefix(text: &str) -> String {
    ["refs/heads/", "refs/tags/", "refs/", "heads/", "tags/"].iter().fold(text.to_owned(), |text, prefix| {
        match text.strip_prefix(prefix) {
            Some(rest) => rest.to_owned(),
            None => text.replace(&format!(":{prefix}"), ":"),
        }
    })
}

/// Replaces letters of other alphabets by the Latin ones they look like.
fn look_alikes(text: &str) -> String {
    const ALIKE: [(char, char); 28] = [
        ('а', 'a'),
        ('е', 'e'),
        ('о', 'o'),
        ('р', 'p'),
        ('с', 'c'),
        ('х', 'x'),
        ('у', 'y'),
        ('і', 'i'),
        ('ѕ', 's'),
        ('ԁ', 'd'),
        ('ո', 'n'),
        ('ο', 'o'),
        ('α', 'a'),
        ('ν', 'v'),
        ('А', 'A'),
        ('В', 'B'),
        ('Е', 'E'),
        ('О', 'O'),
        ('Р', 'P'),
        ('С', 'C'),
        ('Т', 'T'),
        ('к', 'k'),
        ('ɡ', 'g'),
        ('–', '-'),
        ('‑', '-'),
        ('—', '-'),
        ('⁄', '/'),
        ('：', ':'),
    ];
    if text.is_ascii() {
        return text.to_owned();
    }
    text.chars().map(|c| ALIKE.iter().find(|(other, _)| *other == c).map_or(c, |(_, latin)| *latin)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(pattern: &str, text: &str) -> String {
        between(&Pattern::parse(pattern).unwrap(), text).map(|difference| difference.text).unwrap_or_default()
    }

    #[test]
    fn a_near_miss_is_named() {
        for (pattern, actual, wanted) in [
            ("Production", "production", "letter case"),
            ("repo:acme/*:ref:refs/heads/Main", "repo:acme/app:ref:refs/heads/main", "letter case"),
            ("https://a.example", "https://a.example/", "trailing `/`"),
            ("https://a.example/", "https://a.example", "trailing `/`"),
            ("repo:o/r:ref:refs/heads/*", "repo:o/r:ref:refs/heads/a/b", "`**`"),
            ("refs/heads/main", "/refs/heads/main", "only by slashes"),
            ("https://a.example/b", "https://a.example//b/", "only by slashes"),
            ("main", "main ", "invisible"),
            ("main", "ma\u{200d}in", "invisible"),
            ("main", "main\n", "line break"),
            ("main", "\"main\"", "quotes"),
            ("https://a.example", "http://a.example", "scheme"),
            ("a.example", "https://a.example", "scheme"),
            ("https://a.example", "https://a.example:443", "port"),
            ("repo:o/r:environment:a:b", "repo:o/r:environment:a%3Ab", "%3A"),
            ("repo:o/r:ref:refs/heads/main", "repo:o@1/r@2:ref:refs/heads/main", "ids"),
            ("main", "refs/heads/main", "ref"),
            ("heads/main", "refs/heads/main", "ref"),
            ("my_app", "my-app", "hyphens"),
            ("https://a.example/r", "https://a.example/r.git", ".git"),
            ("main", "mаin", "look alike"),
            ("repo:acme/.*", "repo:acme/app:ref:refs/heads/main", "regular expression"),
            ("repo:acme/app:ref:refs/heads/(main|release)", "repo:acme/app:ref:refs/heads/main", "regular expression"),
            ("^main$", "main", "regular expression"),
            ("1d397906-81bf-459e-9a8d-eae79c0bc5f3", "{1d397906-81bf-459e-9a8d-eae79c0bc5f3}", "only by braces"),
            ("Abc", "Abc@clients", "continues with `@clients`"),
            ("caf\u{e9}", "cafe\u{301}", "Unicode normalisation"),
            ("ｍain", "main", "Unicode normalisation"),
            ("main ", "main", "the expected value has a blank at its end"),
            (" main", "main", "the expected value has a blank at its beginning"),
            ("main\u{a0}", "main", "the expected value has a no-break space (U+00A0) at its end"),
            ("main", "\u{feff}main", "the actual value has a byte order mark (U+FEFF) at its beginning"),
            ("main\r", "main", "the expected value has a carriage return at its end"),
            ("ma\tin", "main", "the expected value has a tab in it"),
            ("'main'", "main", "quotes: the expected value has them"),
            ("main", "“main”", "quotes: the actual value has them"),
            ("https://A.example", "http://a.example/", "the letter case and a trailing `/` and the scheme"),
            ("octo-org", "65", "the rule has a name, the token a number (an id)"),
            ("7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11", "octo", "the rule has a UUID, the token a name"),
            (
                "repo:o/r:ref:refs/heads/main",
                "repo:o/r:environment:prod",
                "after `repo:o/r:` the token's continues with `environment:prod`",
            ),
            ("octo", "octo-org", "continues with `-org`"),
            ("octo-repo", "octo-org/octo-repo", "before it"),
        ] {
            let explained = explained(pattern, actual);
            assert!(explained.contains(wanted), "{pattern} on {actual}: {explained}");
        }
        assert_eq!(explained("main", "dev"), "");
        assert_eq!(explained("main", "main"), "");
        assert_eq!(explained("/", ""), "");
    }
}
