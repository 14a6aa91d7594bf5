//! Finds texts that several patterns match, by a search through the product of their automata.

use std::collections::HashSet;

use super::automaton::Automaton;
use super::{Pattern, tokens};

/// Bound on the work of one search, in automaton words stepped: some tens of milliseconds. Patterns
/// of real rules need a few thousand.
const MOST_STEPS: usize = 8_000_000;

/// Result of [`shortest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// A shortest text.
    Text(String),
    /// No such text exists.
    Nothing,
    /// The search reached its bound without an answer.
    GaveUp,
}

impl Search {
    /// The text, if the search found one.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::GaveUp => None,
        }
    }
}

/// Searches a shortest text that every pattern of `all_of` matches and no pattern of `none_of`
/// does.
///
/// The search steps whole state sets, as matching does. The product is therefore deterministic, and
/// the complement of a pattern needs no construction of its own. One character represents all that
/// no pattern names.
pub(crate) fn shortest<'a>(
    all_of: impl IntoIterator<Item = &'a Pattern>,
    none_of: impl IntoIterator<Item = &'a Pattern>,
) -> Search {
    let mut machines: Vec<Machine> = all_of.into_iter().map(|pattern| Machine::new(pattern, true)).collect();
    machines.extend(none_of.into_iter().map(|pattern| Machine::new(pattern, false)));
    let alphabet = alphabet(&machines);
    let words: usize = machines.iter().map(|machine| machine.automaton.words()).sum();

    let mut start = vec![0; words];
    for_each(&machines, &mut start, |machine, states| machine.automaton.begin(states));
    let mut seen = HashSet::from([start.clone()]);
    let mut reached: Vec<Step> = vec![Step { states: start, before: None }];
    let mut steps = 0;
    let mut index = 0;
    // Breadth first, so the first text that is found is a shortest one.
    while let Some(states) = reached.get(index).map(|step| step.states.clone()) {
        if is_wanted(&machines, &states) {
            return Search::Text(spell(&reached, index));
        }
        for &c in &alphabet {
            steps += words;
            let mut next = states.clone();
            if !consume(&machines, &mut next, c) || seen.contains(&next) {
                continue;
            }
            seen.insert(next.clone());
            reached.push(Step { states: next, before: Some((index, c)) });
        }
        if steps > MOST_STEPS {
            return Search::GaveUp;
        }
        index += 1;
    }
    Search::Nothing
}

struct Machine {
    automaton: Automaton,
    /// Whether the pattern must match. If not, it must fail to match.
    must: bool,
}

impl Machine {
    fn new(pattern: &Pattern, must: bool) -> Self {
        // The text of a `Pattern` always parses.
        Self { automaton: Automaton::new(&tokens(pattern.as_str()).unwrap_or_default()), must }
    }
}

/// A state set of the product, and how the search reached it.
struct Step {
    states: Vec<u64>,
    /// The index of the step before and the character consumed; `None` for the start.
    before: Option<(usize, char)>,
}

/// Every character that the machines treat differently, with one representative of all the others
/// first. The representative is a plain letter if one is free, for readable examples.
fn alphabet(machines: &[Machine]) -> Vec<char> {
    let mut named: Vec<char> = machines.iter().flat_map(|machine| machine.automaton.characters()).collect();
    named.extend([':', '/']);
    named.sort_unstable();
    named.dedup();
    // The last range alone has more characters than patterns ever name, so one is always free.
    let plain = ('x'..='z').chain('a'..='w').chain('0'..='9').chain('\u{4e00}'..='\u{9fff}');
    let other = plain.into_iter().find(|c| named.binary_search(c).is_err());
    other.into_iter().chain(named).collect()
}

/// Calls `act` with each machine and its part of `states`.
fn for_each(machines: &[Machine], states: &mut [u64], mut act: impl FnMut(&Machine, &mut [u64])) {
    let mut rest = states;
    for machine in machines {
        let Some((part, others)) = rest.split_at_mut_checked(machine.automaton.words()) else { return };
        act(machine, part);
        rest = others;
    }
}

/// Steps every machine. Returns whether all machines that must match still can.
fn consume(machines: &[Machine], states: &mut [u64], c: char) -> bool {
    let mut alive = true;
    for_each(machines, states, |machine, part| {
        let can_match = machine.automaton.step(part, c);
        alive &= can_match || !machine.must;
    });
    alive
}

fn is_wanted(machines: &[Machine], states: &[u64]) -> bool {
    let mut rest = states;
    machines.iter().all(|machine| {
        let Some((part, others)) = rest.split_at_checked(machine.automaton.words()) else { return false };
        rest = others;
        machine.automaton.is_accepting(part) == machine.must
    })
}

/// The text that led to step `index`.
fn spell(reached: &[Step], index: usize) -> String {
    let steps = std::iter::successors(reached.get(index), |step| reached.get(step.before?.0));
    let mut text: Vec<char> = steps.filter_map(|step| Some(step.before?.1)).collect();
    text.reverse();
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn search(all_of: &[&str], none_of: &[&str]) -> Search {
        let parse = |list: &[&str]| list.iter().map(|text| pattern(text)).collect::<Vec<_>>();
        shortest(&parse(all_of), &parse(none_of))
    }

    #[test]
    fn a_shortest_text_is_found_or_shown_not_to_exist() {
        for (all_of, none_of, wanted) in [
            (&["repo:acme*"][..], &["repo:acme"][..], Some("repo:acmex")),
            (&["repo:acme**", "repo:?*/?*:?**"], &["repo:acme/**", "repo:acme@**"], Some("repo:acmex/x:x")),
            (&["repo:acme/**"], &["repo:acme/**"], None),
            (&["repo:acme/*"], &["repo:acme/**"], None),
            (&["repo:acme/**"], &["repo:acme/*"], Some("repo:acme//")),
            (&["*", "repo:**"], &[], None),
            (&["a*", "*b"], &[], Some("ab")),
            (&["a?c", "??d"], &[], None),
            (&["**"], &["?**"], Some("")),
            (&["?**"], &["?*"], Some("x/")),
            (&["x?"], &[], Some("xy")),
            (&["\\*"], &[], Some("*")),
        ] {
            let wanted = wanted.map_or(Search::Nothing, |text| Search::Text(text.to_owned()));
            assert_eq!(search(all_of, none_of), wanted, "{all_of:?} but {none_of:?}");
        }
    }

    #[test]
    fn c066_a_hostile_pattern_costs_bounded_work() {
        let hostile = format!("**a{}", "?".repeat(2000));
        assert_eq!(search(&[&hostile], &["**"]), Search::GaveUp);
        let long = "ab".repeat(1024);
        assert_eq!(search(&[&long], &[]), Search::Text(long.clone()));
    }

    /// Every text of up to four characters, with one character for all those the patterns treat
    /// alike.
    fn texts() -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..4 {
            last = last.iter().flat_map(|text| ['a', 'b', ':', 'x'].map(|c| format!("{text}{c}"))).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_wanted_and_nothing_shorter_is(
            written in proptest::collection::vec(
                proptest::collection::vec(proptest::sample::select(vec!["a", "b", ":", "*", "**", "?"]), 0..5),
                1..4,
            ),
            musts in 1_usize..3,
        ) {
            let parsed: Vec<Pattern> = written.iter().filter_map(|parts| Pattern::parse(&parts.concat()).ok()).collect();
            let (all_of, none_of) = parsed.split_at(musts.min(parsed.len()));
            let wanted = |text: &str| all_of.iter().all(|pattern| pattern.matches(text)) && !none_of.iter().any(|pattern| pattern.matches(text));
            match shortest(all_of, none_of) {
                Search::Text(text) => {
                    prop_assert!(wanted(&text), "{:?} but {:?}: {}", all_of, none_of, text);
                    let length = text.chars().count();
                    prop_assert!(!texts().iter().any(|other| other.len() < length && wanted(other)), "{}", text);
                }
                Search::Nothing => prop_assert!(!texts().iter().any(|text| wanted(text)), "{:?} but {:?}", all_of, none_of),
                Search::GaveUp => prop_assert!(false, "gave up on {:?} but {:?}", all_of, none_of),
            }
        }
    }
}
