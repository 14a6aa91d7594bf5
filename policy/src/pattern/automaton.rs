//! The automaton that matches a pattern.

use super::token::{MAX_TOKENS, Token};

const WORD: usize = u64::BITS as usize;
/// A state is the number of tokens consumed, 0 to [`MAX_TOKENS`], so there is one more state than tokens.
pub(super) const MAX_WORDS: usize = MAX_TOKENS / WORD + 1;

/// A non-deterministic automaton that steps all its states at once. Bit `i` is set while the first
/// `i` tokens match the text so far. Nothing backtracks, so no input makes the work explode.
pub(super) struct Automaton {
    words: usize,
    /// The bit of the accepting state.
    accept: usize,
    /// The literal characters, ascending.
    characters: Box<[char]>,
    /// Bit sets over the tokens, `words` long each, in one allocation: [`ONES`], [`STARS`],
    /// [`DOUBLE_STARS`], then one set per literal character with the tokens equal to it.
    sets: Box<[u64]>,
}

/// Index of the set of `?` tokens.
const ONES: usize = 0;
/// Index of the set of `*` and `**` tokens. Both may match nothing.
const STARS: usize = 1;
/// Index of the set of `**` tokens.
const DOUBLE_STARS: usize = 2;
/// Index of the first literal character's set.
const LITERALS: usize = 3;

impl Automaton {
    pub(super) fn new(tokens: &[Token]) -> Self {
        let words = tokens.len() / WORD + 1;
        let mut characters: Vec<char> = tokens.iter().filter_map(|token| token.literal()).collect();
        characters.sort_unstable();
        characters.dedup();
        let mut sets = vec![0_u64; (LITERALS + characters.len()) * words];
        for (index, token) in tokens.iter().enumerate() {
            let mut put = |set: usize| {
                if let Some(word) = sets.get_mut(set * words + index / WORD) {
                    *word |= 1 << (index % WORD);
                }
            };
            match token {
                Token::One => put(ONES),
                Token::Star => put(STARS),
                Token::DoubleStar => {
                    put(STARS);
                    put(DOUBLE_STARS);
                }
                Token::Literal(c) => {
                    characters.binary_search(c).into_iter().for_each(|character| put(LITERALS + character));
                }
            }
        }
        Self { words, accept: tokens.len(), characters: characters.into(), sets: sets.into() }
    }

    fn set(&self, index: usize) -> &[u64] {
        self.sets.get(index * self.words..(index + 1) * self.words).unwrap_or_default()
    }

    pub(super) fn accepts(&self, text: &str) -> bool {
        self.run(text).0
    }

    /// Whether `text` is accepted, and the work that took, in words stepped.
    pub(super) fn run(&self, text: &str) -> (bool, usize) {
        let mut buffer = [0_u64; MAX_WORDS];
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

    /// Length of a state set, in words.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The literal characters, ascending.
    pub(super) fn characters(&self) -> impl Iterator<Item = char> + '_ {
        self.characters.iter().copied()
    }

    /// Writes the start states into `states`, which must be all zeros and [`Automaton::words`]
    /// long.
    pub(super) fn begin(&self, states: &mut [u64]) {
        if let (Some(first), Some(stars)) = (states.first_mut(), self.set(STARS).first()) {
            // A leading star may match nothing, so the state after it is a start state, too. Two
            // stars are never adjacent (`**` is one token, `***` is refused), so one pass is
            // enough.
            *first = 1 | (stars & 1) << 1;
        }
    }

    /// Whether `states` contains the accepting state.
    pub(super) fn is_accepting(&self, states: &[u64]) -> bool {
        states.get(self.accept / WORD).is_some_and(|word| word >> (self.accept % WORD) & 1 == 1)
    }

    /// Consumes one character. Returns whether any state is left; if none is, no further text
    /// matches.
    pub(super) fn step(&self, states: &mut [u64], c: char) -> bool {
        let separator = matches!(c, ':' | '/');
        let literal = self.characters.binary_search(&c).map_or(&[][..], |character| self.set(LITERALS + character));
        let ones = if separator { &[] } else { self.set(ONES) };
        let stars = self.set(STARS);
        let loops = if separator { self.set(DOUBLE_STARS) } else { stars };
        let mut alive = 0;
        // The top bit of a word moves into the next word.
        let mut advance_carry = 0;
        let mut pass_carry = 0;
        for (index, state) in states.iter_mut().enumerate() {
            let word = |mask: &[u64]| mask.get(index).copied().unwrap_or(0);
            // A literal or `?` moves on to the next state; a star stays where it is.
            let advanced = *state & (word(literal) | word(ones));
            let mut next = (advanced << 1) | advance_carry | (*state & word(loops));
            advance_carry = advanced >> (WORD - 1);
            next |= pass_carry;
            // A state in front of a star also reaches the state behind it, without a character.
            let passed = next & word(stars);
            next |= passed << 1;
            pass_carry = passed >> (WORD - 1);
            alive |= next;
            *state = next;
        }
        alive != 0
    }
}
