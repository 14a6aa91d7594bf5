//! What a token was minted on, as its record keeps it.

use serde_json::{Map, Value};

use crate::{AccountId, ApiKeyId, Digest256, EntryName, IdentityName, Issuer, Jti, Kid, Subject};

/// What the caller proved to get a token.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A platform's ID token.
    Federated(FederatedProof),
    /// An API key of the account.
    ApiKey(ApiKeyProof),
    /// A token of ours.
    Own(Box<OwnProof>),
}

/// An ID token of an issuer that we trust.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FederatedProof {
    /// The identity that matched.
    pub identity: IdentityName,
    /// The issuer entry whose key verified the token.
    pub entry: EntryName,
    /// `iss`.
    pub issuer: Issuer,
    /// `sub`.
    pub subject: Subject,
    /// The `kid` of the key that verified it, if it has one.
    pub subject_kid: Option<Kid>,
    /// Digest of its `jti`, if it has one.
    pub subject_jti_digest: Option<Digest256>,
    /// The members of its `may_act`, if it has one. None of them if `may_act` is no object: then it
    /// names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<Map<String, Value>>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApiKeyProof {
    /// The key's id.
    pub id: ApiKeyId,
}

/// A token of ours that was exchanged for another.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnProof {
    /// Its `jti`.
    pub parent: Jti,
    /// The tokens that it came from in turn, the nearest first. Revoking any of them ends this token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Jti>,
    /// What the first of them was minted on.
    pub root: RootProof,
}

/// What a token was minted on that came from no other of ours.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootProof {
    /// A platform's ID token.
    Federated(FederatedProof),
    /// An API key of the account.
    ApiKey(ApiKeyProof),
}

impl Proof {
    /// The ID token that it goes back to, if it does.
    #[must_use]
    pub fn federated(&self) -> Option<&FederatedProof> {
        match self {
            Self::Federated(federated) => Some(federated),
            Self::ApiKey(_) => None,
            Self::Own(own) => match &own.root {
                RootProof::Federated(federated) => Some(federated),
                RootProof::ApiKey(_) => None,
            },
        }
    }

    /// The API key that it goes back to, if it does.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKeyProof> {
        match self {
            Self::ApiKey(key) => Some(key),
            Self::Federated(_) => None,
            Self::Own(own) => match &own.root {
                RootProof::ApiKey(key) => Some(key),
                RootProof::Federated(_) => None,
            },
        }
    }

    /// The `jti` of the token of ours that was exchanged, if it was one.
    #[must_use]
    pub fn parent(&self) -> Option<&Jti> {
        match self {
            Self::Own(own) => Some(&own.parent),
            Self::Federated(_) | Self::ApiKey(_) => None,
        }
    }

    /// The tokens of ours that it came from, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &Jti> {
        let own = match self {
            Self::Own(own) => Some(own),
            Self::Federated(_) | Self::ApiKey(_) => None,
        };
        own.into_iter().flat_map(|own| std::iter::once(&own.parent).chain(&own.ancestors))
    }

    /// The proof of a token that is exchanged for the token of `parent`, which was minted on `self`.
    #[must_use]
    pub fn descendant(&self, parent: Jti) -> Self {
        let (ancestors, root) = match self {
            Self::Federated(federated) => (Vec::new(), RootProof::Federated(federated.clone())),
            Self::ApiKey(key) => (Vec::new(), RootProof::ApiKey(key.clone())),
            Self::Own(own) => {
                let ancestors = std::iter::once(&own.parent).chain(&own.ancestors).cloned().collect();
                (ancestors, own.root.clone())
            }
        };
        Self::Own(Box::new(OwnProof { parent, ancestors, root }))
    }
}

/// Who acts for the account of a token (RFC 8693 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Actor {
    /// The actor's account.
    pub account: AccountId,
    /// What the actor proved.
    pub proof: Proof,
    /// The actor before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Box<Actor>>,
}

impl Actor {
    /// This actor and those before it, the latest first.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.prior.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jti(text: &str) -> Jti {
        Jti::new(text).unwrap()
    }

    fn federated() -> FederatedProof {
        FederatedProof {
            identity: IdentityName::new("main branch").unwrap(),
            entry: EntryName::new("github").unwrap(),
            issuer: Issuer::new("https://issuer.example").unwrap(),
            subject: Subject::new("job:1").unwrap(),
            subject_kid: None,
            subject_jti_digest: Some(Digest256([2; 32])),
            may_act: None,
        }
    }

    #[test]
    fn each_proof_is_read_as_it_was_written() {
        let key = ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() };
        let root = Proof::Federated(federated());
        let nobody = Proof::Federated(FederatedProof { may_act: Some(Map::new()), ..federated() });
        let deepest = root.descendant(jti("a")).descendant(jti("b")).descendant(jti("c"));
        for (proof, written) in [
            (root, None),
            (nobody, None),
            (Proof::ApiKey(key.clone()), Some(json!({ "api_key": { "id": "0123456789aB" } }))),
            (
                Proof::ApiKey(key).descendant(jti("a")),
                Some(json!({ "own": { "parent": "a", "root": { "api_key": { "id": "0123456789aB" } } } })),
            ),
            (deepest, None),
        ] {
            let value = serde_json::to_value(&proof).unwrap();
            assert!(written.is_none_or(|written| written == value), "{value}");
            assert_eq!(serde_json::from_value::<Proof>(value).unwrap(), proof);
        }
    }

    #[test]
    fn a_descendant_goes_back_to_its_root_and_names_every_token_between() {
        let root = Proof::Federated(federated());
        let child = root.descendant(jti("a"));
        assert_eq!((child.parent(), child.federated(), child.api_key()), (Some(&jti("a")), Some(&federated()), None));
        let Proof::Own(grandchild) = child.descendant(jti("b")) else { unreachable!() };
        assert_eq!((&grandchild.parent, grandchild.ancestors), (&jti("b"), vec![jti("a")]));
        let key = ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() };
        let of_key = Proof::ApiKey(key.clone()).descendant(jti("k"));
        assert_eq!((of_key.federated(), of_key.api_key()), (None, Some(&key)));
    }
}
