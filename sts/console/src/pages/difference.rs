//! Two texts with the part marked in which they differ.

/// A text of which one part is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) before: String,
    pub(crate) part: String,
    pub(crate) after: String,
}

impl Marked {
    /// A text without a mark.
    pub(crate) fn plain(text: &str) -> Self {
        Self { before: text.to_owned(), ..Self::default() }
    }
}

/// Marks what stands between the common start and the common end of two texts.
pub(crate) fn difference(left: &str, right: &str) -> (Marked, Marked) {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let start = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let longest_end = left.len().min(right.len()) - start;
    let end = left.iter().rev().zip(right.iter().rev()).take(longest_end).take_while(|(a, b)| a == b).count();
    let mark = |text: &[char]| Marked {
        before: text.iter().take(start).collect(),
        part: text.iter().take(text.len() - end).skip(start).collect(),
        after: text.iter().skip(text.len() - end).collect(),
    };
    (mark(&left), mark(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differing_part_of_two_texts_is_marked() {
        let marked = |before: &str, part: &str, after: &str| Marked {
            before: before.to_owned(),
            part: part.to_owned(),
            after: after.to_owned(),
        };
        for (left, right, expected, actual) in [
            ("octo/repo", "Octo/repo", marked("", "o", "cto/repo"), marked("", "O", "cto/repo")),
            ("aa", "aaa", marked("aa", "", ""), marked("aa", "a", "")),
            ("same", "same", marked("same", "", ""), marked("same", "", "")),
            ("", "é", marked("", "", ""), marked("", "é", "")),
            ("refs/heads/main", "refs/tags/main", marked("refs/", "head", "s/main"), marked("refs/", "tag", "s/main")),
        ] {
            assert_eq!(difference(left, right), (expected, actual), "{left} {right}");
        }
    }
}
