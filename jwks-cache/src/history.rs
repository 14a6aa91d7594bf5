//! Which keys an entry had, and when. An operator needs this after an issuer's key leaked.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sts_jose::VerifyingKey;
use sts_types::{Algorithm, EntryName, Issuer, Kid, UnixTime};

use crate::entry_keys::IndexedSet;
use crate::{EntrySpec, KeySource};

/// The key sets that an entry had, oldest first, as far back as its bounded log reaches.
///
/// It records what was seen. It does not tell when the server was down or when the entry was
/// missing from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyHistory {
    /// The entry's name.
    pub name: EntryName,
    /// The key sets. Each was in force until the next one.
    pub events: Vec<KeySetSeen>,
    /// Since when the last set is unused: its issuer was unreachable for `max_stale`, or the entry
    /// changed or the server restarted without a copy to start from.
    pub lapsed_at: Option<UnixTime>,
    /// Number of log lines that cannot be read, because a crash tore them or somebody edited them.
    pub unreadable: usize,
}

/// A key set that became an entry's current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySetSeen {
    /// When it became current.
    pub at: UnixTime,
    /// The entry's issuer identifier at that time.
    pub issuer: Issuer,
    /// The source of the set.
    #[serde(flatten)]
    pub source: SeenFrom,
    /// Its usable keys, in the order of kid, algorithm and thumbprint.
    pub keys: Vec<KeySeen>,
    /// When the previous set expired, if it expired before this one arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_lapsed_at: Option<UnixTime>,
}

/// A key of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeySeen {
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// The algorithm that the key was bound to.
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

/// Source of a key set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", content = "place", rename_all = "snake_case")]
pub enum SeenFrom {
    /// OpenID Connect Discovery, with the `jwks_uri` that it named, without the query.
    Discovery(Option<String>),
    /// This configured URL, without credentials and query.
    Url(String),
    /// This file.
    File(String),
    /// The configuration itself.
    Inline,
    /// The copy on disk, read after a restart.
    Disk,
}

/// What a history says about one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InForce<'a> {
    /// The keys of this set were used.
    Set(&'a KeySetSeen),
    /// No key was in use: the last set had expired at that time.
    Lapsed(UnixTime),
    /// The log starts later.
    NotRecorded,
}

/// Why the history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No entry has that name.
    #[error("no issuer entry has that name")]
    UnknownEntry,
    /// The log cannot be read.
    #[error("the key history cannot be read: {0}")]
    Unreadable(std::io::Error),
}

impl KeyHistory {
    /// What was in force at `time`.
    #[must_use]
    pub fn at(&self, time: UnixTime) -> InForce<'_> {
        let Some((index, event)) = self.events.iter().enumerate().rfind(|(_, event)| event.at <= time) else {
            return InForce::NotRecorded;
        };
        let lapsed_at = self.events.get(index + 1).map_or(self.lapsed_at, |next| next.previous_lapsed_at);
        match lapsed_at {
            Some(lapsed_at) if lapsed_at <= time => InForce::Lapsed(lapsed_at),
            _ => InForce::Set(event),
        }
    }
}

impl KeySetSeen {
    pub(crate) fn new(spec: &EntrySpec, set: &IndexedSet, source: SeenFrom, at: UnixTime) -> Self {
        let keys = KeySeen::all(set);
        Self { at, issuer: spec.issuer.clone(), source, keys, previous_lapsed_at: None }
    }

    /// Whether it says more than that `last` is still current. A set from a copy on disk was seen
    /// before.
    pub(crate) fn is_news_after(&self, last: Option<&Self>) -> bool {
        last.is_none_or(|last| {
            self.previous_lapsed_at.is_some()
                || self.keys != last.keys
                || self.issuer != last.issuer
                || (self.source != last.source && self.source != SeenFrom::Disk)
        })
    }

    /// The kids whose key in this set differs from every key that `earlier` has under the same kid.
    pub(crate) fn reused_kids<'a>(&self, earlier: impl Iterator<Item = &'a KeySeen>) -> Vec<Kid> {
        let mut thumbprints: HashMap<&Kid, HashSet<&str>> = HashMap::new();
        for key in earlier {
            if let Some(kid) = &key.kid {
                thumbprints.entry(kid).or_default().insert(&key.thumbprint);
            }
        }
        let is_other = |key: &&KeySeen| {
            let thumbprints = key.kid.as_ref().and_then(|kid| thumbprints.get(kid));
            thumbprints.is_some_and(|thumbprints| !thumbprints.contains(key.thumbprint.as_str()))
        };
        let mut kids: Vec<Kid> = self.keys.iter().filter(is_other).filter_map(|key| key.kid.clone()).collect();
        kids.dedup();
        kids
    }
}

impl KeySeen {
    /// The keys of `set`, sorted: some issuers publish theirs in random order.
    pub(crate) fn all(set: &IndexedSet) -> Vec<Self> {
        let mut keys: Vec<Self> = set.keys.iter().map(|key| Self::of(key)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn of(key: &VerifyingKey) -> Self {
        Self { kid: key.kid().cloned(), algorithm: key.algorithm(), thumbprint: key.thumbprint().to_owned() }
    }
}

impl From<&KeySource> for SeenFrom {
    fn from(source: &KeySource) -> Self {
        match source {
            KeySource::Discovery => Self::Discovery(None),
            KeySource::Url(url) => Self::Url(without_credentials(url)),
            KeySource::File(path) => Self::File(path.to_string_lossy().into_owned()),
            KeySource::Inline(_) => Self::Inline,
        }
    }
}

/// A configured URL may hold a credential in its query.
fn without_credentials(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return "a URL".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // Both calls fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

mod algorithm_name {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use sts_types::Algorithm;

    pub(super) fn serialize<S: Serializer>(algorithm: &Algorithm, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(algorithm.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| D::Error::custom("no such algorithm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: i64, keys: &[(&str, &str)]) -> KeySetSeen {
        KeySetSeen {
            at: UnixTime::from_secs(at),
            issuer: Issuer::new("https://issuer.example").unwrap(),
            source: SeenFrom::Discovery(None),
            keys: keys
                .iter()
                .map(|(kid, thumbprint)| KeySeen {
                    kid: Some(Kid::new(kid).unwrap()),
                    algorithm: Algorithm::ES256,
                    thumbprint: (*thumbprint).to_owned(),
                })
                .collect(),
            previous_lapsed_at: None,
        }
    }

    #[test]
    fn each_set_is_in_force_until_the_next_or_until_it_lapsed() {
        let (first, second, mut third) = (seen(10, &[("a", "1")]), seen(20, &[("b", "2")]), seen(40, &[("b", "2")]));
        third.previous_lapsed_at = Some(UnixTime::from_secs(30));
        let history = KeyHistory {
            name: EntryName::new("e").unwrap(),
            events: vec![first.clone(), second.clone(), third.clone()],
            lapsed_at: Some(UnixTime::from_secs(50)),
            unreadable: 0,
        };
        let lapsed = |at| InForce::Lapsed(UnixTime::from_secs(at));
        for (time, expected) in [
            (9, InForce::NotRecorded),
            (10, InForce::Set(&first)),
            (19, InForce::Set(&first)),
            (20, InForce::Set(&second)),
            (29, InForce::Set(&second)),
            (30, lapsed(30)),
            (39, lapsed(30)),
            (40, InForce::Set(&third)),
            (49, InForce::Set(&third)),
            (50, lapsed(50)),
        ] {
            assert_eq!(history.at(UnixTime::from_secs(time)), expected, "at {time}");
        }
    }

    #[test]
    fn a_kid_is_reused_when_it_names_a_key_that_it_never_named() {
        let known = [seen(1, &[("a", "1"), ("b", "2")]), seen(2, &[("a", "3")])];
        let reused = |keys: &[(&str, &str)]| {
            let kids = seen(3, keys).reused_kids(known.iter().flat_map(|event| &event.keys));
            kids.iter().map(|kid| kid.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert!(reused(&[("a", "1"), ("b", "2"), ("c", "9"), ("d", "1")]).is_empty());
        assert_eq!(reused(&[("a", "4"), ("b", "2")]), ["a"]);
        assert_eq!(reused(&[("a", "4"), ("a", "5"), ("b", "1")]), ["a", "b"]);
    }

    #[test]
    fn an_event_reads_as_it_was_written() {
        for source in [
            SeenFrom::Discovery(None),
            SeenFrom::Discovery(Some("https://keys.example/".to_owned())),
            SeenFrom::Url("https://keys.example/".to_owned()),
            SeenFrom::File("/keys.json".to_owned()),
            SeenFrom::Inline,
            SeenFrom::Disk,
        ] {
            let mut event = seen(7, &[("a\"\u{e9}", "1")]);
            event.source = source;
            event.previous_lapsed_at = Some(UnixTime::from_secs(6));
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<KeySetSeen>(&line).unwrap(), event);
        }
    }

    #[test]
    fn a_place_has_no_credentials() {
        let source = KeySource::Url("https://user:secret@keys.example/a?token=secret#secret".to_owned());
        assert_eq!(SeenFrom::from(&source), SeenFrom::Url("https://keys.example/a".to_owned()));
    }
}
