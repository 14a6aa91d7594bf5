//! Whether a store of several shards is ready.

use std::collections::BTreeMap;

use crate::ledger::LedgerError;
use crate::warning::Warning;

/// The warning about shards that fail.
const AWAY: &str = "shards_away";
/// The most errors in the text of a warning.
const SHOWN: usize = 3;

/// A shard that is away fails its share alone: the store is ready while any shard is, with a warning
/// that names the others.
pub(super) fn combined(answers: Vec<Result<Vec<Warning>, LedgerError>>) -> Result<Vec<Warning>, LedgerError> {
    let shards = answers.len();
    let mut warnings: BTreeMap<&'static str, (String, Vec<usize>)> = BTreeMap::new();
    let mut errors = Vec::new();
    for (index, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(of_shard) => {
                for Warning { name, text } in of_shard {
                    warnings.entry(name).or_insert((text, Vec::new())).1.push(index.saturating_add(1));
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.len() == shards
        && let Some(first) = errors.first()
    {
        return Err(first.clone());
    }
    let ready = shards.saturating_sub(errors.len());
    let mut combined: Vec<Warning> = Vec::with_capacity(warnings.len().saturating_add(1));
    if !errors.is_empty() {
        let shown: Vec<String> = errors.iter().take(SHOWN).map(ToString::to_string).collect();
        combined.push(Warning {
            name: AWAY,
            text: format!(
                "{} of {shards} shards cannot be used, and their share of the requests fails: {}",
                errors.len(),
                shown.join("; ")
            ),
        });
    }
    // Most shards share their server with others, and warn of the same.
    combined.extend(warnings.into_iter().map(|(name, (text, of_shards))| {
        let text = if of_shards.len() == ready { text } else { format!("{}: {text}", listed(&of_shards, shards)) };
        Warning { name, text }
    }));
    Ok(combined)
}

fn listed(indexes: &[usize], shards: usize) -> String {
    let numbers: Vec<String> = indexes.iter().map(ToString::to_string).collect();
    let noun = if indexes.len() == 1 { "shard" } else { "shards" };
    format!("{noun} {} of {shards}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(name: &'static str) -> Warning {
        Warning { name, text: format!("{name} is weak") }
    }

    fn away(index: usize) -> LedgerError {
        LedgerError::Unavailable(format!("shard {index} of 3: silence").into())
    }

    #[test]
    fn one_shard_that_is_away_is_a_warning_and_all_of_them_are_an_error() {
        let all = combined(vec![Err(away(1)), Err(away(2)), Err(away(3))]).unwrap_err();
        assert!(all.to_string().contains("shard 1 of 3: silence"), "{all}");
        let some = combined(vec![Ok(vec![]), Err(away(2)), Ok(vec![])]).unwrap();
        assert_eq!(some.len(), 1);
        assert!(
            some[0].text.starts_with("1 of 3 shards") && some[0].text.contains("shard 2 of 3: silence"),
            "{some:?}"
        );
        assert_eq!(combined(vec![Ok(vec![]), Ok(vec![])]).unwrap(), []);
    }

    #[test]
    fn a_warning_of_several_shards_is_given_once_and_names_them_unless_all_have_it() {
        let answers =
            vec![Ok(vec![warning("a"), warning("b")]), Ok(vec![warning("a")]), Ok(vec![warning("a"), warning("b")])];
        let texts: Vec<_> =
            combined(answers).unwrap().into_iter().map(|warning| (warning.name, warning.text)).collect();
        assert_eq!(
            texts,
            [("a", "a is weak".to_owned()), ("b", "shards 1, 3 of 3: b is weak".to_owned())],
            "no name comes twice, since it is a label"
        );
        let with_one_away = combined(vec![Ok(vec![warning("a")]), Err(away(2)), Ok(vec![warning("a")])]).unwrap();
        assert_eq!(with_one_away[1].text, "a is weak", "all that answer");
    }
}
