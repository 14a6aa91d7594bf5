//! Attacks on a store that try to bring revoked tokens back. Each store carries them out in its own
//! format, and shows that it then refuses to answer.

/// The attacks by name.
pub const ATTACKS: [&str; 11] = [
    "a revocation is gone",
    "the rules are gone",
    "all revocations are gone",
    "all of it is gone",
    "the mark is gone",
    "the mark is another",
    "an older mark",
    "an older copy",
    "a rule that was taken back is there again",
    "a rule is there twice",
    "something else is among the rules",
];

/// Asserts that no attack was left out.
pub fn assert_all_attacks<'a>(shown: impl IntoIterator<Item = &'a str>) {
    let shown: Vec<&str> = shown.into_iter().collect();
    for attack in ATTACKS {
        assert!(shown.contains(&attack), "nothing shows: {attack}");
    }
}
