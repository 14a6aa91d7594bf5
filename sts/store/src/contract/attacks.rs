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

/// The attacks on managed objects by name.
pub const OBJECT_ATTACKS: [&str; 10] = [
    "an object is gone",
    "an object was altered",
    "an older revision of an object is there again",
    "an object that was deleted is there again",
    "an object stands under the name of another",
    "an object stands under another kind",
    "all objects are gone",
    "all objects and the mark are gone",
    "an older copy of the objects and the mark",
    "something else is among the objects",
];

/// Asserts that no attack on managed objects was left out.
pub fn assert_all_object_attacks<'a>(shown: impl IntoIterator<Item = &'a str>) {
    let shown: Vec<&str> = shown.into_iter().collect();
    for attack in OBJECT_ATTACKS {
        assert!(shown.contains(&attack), "nothing shows: {attack}");
    }
}

/// Asserts that no attack was left out.
pub fn assert_all_attacks<'a>(shown: impl IntoIterator<Item = &'a str>) {
    let shown: Vec<&str> = shown.into_iter().collect();
    for attack in ATTACKS {
        assert!(shown.contains(&attack), "nothing shows: {attack}");
    }
}
