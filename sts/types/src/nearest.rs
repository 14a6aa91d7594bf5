//! "Did you mean": the nearest name in a list.

/// The candidate nearest to `word`, if at most a third of the characters differ.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 64;
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace('-', "_");
    let max_distance = (length / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded(word), &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Damerau-Levenshtein distance: two swapped neighbours count as one edit.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let changed = cell(&row, j) + usize::from(x != *y);
            let mut best = changed.min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1);
            if let (Some(j), Some(previous)) = (j.checked_sub(1), last)
                && b.get(j) == Some(&x)
                && previous == *y
            {
                best = best.min(cell(&before, j) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(0)
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
