//! "Did you mean": the nearest name in a list.

/// The candidate nearest to `word`, if at most a third of the characters differ. Two swapped
/// neighbours count as one difference.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace('-', "_");
    let word = folded(word);
    let max_distance = (length / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let names = ["issuer", "listen", "data_dir", "max_ttl", "ttl"];
        for (word, meant) in
            [("isuser", "issuer"), ("lisen", "listen"), ("data-dir", "data_dir"), ("MaxTTL", "max_ttl"), ("tll", "ttl")]
        {
            assert_eq!(nearest(word, names), Some(meant), "{word}");
        }
        for word in ["colour", "", "x", "issuer_of_the_token"] {
            assert_eq!(nearest(word, names), None, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(10_000), names), None);
    }
}
