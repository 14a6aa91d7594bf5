//! Finding the identities a token may match without trying all of them.

use std::collections::HashMap;

use sts_types::{ClaimPath, ClaimSet};

use crate::condition::elements;
use crate::identity::Identity;
use crate::ruleset::Account;

/// An identity by the indices of its account and of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdentityAt {
    pub(crate) account: usize,
    pub(crate) identity: usize,
}

impl IdentityAt {
    /// The identity itself.
    pub(crate) fn of(self, accounts: &[Account]) -> Option<&Identity> {
        accounts.get(self.account)?.identities.get(self.identity)
    }
}

type ByText = HashMap<Box<str>, Vec<IdentityAt>>;

/// The identities of one issuer entry. Each is filed under one thing that a token must have for it to match: its exact
/// subject, a claim's exact text, or the literal beginning of its subject pattern; whichever it shares with the fewest others.
#[derive(Debug, Default)]
pub(crate) struct Index {
    subjects: ByText,
    claims: Vec<(ClaimPath, ByText)>,
    heads: Heads,
    /// Those without any of these: tried every time.
    rest: Vec<IdentityAt>,
    /// All of them, in file order.
    members: Vec<IdentityAt>,
    /// All with a subject, by the literal beginning of it in lower case: neighbours are near misses.
    by_likeness: Vec<IdentityAt>,
}

/// What an identity can be filed under.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Subject(&'a str),
    Claim(&'a ClaimPath, &'a str),
    Head(&'a str),
}

impl Index {
    /// Files `members` of `accounts`. Of keys that are equally rare the `preferred` claims come first: they tell owners apart.
    pub(crate) fn new(members: Vec<IdentityAt>, accounts: &[Account], preferred: &[&str]) -> Self {
        let identities = || members.iter().filter_map(|at| Some((*at, at.of(accounts)?)));
        let mut shared: HashMap<Key<'_>, usize> = HashMap::new();
        for key in identities().flat_map(|(_, identity)| keys(identity)).flatten() {
            *shared.entry(key).or_default() += 1;
        }
        let mut index = Self::default();
        let mut heads: HashMap<&str, Vec<IdentityAt>> = HashMap::new();
        for (at, identity) in identities() {
            let crowd = |group: &Vec<Key<'_>>| group.iter().filter_map(|key| shared.get(key)).max().copied();
            let rank = |group: &Vec<Key<'_>>| match group.first() {
                Some(Key::Subject(_)) => 0,
                Some(Key::Claim(path, _)) => {
                    1 + preferred.iter().position(|own| *own == path.as_str()).unwrap_or(preferred.len())
                }
                Some(Key::Head(_)) | None => usize::MAX,
            };
            let Some(group) = keys(identity).into_iter().min_by_key(|group| (crowd(group), rank(group))) else {
                index.rest.push(at);
                continue;
            };
            for key in group {
                match key {
                    Key::Subject(text) => index.subjects.entry(text.into()).or_default().push(at),
                    Key::Claim(path, text) => index.texts_of(path).entry(text.into()).or_default().push(at),
                    Key::Head(text) => heads.entry(text).or_default().push(at),
                }
            }
        }
        index.heads = Heads::new(heads);
        index.by_likeness = identities().filter(|(_, own)| own.subject.is_some()).map(|(at, _)| at).collect();
        index.by_likeness.sort_by_cached_key(|at| (folded(head(*at, accounts)).collect::<Vec<u8>>(), *at));
        index.members = members;
        index
    }

    fn texts_of(&mut self, path: &ClaimPath) -> &mut ByText {
        let place = self.claims.iter().position(|(own, _)| own == path).unwrap_or_else(|| {
            self.claims.push((path.clone(), HashMap::new()));
            self.claims.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the place was found or made in the line above")]
        &mut self.claims[place].1
    }

    /// Every identity of the entry, in file order.
    pub(crate) fn members(&self) -> impl Iterator<Item = IdentityAt> + '_ {
        self.members.iter().copied()
    }

    /// Every identity that may match `claims`, in no promised order, perhaps more than once.
    pub(crate) fn candidates<'a>(&'a self, claims: &'a ClaimSet) -> impl Iterator<Item = IdentityAt> + 'a {
        let subject = claims.text("sub");
        let by_subject = subject.and_then(|sub| self.subjects.get(sub)).into_iter().flatten();
        let by_claim = self.claims.iter().flat_map(move |(path, under)| {
            let texts = claims.find(path).into_iter().flat_map(elements).filter_map(serde_json::Value::as_str);
            texts.filter_map(|text| under.get(text)).flatten()
        });
        let by_head = subject.into_iter().flat_map(|sub| self.heads.of(sub));
        by_subject.chain(by_claim).chain(by_head).chain(&self.rest).copied()
    }

    /// Identities that `claims` may nearly match, at most about `most`: those that have something exact in common with the
    /// token, and those whose subject begins most like the token's, case aside.
    pub(crate) fn near_misses(&self, claims: &ClaimSet, accounts: &[Account], most: usize) -> Vec<IdentityAt> {
        let sub = claims.text("sub").unwrap_or_default();
        let middle = self.by_likeness.partition_point(|at| folded(head(*at, accounts)).lt(folded(sub)));
        let half = most / 2;
        let alike = self.by_likeness.iter().skip(middle.saturating_sub(half)).take(2 * half).copied();
        let mut found: Vec<IdentityAt> = self.candidates(claims).take(most).chain(alike).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Every group of keys that an identity can be filed under; a token that it matches has one key of each group.
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

fn head(at: IdentityAt, accounts: &[Account]) -> &str {
    at.of(accounts).and_then(|own| own.subject.as_ref()).map_or("", |subject| subject.literal_head())
}

fn folded(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// Literal beginnings in order, each with the longest other one that it begins with.
#[derive(Debug, Default)]
struct Heads(Vec<Head>);

#[derive(Debug)]
struct Head {
    text: Box<str>,
    parent: Option<usize>,
    under: Vec<IdentityAt>,
}

impl Heads {
    fn new(heads: HashMap<&str, Vec<IdentityAt>>) -> Self {
        let mut sorted: Vec<_> = heads.into_iter().collect();
        sorted.sort_unstable_by_key(|(text, _)| *text);
        let mut list: Vec<Head> = Vec::with_capacity(sorted.len());
        // Texts that the next one may begin with, each beginning with the one before.
        let mut open: Vec<(usize, &str)> = Vec::new();
        for (text, under) in sorted {
            while open.last().is_some_and(|(_, beginning)| !text.starts_with(beginning)) {
                open.pop();
            }
            let parent = open.last().map(|(at, _)| *at);
            open.push((list.len(), text));
            list.push(Head { text: text.into(), parent, under });
        }
        Self(list)
    }

    /// The identities under every text that `subject` begins with. Such a text begins the greatest one that is not past
    /// `subject`, or is it: between the two in order everything begins so.
    fn of<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a IdentityAt> + 'a {
        let last = self.0.partition_point(|head| &*head.text <= subject).checked_sub(1);
        let line = std::iter::successors(last.and_then(|at| self.0.get(at)), |head| self.0.get(head.parent?));
        line.filter(move |head| subject.starts_with(&*head.text)).flat_map(|head| &head.under)
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
        let tried =
            |changes| rules.entries[0].index.candidates(&token(changes)).map(|at| at.account).collect::<Vec<_>>();
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
        assert!(near.len() <= 101 && near.iter().any(|at| at.account == 2500), "{near:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_head_that_a_text_begins_with_is_found(
            written in proptest::collection::vec("[ab]{0,5}", 0..20),
            text in "[abc]{0,8}",
        ) {
            let mut heads: HashMap<&str, Vec<IdentityAt>> = HashMap::new();
            for (at, head) in written.iter().enumerate() {
                heads.entry(head).or_default().push(IdentityAt { account: at, identity: 0 });
            }
            let mut found: Vec<usize> = Heads::new(heads).of(&text).map(|at| at.account).collect();
            found.sort_unstable();
            let wanted: Vec<usize> =
                written.iter().enumerate().filter(|(_, head)| text.starts_with(*head)).map(|(at, _)| at).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
