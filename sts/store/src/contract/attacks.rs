//! What somebody who writes to a store does to bring back what was revoked. A store brings the deeds, in its own format, and shows that
//! each leaves it in doubt.

/// The deeds, by name.
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

/// Asserts that none of them was left out.
pub fn assert_all_attacks<'a>(shown: impl IntoIterator<Item = &'a str>) {
    let shown: Vec<&str> = shown.into_iter().collect();
    for attack in ATTACKS {
        assert!(shown.contains(&attack), "nothing shows: {attack}");
    }
}
