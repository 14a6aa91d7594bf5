//! The pattern language that rules match token text with.

mod automaton;
mod language;
mod token;

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use automaton::Automaton;
pub(crate) use language::{Search, shortest};
use token::{MAX_TOKENS, Token};

/// A pattern over Unicode scalar values, anchored at both ends.
///
/// `*` matches zero or more characters other than `:` and `/`. `**` matches zero or more of any
/// character. `?` matches exactly one character other than `:` and `/`. `\` escapes `*`, `?` and
/// `\`, and nothing else.
///
/// The work per character of text is bounded, so neither a hostile pattern nor a hostile text makes
/// a match slow.
#[derive(Clone)]
pub struct Pattern {
    /// The text as written. If the head has escapes, the head without them follows.
    stored: Box<str>,
    /// `None` for an exact pattern.
    tail: Option<Arc<Tail>>,
    head: Head,
}

/// The literal characters before the first wildcard, unescaped. An exact pattern is all head.
#[derive(Clone, Copy)]
enum Head {
    /// The head has no escapes: it is this many bytes of the pattern's text.
    Written(u32),
    /// The head has escapes. The written text has this many bytes, and the head follows.
    Unescaped(u32),
}

/// The rest of a pattern, from the first wildcard on. Many patterns have the same tail (`**`) and
/// share one allocation.
struct Tail {
    /// The text as written.
    text: Box<str>,
    /// `None` for `**` alone, which accepts everything.
    automaton: Option<Automaton>,
    /// The literal characters after the last wildcard.
    ending: Box<str>,
}

impl PartialEq for Tail {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Tail {}

impl Hash for Tail {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Deduplicates tails.
#[derive(Default)]
pub(crate) struct Tails(HashSet<Arc<Tail>, foldhash::fast::RandomState>);

/// The text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `\` precedes a character other than `*`, `?` and `\`.
    #[error("`\\` in a pattern escapes `*`, `?` and `\\` only; write `\\\\` for a backslash")]
    Escape,
    /// `\` is the last character.
    #[error("a pattern ends in a lone `\\`; write `\\\\` for a backslash")]
    TrailingEscape,
    /// Three or more `*` in a row.
    #[error("`***` is not a pattern; write `**` for any characters, or `*` for any but `:` and `/`")]
    ThreeStars,
    /// More than 2,048 characters.
    #[error("a pattern has at most 2,048 characters")]
    TooLong,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self::from_tokens(text, &tokens(text)?))
    }

    /// Returns the pattern that matches `literal` and nothing else. Wildcards in it are escaped.
    #[must_use]
    pub fn literal(literal: &str) -> Self {
        let mut text = String::with_capacity(literal.len());
        for c in literal.chars() {
            if matches!(c, '*' | '?' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        Self::new(text, literal, None)
    }

    fn from_tokens(text: &str, tokens: &[Token]) -> Self {
        let head: String = tokens.iter().map_while(|token| token.literal()).collect();
        let wild = tokens.iter().position(|token| token.literal().is_none());
        let tail = wild.and_then(|index| tokens.get(index..)).map(|rest| Arc::new(Tail::new(rest)));
        Self::new(text.to_owned(), &head, tail)
    }

    fn new(mut text: String, head: &str, tail: Option<Arc<Tail>>) -> Self {
        // A pattern comes from a file, which has at most 10 MiB, or from a token, which has less.
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let head = if text.starts_with(head) {
            Head::Written(length(head))
        } else {
            let written = length(&text);
            text.push_str(head);
            Head::Unescaped(written)
        };
        Self { stored: text.into(), tail, head }
    }

    /// Replaces the tail by the equal one in `tails`, or adds it there.
    pub(crate) fn share(&mut self, tails: &mut Tails) {
        let Some(tail) = &mut self.tail else { return };
        match tails.0.get(tail) {
            Some(shared) => *tail = Arc::clone(shared),
            None => drop(tails.0.insert(Arc::clone(tail))),
        }
    }

    /// Whether the pattern matches the whole of `text`. Literal parts are compared byte for byte:
    /// there is no Unicode normalisation and no case folding.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.tail {
            None => text == self.literal_head(),
            Some(tail) => text.strip_prefix(self.literal_head()).is_some_and(|rest| tail.accepts(rest)),
        }
    }

    /// Whether the pattern has no wildcard and so matches [`Pattern::literal_head`] alone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.tail.is_none()
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self.head {
            Head::Written(_) => &self.stored,
            Head::Unescaped(written) => self.stored.get(..written as usize).unwrap_or_default(),
        }
    }

    /// The literal text before the first wildcard, unescaped. The whole text of an exact pattern.
    #[must_use]
    pub fn literal_head(&self) -> &str {
        match self.head {
            Head::Written(bytes) => self.stored.get(..bytes as usize).unwrap_or_default(),
            Head::Unescaped(written) => self.stored.get(written as usize..).unwrap_or_default(),
        }
    }

    /// The literal text after the last wildcard, unescaped. The whole text of an exact pattern.
    #[must_use]
    pub fn literal_ending(&self) -> &str {
        self.tail.as_ref().map_or_else(|| self.literal_head(), |tail| &tail.ending)
    }

    /// A text that the pattern matches, with `x` for each wildcard.
    pub(crate) fn example(&self) -> String {
        let tokens = tokens(self.as_str()).unwrap_or_default();
        tokens.into_iter().map(|token| token.literal().unwrap_or('x')).collect()
    }

    /// The same pattern with every `*` widened to `**`. `None` without a `*`.
    pub(crate) fn widened(&self) -> Option<Self> {
        let mut wide = tokens(self.as_str()).ok()?;
        let stars = wide.iter_mut().filter(|token| **token == Token::Star);
        let has_star = stars.map(|star| *star = Token::DoubleStar).count() > 0;
        let text: String = wide.iter().map(Token::to_string).collect();
        if has_star { Self::parse(&text).ok() } else { None }
    }
}

impl Tail {
    fn new(tokens: &[Token]) -> Self {
        let ending = tokens.iter().rposition(|token| token.literal().is_none()).map_or(0, |last| last + 1);
        Self {
            text: tokens.iter().map(Token::to_string).collect::<String>().into(),
            automaton: (tokens != [Token::DoubleStar]).then(|| Automaton::new(tokens)),
            ending: tokens.iter().skip(ending).filter_map(|token| token.literal()).collect::<String>().into(),
        }
    }

    fn accepts(&self, rest: &str) -> bool {
        self.automaton.as_ref().is_none_or(|automaton| automaton.accepts(rest))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

/// Patterns are equal when their texts are. Two spellings of one language are not.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::with_capacity(text.len().min(MAX_TOKENS));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if tokens.len() == MAX_TOKENS {
            return Err(PatternError::TooLong);
        }
        tokens.push(match c {
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => Token::Literal(escaped),
                Some(_) => return Err(PatternError::Escape),
                None => return Err(PatternError::TrailingEscape),
            },
            '?' => Token::One,
            '*' if chars.next_if_eq(&'*').is_none() => Token::Star,
            '*' if chars.peek() == Some(&'*') => return Err(PatternError::ThreeStars),
            '*' => Token::DoubleStar,
            c => Token::Literal(c),
        });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use foldhash::quality::FixedState;

    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    /// The definition, spelled out. Exponential, so for small inputs only.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        let separator = |c: &char| matches!(c, ':' | '/');
        match pattern {
            [] => text.is_empty(),
            ['*', '*', rest @ ..] => (0..=text.len()).any(|n| oracle(rest, &text[n..])),
            ['*', rest @ ..] => {
                let most = text.iter().take_while(|c| !separator(c)).count();
                (0..=most).any(|n| oracle(rest, &text[n..]))
            }
            ['?', rest @ ..] => text.first().is_some_and(|c| !separator(c)) && oracle(rest, &text[1..]),
            ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && oracle(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn c066_the_matcher_agrees_with_the_definition(
            pattern in proptest::collection::vec(proptest::sample::select(vec!["a", "b", ":", "/", "*", "**", "?", "\\*", "\\\\", "é"]), 0..9),
            text in "[ab:/*?\\\\é]{0,9}",
        ) {
            let pattern = pattern.concat();
            let Ok(parsed) = Pattern::parse(&pattern) else {
                prop_assert!(pattern.contains("***"));
                return Ok(());
            };
            let of = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(parsed.matches(&text), oracle(&of(&pattern), &of(&text)), "{} on {}", pattern, text);
            prop_assert!(parsed.matches(&parsed.example()));
        }

        #[test]
        fn c067_a_literal_matches_itself_alone(text in "\\PC{0,40}", other in "\\PC{0,40}") {
            let pattern = Pattern::literal(&text);
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
            prop_assert_eq!(Pattern::parse(pattern.as_str()).unwrap().matches(&text), true);
        }

        #[test]
        fn long_patterns_cross_word_boundaries(head in 0_usize..200, tail in 0_usize..200, gap in 0_usize..9) {
            // The pattern begins with a wildcard, so all of it is in the automaton.
            let pattern = format!("?{}*{}", "a".repeat(head), "b".repeat(tail));
            let text = |b: usize| format!("x{}{}{}", "a".repeat(head), "c".repeat(gap), "b".repeat(b));
            prop_assert!(matches(&pattern, &text(tail)));
            prop_assert_eq!(matches(&pattern, &text(tail.saturating_sub(1))), tail == 0);
        }
    }

    #[test]
    fn a_star_at_a_word_boundary_goes_on_while_it_is_reached_again() {
        // 64 tokens precede the last star, so it is in the second word. Every further `a` reaches
        // it again.
        let pattern = Pattern::parse(&format!("*{}*b", "a".repeat(63))).unwrap();
        for more in 0..5 {
            assert!(pattern.matches(&("a".repeat(63 + more) + "b")), "{more} more");
        }
        assert!(!pattern.matches(&("a".repeat(62) + "b")));
        // A star may match nothing. It then leads only to the token after it.
        let pattern = Pattern::parse(&format!("*{}b", "a".repeat(126))).unwrap();
        assert!(pattern.matches(&("a".repeat(126) + "b")) && !pattern.matches("b"));
    }

    #[test]
    fn a_pattern_of_the_most_tokens_runs_whole() {
        let pattern = Pattern::parse(&("*".to_owned() + &"a".repeat(MAX_TOKENS - 1))).unwrap();
        assert!(pattern.matches(&"a".repeat(MAX_TOKENS - 1)) && pattern.matches(&"a".repeat(MAX_TOKENS)));
        assert!(!pattern.matches(&"a".repeat(MAX_TOKENS - 2)));
    }

    #[test]
    fn patterns_are_alike_when_written_alike_and_what_they_share_is_alike() {
        let of = |text| Pattern::parse(text).unwrap();
        assert!(of("a*b") == of("a*b") && of("a*b") != of("a*c") && of("a*") != of("a**"));
        assert_eq!(
            (of("a\\**").to_string(), format!("{:?}", of("a*"))),
            ("a\\**".to_owned(), "Pattern(\"a*\")".to_owned())
        );
        let hash = |pattern: &Pattern| FixedState::default().hash_one(pattern);
        assert!(hash(&of("a*")) == hash(&of("a*")) && hash(&of("a*")) != hash(&of("b*")));

        let tail = |pattern: &Pattern| Arc::clone(pattern.tail.as_ref().unwrap());
        let (mut one, mut twin, mut other) = (of("x/*:a"), of("y/*:a"), of("x/*:b"));
        assert!(tail(&one) == tail(&twin) && tail(&one) != tail(&other), "a tail is its text");
        let of_tail = |tail: Arc<Tail>| FixedState::default().hash_one(tail);
        assert!(of_tail(tail(&one)) == of_tail(tail(&twin)) && of_tail(tail(&one)) != of_tail(tail(&other)));
        let mut tails = Tails::default();
        [&mut one, &mut twin, &mut other].into_iter().for_each(|pattern| pattern.share(&mut tails));
        assert!(Arc::ptr_eq(&tail(&one), &tail(&twin)) && !Arc::ptr_eq(&tail(&one), &tail(&other)));
        assert!(twin.matches("y/z:a") && !twin.matches("x/z:a") && other.matches("x/z:b"));
    }

    #[test]
    fn c062_a_star_stops_at_separators() {
        for (pattern, text, wanted) in [
            ("repo:acme/*", "repo:acme/app:pull_request", false),
            ("repo:acme/*", "repo:acme/app:ref:refs/heads/main", false),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", true),
            ("repo:acme/**", "repo:acme/app:ref:refs/heads/main", true),
            ("repo:acme*", "repo:acme-evil/x:ref:refs/heads/main", false),
            ("**", "", true),
            ("*", "", true),
            ("?", "", false),
            ("?", ":", false),
            ("?", "😀", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} on {text}");
        }
    }

    #[test]
    fn c063_a_branch_pattern_does_not_match_nested_branches_or_smuggled_text() {
        let pattern = Pattern::parse("repo:acme/app:ref:refs/heads/*").unwrap();
        assert!(pattern.matches("repo:acme/app:ref:refs/heads/main"));
        assert!(!pattern.matches("repo:acme/app:ref:refs/heads/feature/x"));
        assert!(!pattern.matches("repo:acme/app:ref:refs/heads/main:environment:prod"));
    }

    #[test]
    fn c067_text_from_a_token_is_never_a_pattern() {
        assert!(!matches("repo:acme/app", "repo:acme/*"));
        assert!(!matches("repo:acme/app", "**"));
        assert!(matches("a\\*b\\?c\\\\", "a*b?c\\"));
        assert!(!matches("a\\*b", "aXb"));
        assert!(matches("a*b", "a*b"));
    }

    #[test]
    fn c068_there_is_no_alternation_and_every_pattern_is_anchored() {
        assert!(matches("a|b", "a|b"));
        for text in ["a", "b", "a|b\n", " a|b", "xa|b"] {
            assert!(!matches("a|b", text), "{text:?}");
        }
        assert!(!matches("a.c", "abc"));
        assert!(!matches("^main$", "main"));
    }

    #[test]
    fn c049_look_alikes_are_other_texts() {
        for other in
            ["main\n", "main ", "main\t", "ma\u{200d}in", "\u{202e}main", "m\u{430}in", "ｍain", "main\0", "MAIN"]
        {
            assert!(!matches("main", other), "{other:?}");
        }
        assert!(!matches("e\u{301}", "é"), "composed and decomposed differ");
        assert!(!matches("a：b", "a:b"));
        assert!(matches("a*b", "a：b"), "only the ASCII colon separates");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, wanted) in [
            ("a\\", PatternError::TrailingEscape),
            ("a\\n", PatternError::Escape),
            ("\\:", PatternError::Escape),
            ("***", PatternError::ThreeStars),
            ("a****", PatternError::ThreeStars),
        ] {
            assert_eq!(Pattern::parse(text), Err(wanted), "{text}");
        }
        assert_eq!(Pattern::parse(&"*a".repeat(1025)), Err(PatternError::TooLong));
        assert!(Pattern::parse(&"*a".repeat(1024)).is_ok());
        assert!(Pattern::parse("\\***").is_ok(), "an escaped star is no star");
    }

    #[test]
    fn c066_every_character_costs_the_same_whatever_pattern_and_text_are() {
        let hostile = [
            ("*".to_owned() + &"a*".repeat(1000), "a".repeat(100_000) + "b:"),
            ("**".to_owned() + &"a**".repeat(600) + "b", "a".repeat(100_000)),
            ("*?".repeat(1000) + ":", "a".repeat(100_000)),
        ];
        for (pattern, text) in hostile {
            let parsed = Pattern::parse(&pattern).unwrap();
            let (accepted, steps) = parsed.tail.as_ref().and_then(|tail| tail.automaton.as_ref()).unwrap().run(&text);
            assert!(!accepted);
            assert!(steps >= text.chars().count(), "{steps} steps");
            assert!(steps <= text.chars().count() * automaton::MAX_WORDS, "{steps} steps");
        }
    }

    #[test]
    fn the_literal_ends_are_known() {
        let pattern = Pattern::parse("repo:o\\*/**:pull_request").unwrap();
        assert_eq!((pattern.literal_head(), pattern.literal_ending()), ("repo:o*/", ":pull_request"));
        assert!(!pattern.is_exact());
        let exact = Pattern::parse("a\\?").unwrap();
        assert_eq!((exact.literal_head(), exact.literal_ending(), exact.is_exact()), ("a?", "a?", true));
        assert_eq!(Pattern::parse("a*b\\*?**").unwrap().widened().unwrap().as_str(), "a**b\\*?**");
        assert_eq!(exact.widened(), None);
    }
}
