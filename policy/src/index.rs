//! Finding the identities a token may match without trying all of them.

use std::collections::HashMap;

use sts_types::{ClaimPath, ClaimSet};

use crate::condition::elements;
use crate::identity::Identity;

/// An identity by the indices of its account and of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdentityAt {
    pub(crate) account: usize,
    pub(crate) identity: usize,
}

type ByText = HashMap<Box<str>, Vec<IdentityAt>>;

/// The identities of one issuer entry. Each is under one text that a token must have for it to match, if it has such a text.
#[derive(Debug, Default)]
pub(crate) struct Index {
    subjects: ByText,
    claims: Vec<(ClaimPath, ByText)>,
    /// Those without such a text: tried every time.
    rest: Vec<IdentityAt>,
}

impl Index {
    /// Puts an identity where its tokens will be looked for; `preferred` are the claims that tell owners apart best.
    pub(crate) fn insert(&mut self, at: IdentityAt, identity: &Identity, preferred: &[&str]) {
        if let Some(subject) = identity.subject.as_ref().filter(|subject| subject.is_exact()) {
            self.subjects.entry(subject.literal_head().into()).or_default().push(at);
            return;
        }
        let rank = |path: &ClaimPath| preferred.iter().position(|own| *own == path.as_str()).unwrap_or(usize::MAX);
        let exact =
            identity.conditions.iter().filter_map(|condition| Some((&condition.path, condition.exact_texts()?)));
        let Some((path, texts)) = exact.min_by_key(|(path, _)| rank(path)) else {
            self.rest.push(at);
            return;
        };
        let place = self.claims.iter().position(|(own, _)| own == path).unwrap_or_else(|| {
            self.claims.push((path.clone(), HashMap::new()));
            self.claims.len() - 1
        });
        if let Some((_, under)) = self.claims.get_mut(place) {
            for text in texts {
                under.entry(text.into()).or_default().push(at);
            }
        }
    }

    /// Every identity that may match `claims`, in no promised order, perhaps more than once.
    pub(crate) fn candidates<'a>(&'a self, claims: &'a ClaimSet) -> impl Iterator<Item = IdentityAt> + 'a {
        let by_subject = claims.text("sub").and_then(|sub| self.subjects.get(sub)).into_iter().flatten();
        let by_claim = self.claims.iter().flat_map(move |(path, under)| {
            let texts = claims.find(path).into_iter().flat_map(elements).filter_map(serde_json::Value::as_str);
            texts.filter_map(|text| under.get(text)).flatten()
        });
        by_subject.chain(by_claim).chain(&self.rest).copied()
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use serde_json::json;

    #[test]
    fn a_token_is_tried_on_the_identities_of_its_own_repository_only() {
        let accounts = (0..1000).map(|n| {
            let identity = match n % 3 {
                0 => subject("i", &format!("repo:o/r{n}:ref:refs/heads/main")),
                1 => short(identity("i"), "github", json!({ "environment": "prod", "repository": format!("o/r{n}") })),
                _ => {
                    claims(identity("i"), json!({ "ref": "refs/heads/main", "repository_id": [format!("id{n}"), "x"] }))
                }
            };
            account(&format!("a{n}"), vec![identity])
        });
        let rules = rules(&spec(accounts.chain([account("any", vec![subject("i", "repo:o/**")])]).collect()));
        let tried =
            |changes| rules.entries[0].index.candidates(&token(changes)).map(|at| at.account).collect::<Vec<_>>();
        assert_eq!(tried(json!({ "sub": "repo:o/r3:ref:refs/heads/main" })), [3, 1000]);
        assert_eq!(tried(json!({ "repository": "o/r4", "environment": "prod" })), [4, 1000]);
        assert_eq!(tried(json!({ "repository": ["o/r4", "o/r7"] })), [4, 7, 1000]);
        assert_eq!(tried(json!({ "repository_id": "id5" })), [5, 1000]);
        assert_eq!(tried(json!({ "repository_id": 5, "sub": null })), [1000]);
    }
}
