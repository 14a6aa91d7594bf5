//! Patterns: the one little language for text from tokens (DESIGN section 5).

use std::fmt;

/// The most characters a pattern has.
const MOST: usize = 2048;

/// A pattern over Unicode scalars, always anchored at both ends. `*` is zero or more characters except `:` and `/`, `**` zero
/// or more of any, `?` exactly one that is not `:` or `/`; `\` escapes `*`, `?` and `\` only.
///
/// A match takes a bounded number of word operations for each character of the text, whatever pattern and text are.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// The literal characters before the first wildcard, unescaped; the whole text of an exact pattern.
    head: String,
    /// What follows the head, from the first wildcard on; `None` for an exact pattern.
    tail: Option<Automaton>,
    /// The literal characters after the last wildcard.
    ending: String,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `\` stands before something it does not escape.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `**`
    DoubleStar,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self::from_tokens(text, &tokens(text)?))
    }

    /// The pattern that matches exactly `literal`, whose characters mean nothing else.
    #[must_use]
    pub fn literal(literal: &str) -> Self {
        let mut text = String::with_capacity(literal.len());
        for c in literal.chars() {
            if matches!(c, '*' | '?' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        Self { text, head: literal.to_owned(), tail: None, ending: literal.to_owned() }
    }

    fn from_tokens(text: &str, tokens: &[Token]) -> Self {
        let literal = |token: &Token| if let Token::Literal(c) = token { Some(*c) } else { None };
        let head: String = tokens.iter().map_while(literal).collect();
        let ending: Vec<char> = tokens.iter().rev().map_while(literal).collect();
        let rest = tokens.iter().skip_while(|token| literal(token).is_some()).copied().collect::<Vec<_>>();
        let tail = (!rest.is_empty()).then(|| Automaton::new(&rest));
        Self { text: text.to_owned(), head, tail, ending: ending.into_iter().rev().collect() }
    }

    /// Whether the whole of `text` matches, byte for byte where the pattern is literal.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.tail {
            None => text == self.head,
            Some(tail) => text.strip_prefix(self.head.as_str()).is_some_and(|rest| tail.accepts(rest)),
        }
    }

    /// Whether it has no wildcard: it matches exactly [`Pattern::literal_head`].
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.tail.is_none()
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The literal text before the first wildcard, escapes resolved; all of it when there is none.
    #[must_use]
    pub fn literal_head(&self) -> &str {
        &self.head
    }

    /// The literal text after the last wildcard, escapes resolved; all of it when there is none.
    #[must_use]
    pub fn literal_ending(&self) -> &str {
        &self.ending
    }

    /// A text that matches, with `x` for each wildcard.
    pub(crate) fn example(&self) -> String {
        let tokens = tokens(&self.text).unwrap_or_default();
        tokens.into_iter().map(|token| if let Token::Literal(c) = token { c } else { 'x' }).collect()
    }

    /// The same pattern with every `*` widened to `**`; `None` when there is no `*`.
    pub(crate) fn widened(&self) -> Option<Self> {
        let narrow = tokens(&self.text).ok()?;
        let mut text = String::new();
        let mut any = false;
        for token in narrow {
            match token {
                Token::Literal(c @ ('*' | '?' | '\\')) => text.extend(['\\', c]),
                Token::Literal(c) => text.push(c),
                Token::One => text.push('?'),
                Token::DoubleStar => text.push_str("**"),
                Token::Star => {
                    any = true;
                    text.push_str("**");
                }
            }
        }
        if any { Self::parse(&text).ok() } else { None }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// Patterns are equal when they are written alike.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Pattern {}

fn tokens(text: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if tokens.len() == MOST {
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

const WORD: usize = u64::BITS as usize;
/// States are the tokens consumed so far, 0 to [`MOST`].
const MOST_WORDS: usize = MOST / WORD + 1;

/// A non-deterministic automaton over bit sets, all states stepped at once: bit `i` is set while the first `i` tokens have
/// matched. No state is ever tried again, so there is nothing to blow up.
#[derive(Clone)]
struct Automaton {
    words: usize,
    /// The bit of the accepting state.
    accept: usize,
    /// For each literal character, ascending, the tokens that are it.
    literals: Vec<(char, Box<[u64]>)>,
    /// Tokens that are `?`.
    ones: Box<[u64]>,
    /// Tokens that are `*` or `**`: may be passed without a character.
    stars: Box<[u64]>,
    /// Tokens that are `**`.
    double_stars: Box<[u64]>,
}

impl Automaton {
    fn new(tokens: &[Token]) -> Self {
        let words = tokens.len() / WORD + 1;
        let mask = |fits: &dyn Fn(Token) -> bool| -> Box<[u64]> {
            let mut bits = vec![0_u64; words];
            for (at, _) in tokens.iter().enumerate().filter(|(_, token)| fits(**token)) {
                if let Some(word) = bits.get_mut(at / WORD) {
                    *word |= 1 << (at % WORD);
                }
            }
            bits.into_boxed_slice()
        };
        let mut characters: Vec<char> =
            tokens.iter().filter_map(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect();
        characters.sort_unstable();
        characters.dedup();
        Self {
            words,
            accept: tokens.len(),
            literals: characters.into_iter().map(|c| (c, mask(&|token| token == Token::Literal(c)))).collect(),
            ones: mask(&|token| token == Token::One),
            stars: mask(&|token| matches!(token, Token::Star | Token::DoubleStar)),
            double_stars: mask(&|token| token == Token::DoubleStar),
        }
    }

    fn accepts(&self, text: &str) -> bool {
        self.run(text).0
    }

    /// Whether `text` is accepted, and how many words were stepped.
    fn run(&self, text: &str) -> (bool, usize) {
        let mut buffer = [0_u64; MOST_WORDS];
        let Some(states) = buffer.get_mut(..self.words) else { return (false, 0) };
        let mut steps = 0;
        if let Some(first) = states.first_mut() {
            *first = 1;
        }
        // A star may be passed without a character; two stars never stand side by side, so one pass closes the set.
        let mut carry = 0;
        for (state, stars) in states.iter_mut().zip(&self.stars) {
            let passed = *state & stars;
            *state |= (passed << 1) | carry;
            carry = passed >> (WORD - 1);
        }
        for c in text.chars() {
            steps += self.words;
            if !self.step(states, c) {
                return (false, steps);
            }
        }
        let accepted = states.get(self.accept / WORD).is_some_and(|word| word >> (self.accept % WORD) & 1 == 1);
        (accepted, steps)
    }

    /// Consumes one character; whether any state is left.
    fn step(&self, states: &mut [u64], c: char) -> bool {
        let separator = matches!(c, ':' | '/');
        let literal = self.literals.binary_search_by_key(&c, |(own, _)| *own).ok().and_then(|at| self.literals.get(at));
        let loops = if separator { &self.double_stars } else { &self.stars };
        let mut alive = 0;
        let mut advance_carry = 0;
        let mut pass_carry = 0;
        for (at, state) in states.iter_mut().enumerate() {
            let word = |mask: &[u64]| mask.get(at).copied().unwrap_or(0);
            let one = if separator { 0 } else { word(&self.ones) };
            let advanced = *state & (literal.map_or(0, |(_, mask)| word(mask)) | one);
            let mut next = (advanced << 1) | advance_carry | (*state & word(loops));
            advance_carry = advanced >> (WORD - 1);
            next |= pass_carry;
            let passed = next & word(&self.stars);
            next |= passed << 1;
            pass_carry = passed >> (WORD - 1);
            alive |= next;
            *state = next;
        }
        alive != 0
    }
}
