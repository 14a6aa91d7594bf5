//! Index of identities: finds those that a token may match, without trying all of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher, RandomState};

use smallvec::SmallVec;
use sts_claims::{ClaimPath, ClaimSet, Json};

use crate::account::Account;
use crate::identity::Identity;

/// Position of an identity: the index of its account, and its index in that account. The index has
/// several for each identity, so they are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentityPosition {
    account: u32,
    identity: u32,
}

impl IdentityPosition {
    /// An index beyond `u32::MAX` leads nowhere. So many accounts fit in no memory.
    pub(crate) fn new(account: usize, identity: usize) -> Self {
        let small = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        Self { account: small(account), identity: small(identity) }
    }

    pub(crate) const fn account(self) -> usize {
        self.account as usize
    }

    pub(crate) const fn identity(self) -> usize {
        self.identity as usize
    }

    pub(crate) fn of(self, accounts: &[Account]) -> Option<&Identity> {
        accounts.get(self.account())?.identities.get(self.identity())
    }
}

/// Identities that a token may match. Usually very few.
pub(crate) type Candidates = SmallVec<[IdentityPosition; 4]>;

/// Identities by the hash of a text. The text itself is not stored: comparing it would cost another
/// cache miss. The evaluator checks every candidate anyway, so a hash collision only costs one more
/// check.
type ByHash = HashMap<u64, IdentityList, BuildHasherDefault<Hashed>>;

/// Hasher for keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// One or more identities. Most keys have one, which needs no allocation.
#[derive(Debug)]
enum IdentityList {
    One(IdentityPosition),
    Many(Vec<IdentityPosition>),
}

impl IdentityList {
    fn put(table: &mut ByHash, hash: u64, position: IdentityPosition) {
        match table.entry(hash) {
            Entry::Vacant(free) => drop(free.insert(Self::One(position))),
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Self::Many(list) => list.push(position),
                Self::One(first) => {
                    let both = vec![*first, position];
                    entry.insert(Self::Many(both));
                }
            },
        }
    }

    fn as_slice(&self) -> &[IdentityPosition] {
        match self {
            Self::One(position) => std::slice::from_ref(position),
            Self::Many(list) => list,
        }
    }
}

/// The identities of one issuer entry.
///
/// Each identity is filed under one thing that a matching token must have: the exact subject, an
/// exact claim value, or the literal head of the subject pattern. Of these, the index takes the one
/// that the fewest identities share.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Keyed at random for each index, so that nobody can choose texts that collide.
    hasher: RandomState,
    subjects: ByHash,
    claims: Vec<(ClaimPath, ByHash)>,
    heads: PrefixIndex,
    /// Identities without any such key. Every token is checked against them.
    rest: Vec<IdentityPosition>,
    /// Every identity of the entry, in file order.
    members: Box<[IdentityPosition]>,
    /// Every identity with a subject, sorted by its literal head in lower case. Near misses are
    /// neighbours.
    by_likeness: Box<[IdentityPosition]>,
}

/// A key that an identity can be filed under.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Subject(&'a str),
    Claim(&'a ClaimPath, &'a str),
    Head(&'a str),
}

impl Index {
    /// Builds the index of `members`. Among equally rare keys an exact subject comes first, then
    /// the `preferred` claims, which name the token's owner.
    pub(crate) fn new(members: Vec<IdentityPosition>, accounts: &[Account], preferred: &[&str]) -> Self {
        let identities = || members.iter().filter_map(|position| Some((*position, position.of(accounts)?)));
        let mut shared: HashMap<Key<'_>, usize, foldhash::fast::RandomState> = HashMap::default();
        for key in identities().flat_map(|(_, identity)| keys(identity)).flatten() {
            *shared.entry(key).or_default() += 1;
        }
        let mut index = Self::default();
        let mut heads: Vec<(&str, IdentityPosition)> = Vec::new();
        for (position, identity) in identities() {
            // A group is as rare as its most common key.
            let crowd = |group: &Vec<Key<'_>>| group.iter().filter_map(|key| shared.get(key)).max().copied();
            let rank = |group: &Vec<Key<'_>>| match group.first() {
                Some(Key::Subject(_)) => 0,
                Some(Key::Claim(path, _)) => {
                    1 + preferred.iter().position(|claim| *claim == path.as_str()).unwrap_or(preferred.len())
                }
                Some(Key::Head(_)) | None => usize::MAX,
            };
            let Some(group) = keys(identity).into_iter().min_by_key(|group| (crowd(group), rank(group))) else {
                index.rest.push(position);
                continue;
            };
            for key in group {
                match key {
                    Key::Subject(text) => {
                        let hash = index.hasher.hash_one(text);
                        IdentityList::put(&mut index.subjects, hash, position);
                    }
                    Key::Claim(path, text) => {
                        let hash = index.hasher.hash_one(text);
                        IdentityList::put(index.texts_of(path), hash, position);
                    }
                    Key::Head(text) => heads.push((text, position)),
                }
            }
        }
        index.heads = PrefixIndex::new(&heads, &index.hasher);
        index.by_likeness =
            identities().filter(|(_, identity)| identity.subject.is_some()).map(|(position, _)| position).collect();
        index
            .by_likeness
            .sort_by_cached_key(|position| (folded(head(*position, accounts)).collect::<Vec<u8>>(), *position));
        index.members = members.into();
        index
    }

    fn texts_of(&mut self, path: &ClaimPath) -> &mut ByHash {
        let index = self.claims.iter().position(|(claim, _)| claim == path).unwrap_or_else(|| {
            self.claims.push((path.clone(), ByHash::default()));
            self.claims.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the statement above found or pushed the element")]
        &mut self.claims[index].1
    }

    /// Every identity of the entry, in file order.
    pub(crate) fn members(&self) -> impl Iterator<Item = IdentityPosition> + '_ {
        self.members.iter().copied()
    }

    /// Every identity that may match `claims`, in file order. Misses none that does match.
    pub(crate) fn candidates(&self, claims: &ClaimSet) -> Candidates {
        let mut found = Candidates::from_slice(&self.rest);
        let mut add = |table: &ByHash, hash| {
            table.get(&hash).into_iter().for_each(|identities| found.extend_from_slice(identities.as_slice()));
        };
        let subject = claims.text("sub");
        if let Some(sub) = subject.filter(|_| !self.subjects.is_empty()) {
            add(&self.subjects, self.hasher.hash_one(sub));
        }
        for (path, table) in &self.claims {
            let texts = claims.find(path).into_iter().flat_map(Json::elements).filter_map(Json::as_str);
            texts.for_each(|text| add(table, self.hasher.hash_one(text)));
        }
        if let Some(sub) = subject {
            self.heads.hashes(sub, &self.hasher, |hash| add(&self.heads.under, hash));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Identities that `claims` may nearly match: up to `most` that share a key with the token, and
    /// up to `most` whose subject sorts next to the token's, case ignored.
    pub(crate) fn near_misses(&self, claims: &ClaimSet, accounts: &[Account], most: usize) -> Vec<IdentityPosition> {
        let sub = claims.text("sub").unwrap_or_default();
        let middle = self.by_likeness.partition_point(|position| folded(head(*position, accounts)).lt(folded(sub)));
        let half = most / 2;
        let alike = self.by_likeness.iter().skip(middle.saturating_sub(half)).take(2 * half).copied();
        let mut found: Vec<IdentityPosition> = self.candidates(claims).into_iter().take(most).chain(alike).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The groups of keys that an identity can be filed under. A token that matches the identity has at
/// least one key of every group.
fn keys(identity: &Identity) -> Vec<Vec<Key<'_>>> {
    let subject = identity.subject.as_ref().map(|subject| match subject.literal_head() {
        text if subject.is_exact() => vec![Key::Subject(text)],
        text => vec![Key::Head(text)],
    });
    let exact = identity.conditions.iter().filter_map(|condition| {
        let texts = condition.exact_texts()?.into_iter();
        Some(texts.map(|text| Key::Claim(&condition.path, text)).collect())
    });
    subject.into_iter().chain(exact).collect()
}

fn head(position: IdentityPosition, accounts: &[Account]) -> &str {
    position.of(accounts).and_then(|identity| identity.subject.as_ref()).map_or("", |subject| subject.literal_head())
}

fn folded(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// Index of identities by the literal head of their subject pattern. A look-up tries every prefix
/// of the token's subject that is as long as some head.
#[derive(Debug, Default)]
struct PrefixIndex {
    /// In bytes, ascending.
    lengths: Vec<usize>,
    under: ByHash,
}

impl PrefixIndex {
    fn new(heads: &[(&str, IdentityPosition)], hasher: &RandomState) -> Self {
        let mut lengths: Vec<usize> = heads.iter().map(|(text, _)| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut index = Self { lengths, under: ByHash::default() };
        let mut under = ByHash::default();
        for (text, position) in heads {
            let mut last = None;
            index.hashes(text, hasher, |hash| last = Some(hash));
            last.into_iter().for_each(|hash| IdentityList::put(&mut under, hash, *position));
        }
        index.under = under;
        index
    }

    /// Calls `each` with the hash of every prefix of `text` that has one of the `lengths`. One pass
    /// over the text is enough, because the hasher continues from prefix to prefix.
    fn hashes(&self, text: &str, hasher: &RandomState, mut each: impl FnMut(u64)) {
        let mut state: DefaultHasher = hasher.build_hasher();
        let mut from = 0;
        for &length in &self.lengths {
            let Some(piece) = text.as_bytes().get(from..length) else { return };
            state.write(piece);
            from = length;
            each(state.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_token_is_tried_on_the_identities_of_its_own_repository_only() {
        let accounts = (0..1000).map(|n| {
            let identity = match n % 4 {
                0 => subject("i", &format!("repo:o/r{n}:ref:refs/heads/main")),
                1 => short(identity("i"), "github", json!({ "environment": "prod", "repository": format!("o/r{n}") })),
                2 => {
                    claims(identity("i"), json!({ "ref": "refs/heads/main", "repository_id": [format!("id{n}"), "x"] }))
                }
                _ => claims(subject("i", &format!("repo:o/r{n}:**")), json!({ "event_name": "push" })),
            };
            account(&format!("a{n}"), vec![identity])
        });
        let rules = rules(&spec(accounts.chain([account("any", vec![subject("i", "repo:o/**")])]).collect()));
        let tried = |changes| {
            rules.entries[0].index.candidates(&token(changes)).iter().map(|at| at.account()).collect::<Vec<_>>()
        };
        assert_eq!(tried(json!({ "sub": "repo:o/r4:ref:refs/heads/main" })), [4, 1000]);
        assert_eq!(tried(json!({ "sub": "repo:o/r7:ref:refs/heads/main" })), [7, 1000]);
        assert_eq!(tried(json!({ "sub": "repo:o/r77:ref:refs/heads/main" })), [1000]);
        assert_eq!(tried(json!({ "sub": "x", "repository": "o/r5", "environment": "prod" })), [5]);
        assert_eq!(tried(json!({ "sub": "x", "repository": ["o/r5", "o/r9"] })), [5, 9]);
        assert_eq!(tried(json!({ "sub": "x", "repository_id": "id6" })), [6]);
        assert_eq!(tried(json!({ "repository_id": 6, "sub": null })), [0_usize; 0]);
    }

    #[test]
    fn near_misses_are_bounded_and_begin_alike_whatever_their_case() {
        let accounts = (0..5000).map(|n| {
            account(&format!("a{n}"), vec![subject("i", &format!("repo:Octo-Org/r{n:04}:ref:refs/heads/main"))])
        });
        let rules = rules(&spec(accounts.collect()));
        let claims = token(json!({ "sub": "repo:octo-org/r2500:ref:refs/heads/main" }));
        let near = rules.entries[0].index.near_misses(&claims, &rules.accounts, 100);
        assert!(near.len() <= 101 && near.iter().any(|at| at.account() == 2500), "{near:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_head_that_a_text_begins_with_is_found(
            written in proptest::collection::vec("[ab]{0,5}", 0..20),
            text in "[abc]{0,8}",
        ) {
            let heads: Vec<(&str, IdentityPosition)> = (written.iter().enumerate())
                .map(|(at, head)| (head.as_str(), IdentityPosition::new(at, 0)))
                .collect();
            let hasher = RandomState::new();
            let heads = PrefixIndex::new(&heads, &hasher);
            let mut found: Vec<usize> = vec![];
            heads.hashes(&text, &hasher, |hash| {
                found.extend(heads.under.get(&hash).into_iter().flat_map(IdentityList::as_slice).map(|at| at.account()));
            });
            found.sort_unstable();
            let wanted: Vec<usize> =
                written.iter().enumerate().filter(|(_, head)| text.starts_with(*head)).map(|(at, _)| at).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
