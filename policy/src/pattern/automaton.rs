//! The machine that a pattern runs on.

use super::{MOST, Token};

const WORD: usize = u64::BITS as usize;
/// States are the tokens consumed so far, 0 to [`MOST`].
pub(super) const MOST_WORDS: usize = MOST / WORD + 1;

/// A non-deterministic automaton over bit sets, all states stepped at once: bit `i` is set while the first `i` tokens have
/// matched. No state is ever tried again, so there is nothing to blow up.
#[derive(Clone)]
pub(super) struct Automaton {
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
    pub(super) fn new(tokens: &[Token]) -> Self {
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

    pub(super) fn accepts(&self, text: &str) -> bool {
        self.run(text).0
    }

    /// Whether `text` is accepted, and how many words were stepped.
    pub(super) fn run(&self, text: &str) -> (bool, usize) {
        let mut buffer = [0_u64; MOST_WORDS];
        let Some(states) = buffer.get_mut(..self.words) else { return (false, 0) };
        let mut steps = 0;
        self.begin(states);
        for c in text.chars() {
            steps += self.words;
            if !self.step(states, c) {
                return (false, steps);
            }
        }
        (self.is_accepting(states), steps)
    }

    /// How many words a set of states has.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The literal characters, ascending.
    pub(super) fn characters(&self) -> impl Iterator<Item = char> + '_ {
        self.literals.iter().map(|(c, _)| *c)
    }

    /// Puts the states before any character into `states`, which is all zeros and [`Automaton::words`] long.
    pub(super) fn begin(&self, states: &mut [u64]) {
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
    }

    /// Whether what was consumed matches.
    pub(super) fn is_accepting(&self, states: &[u64]) -> bool {
        states.get(self.accept / WORD).is_some_and(|word| word >> (self.accept % WORD) & 1 == 1)
    }

    /// Consumes one character; whether any state is left.
    pub(super) fn step(&self, states: &mut [u64], c: char) -> bool {
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
