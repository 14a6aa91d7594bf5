//! The machine that a pattern runs on.

use super::{MOST, Token};

const WORD: usize = u64::BITS as usize;
/// States are the tokens consumed so far, 0 to [`MOST`].
pub(super) const MOST_WORDS: usize = MOST / WORD + 1;

/// A non-deterministic automaton over bit sets, all states stepped at once: bit `i` is set while the first `i` tokens have
/// matched. No state is ever tried again, so there is nothing to blow up.
pub(super) struct Automaton {
    words: usize,
    /// The bit of the accepting state.
    accept: usize,
    /// The literal characters, ascending.
    characters: Box<[char]>,
    /// Sets of tokens, `words` long each, in one piece: [`ONES`], [`STARS`],
    /// [`DOUBLE_STARS`], then for each literal character the tokens that are it.
    sets: Box<[u64]>,
}

/// The set of tokens that are `?`.
const ONES: usize = 0;
/// Of those that are `*` or `**`: they may be passed without a character.
const STARS: usize = 1;
/// Of those that are `**`.
const DOUBLE_STARS: usize = 2;
/// Where the sets of the literal characters begin.
const LITERALS: usize = 3;

impl Automaton {
    pub(super) fn new(tokens: &[Token]) -> Self {
        let words = tokens.len() / WORD + 1;
        let mut characters: Vec<char> = tokens.iter().filter_map(|token| token.literal()).collect();
        characters.sort_unstable();
        characters.dedup();
        let mut sets = vec![0_u64; (LITERALS + characters.len()) * words];
        for (at, token) in tokens.iter().enumerate() {
            let mut put = |set: usize| {
                if let Some(word) = sets.get_mut(set * words + at / WORD) {
                    *word |= 1 << (at % WORD);
                }
            };
            match token {
                Token::One => put(ONES),
                Token::Star => put(STARS),
                Token::DoubleStar => {
                    put(STARS);
                    put(DOUBLE_STARS);
                }
                Token::Literal(c) => characters.binary_search(c).into_iter().for_each(|own| put(LITERALS + own)),
            }
        }
        Self { words, accept: tokens.len(), characters: characters.into(), sets: sets.into() }
    }

    fn set(&self, at: usize) -> &[u64] {
        self.sets.get(at * self.words..(at + 1) * self.words).unwrap_or_default()
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
        self.characters.iter().copied()
    }

    /// Puts the states before any character into `states`, which is all zeros and [`Automaton::words`] long.
    pub(super) fn begin(&self, states: &mut [u64]) {
        if let (Some(first), Some(stars)) = (states.first_mut(), self.set(STARS).first()) {
            // A star may be passed without a character; two stars never stand side by side, so one pass is all there is.
            *first = 1 | (stars & 1) << 1;
        }
    }

    /// Whether what was consumed matches.
    pub(super) fn is_accepting(&self, states: &[u64]) -> bool {
        states.get(self.accept / WORD).is_some_and(|word| word >> (self.accept % WORD) & 1 == 1)
    }

    /// Consumes one character; whether any state is left.
    pub(super) fn step(&self, states: &mut [u64], c: char) -> bool {
        let separator = matches!(c, ':' | '/');
        let literal = self.characters.binary_search(&c).map_or(&[][..], |own| self.set(LITERALS + own));
        let ones = if separator { &[] } else { self.set(ONES) };
        let stars = self.set(STARS);
        let loops = if separator { self.set(DOUBLE_STARS) } else { stars };
        let mut alive = 0;
        let mut advance_carry = 0;
        let mut pass_carry = 0;
        for (at, state) in states.iter_mut().enumerate() {
            let word = |mask: &[u64]| mask.get(at).copied().unwrap_or(0);
            let advanced = *state & (word(literal) | word(ones));
            let mut next = (advanced << 1) | advance_carry | (*state & word(loops));
            advance_carry = advanced >> (WORD - 1);
            next |= pass_carry;
            let passed = next & word(stars);
            next |= passed << 1;
            pass_carry = passed >> (WORD - 1);
            alive |= next;
            *state = next;
        }
        alive != 0
    }
}
