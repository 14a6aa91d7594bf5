//! The parts of a pattern: characters and wildcards.

use std::fmt;

/// Longest pattern, in tokens: wildcards and characters, where an escape counts as one character.
pub(super) const MAX_TOKENS: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `**`
    DoubleStar,
}

impl Token {
    pub(super) const fn literal(self) -> Option<char> {
        if let Self::Literal(c) = self { Some(c) } else { None }
    }
}

/// Prints the token as a pattern spells it.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(c @ ('*' | '?' | '\\')) => write!(f, "\\{c}"),
            Self::Literal(c) => write!(f, "{c}"),
            Self::One => f.write_str("?"),
            Self::Star => f.write_str("*"),
            Self::DoubleStar => f.write_str("**"),
        }
    }
}
