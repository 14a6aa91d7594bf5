//! Patterns against their definition, in the plainest words there are.

use std::collections::BTreeSet;

use sts_policy::Pattern;

/// A pattern and a text, parted by a line feed: the matcher agrees with the definition.
pub fn pattern(data: &[u8]) {
    let Some((pattern, text)) = std::str::from_utf8(data).ok().and_then(|both| both.split_once('\n')) else { return };
    // The definition takes a step for each pair of characters.
    if pattern.len() > 200 || text.len() > 2000 {
        return;
    }
    if let Ok(parsed) = Pattern::parse(pattern) {
        assert_eq!(parsed.matches(text), defined(&parts(pattern), text), "{pattern:?} {text:?}");
        assert!(!parsed.is_exact() || !parsed.matches(text) || unescaped(pattern) == text);
    }
}

enum Part {
    Exactly(char),
    /// One character that is not `:` or `/`.
    One,
    /// Zero or more of these.
    Star,
    /// Zero or more of any.
    DoubleStar,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '\\' => Part::Exactly(rest.next().unwrap_or_default()),
            '?' => Part::One,
            '*' if rest.next_if_eq(&'*').is_some() => Part::DoubleStar,
            '*' => Part::Star,
            c => Part::Exactly(c),
        });
    }
    parts
}

fn unescaped(pattern: &str) -> String {
    let literal = |part: &Part| if let Part::Exactly(c) = part { Some(*c) } else { None };
    parts(pattern).iter().filter_map(literal).collect()
}

/// Whether the parts match the whole text: after each part, the places that the text may have been read to.
fn defined(parts: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let is_open = |c: &char| !matches!(c, ':' | '/');
    let mut reached = BTreeSet::from([0]);
    for part in parts {
        let mut next = BTreeSet::new();
        for at in reached {
            let rest = text.get(at..).unwrap_or_default();
            match part {
                Part::Exactly(c) if rest.first() == Some(c) => drop(next.insert(at + 1)),
                Part::One if rest.first().is_some_and(is_open) => drop(next.insert(at + 1)),
                Part::Exactly(_) | Part::One => {}
                Part::Star => next.extend((0..=rest.iter().take_while(|c| is_open(c)).count()).map(|count| at + count)),
                Part::DoubleStar => next.extend(at..=text.len()),
            }
        }
        reached = next;
    }
    reached.contains(&text.len())
}
