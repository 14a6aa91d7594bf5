//! Issuer entries and the state of their keys: `/admin/v1/issuers`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sts_types::{EntryName, Issuer, Kid, UnixTime};
use utoipa::{IntoParams, ToSchema};

use crate::names::names;
use crate::objects::Object;
use crate::query::{QueryError, moment, parameters, written};
use crate::schema::EpochSeconds;

names! {
    /// How current an entry's keys are.
    pub enum EntryState {
        /// No set was ever loaded.
        Absent = "absent",
        /// Static, or fetched and still fresh.
        Fresh = "fresh",
        /// No longer fresh, but in use until `max_stale`.
        Stale = "stale",
        /// Past `max_stale` and not in use.
        Expired = "expired",
    }
}

names! {
    /// Where an entry's keys come from.
    pub enum KeySource {
        /// OpenID Connect Discovery.
        Discovery = "discovery",
        /// A configured URL.
        Url = "url",
        /// A file.
        File = "file",
        /// The configuration itself.
        Inline = "inline",
    }
}

names! {
    /// What a history says of one moment.
    pub enum HistoryState {
        /// The keys of `event` were trusted.
        InForce = "in_force",
        /// No key was trusted since `lapsed_at`.
        Lapsed = "lapsed",
        /// The history begins later.
        NotRecorded = "not_recorded",
    }
}

/// The answer of `GET /admin/v1/issuers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issuers {
    /// The entries that stand for one issuer.
    pub issuers: Vec<IssuerEntry>,
    /// The entries that stand for a family of issuers.
    pub families: Vec<IssuerFamily>,
    /// The objects that declare entries, those too whose keys are not held because they are disabled or not in force.
    #[serde(default)]
    #[schema(required, value_type = Vec<crate::objects::ManagedObject>)]
    pub items: Vec<Object>,
    /// More objects come `after` this; `null` when there are no more.
    #[serde(default)]
    #[schema(required)]
    pub next: Option<String>,
}

/// The answer of `GET /admin/v1/issuers/{name}`: the object that declares the entry, and the state of its keys beside it. Where the
/// keys come from is `key_source` there: `source` is where the object is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerObject {
    /// The object.
    pub object: Option<Object>,
    /// The state of the entry, if it is in force.
    pub state: Option<IssuerAnswer>,
}

impl Serialize for IssuerObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = |value: Value| match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let state = serde_json::to_value(&self.state).map_err(serde::ser::Error::custom)?;
        let mut all = members(state);
        if let Some(source) = all.remove("source") {
            all.insert("key_source".to_owned(), source);
        }
        all.extend(members(serde_json::to_value(&self.object).map_err(serde::ser::Error::custom)?));
        all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IssuerObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Map::deserialize(deserializer)?;
        let object = match all.contains_key("spec") {
            true => Some(Object::deserialize(Value::Object(all.clone())).map_err(serde::de::Error::custom)?),
            false => None,
        };
        if let Some(source) = all.remove("key_source") {
            all.insert("source".to_owned(), source);
        }
        let has_state = all.contains_key("fetches");
        let state = has_state.then(|| IssuerAnswer::deserialize(Value::Object(all)));
        Ok(Self { object, state: state.transpose().map_err(serde::de::Error::custom)? })
    }
}

/// The answer of `GET /admin/v1/issuers/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum IssuerAnswer {
    /// The entry stands for one issuer.
    Entry(Box<IssuerEntry>),
    /// The entry stands for a family of issuers.
    Family(IssuerFamily),
}

/// The state of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuerEntry {
    /// The entry's name.
    #[schema(value_type = String)]
    pub name: EntryName,
    /// Its issuer identifier.
    #[schema(value_type = String)]
    pub issuer: Issuer,
    /// Where its keys come from.
    pub source: KeySource,
    /// Whether it has keys that may be used now.
    pub ready: bool,
    /// How current its keys are.
    pub state: EntryState,
    /// How many keys verify tokens now.
    pub usable: u64,
    /// Digest of the usable keys. A different set has a different digest.
    #[schema(required)]
    pub set_hash: Option<String>,
    /// Its keys, including those of a set past `stale_until`.
    pub keys: Vec<IssuerKey>,
    /// Keys of the set that are not used.
    pub skipped: Vec<SkippedKey>,
    /// When the set was fetched, or its file was read.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub fetched_at: Option<UnixTime>,
    /// Seconds since then.
    #[schema(required)]
    pub age: Option<u64>,
    /// End of the set's freshness; `null` for static sets.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub fresh_until: Option<UnixTime>,
    /// Until when it may be used while the issuer is unreachable; `null` for static sets.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub stale_until: Option<UnixTime>,
    /// When the next scheduled fetch or file check is due; `null` for keys in the configuration.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub next_refresh_at: Option<UnixTime>,
    /// The last completed fetch.
    #[schema(required)]
    pub last_fetch: Option<LastFetch>,
    /// The last failure; `null` after a success.
    #[schema(required)]
    pub last_error: Option<LastError>,
    /// Fetches since the start.
    pub fetches: FetchCounts,
    /// How often a kid named another key than before.
    pub kids_reused: u64,
}

/// The state of a family of issuers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuerFamily {
    /// The entry's name.
    #[schema(value_type = String)]
    pub name: EntryName,
    /// The form of its issuer identifiers.
    pub issuer_template: String,
    /// Its current members, sorted by issuer.
    pub members: Vec<IssuerEntry>,
    /// Fetches since the start, including those for forgotten members.
    pub fetches: FetchCounts,
    /// How many new members found no room since the start.
    pub turned_away: u64,
}

/// A usable key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuerKey {
    /// Its `kid`.
    #[schema(value_type = Option<String>, required)]
    pub kid: Option<Kid>,
    /// The JWS algorithm that it is bound to.
    pub algorithm: String,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
    /// Other entries of the same issuer with the same key. While there are any, the key is used for none of them.
    #[schema(value_type = Vec<String>)]
    pub shared_with: Vec<EntryName>,
}

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedKey {
    /// Its index in the key set, from 0.
    pub index: u64,
    /// Its `kid`.
    #[schema(value_type = Option<String>, required)]
    pub kid: Option<Kid>,
    /// A short stable name of the reason.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// Whether it is private or symmetric key material. Its publisher must be told.
    pub alarming: bool,
}

/// A completed fetch or file read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastFetch {
    /// When it ended.
    #[schema(value_type = EpochSeconds)]
    pub at: UnixTime,
    /// `replaced`, `unchanged`, or the kind of the failure.
    pub outcome: String,
}

/// A failed fetch or file read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When it failed.
    #[schema(value_type = EpochSeconds)]
    pub at: UnixTime,
    /// The error and what to do about it.
    pub message: String,
}

/// Counts of fetches and file reads by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FetchCounts {
    /// Fetches that brought a different set.
    pub replaced: u64,
    /// Fetches that brought the same set.
    pub unchanged: u64,
    /// Failures by kind.
    pub failed: BTreeMap<String, u64>,
}

/// The body of `POST /admin/v1/issuers/{name}/refresh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshRequest {
    /// Which issuer, where the entry stands for a family of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// The answer of `POST /admin/v1/issuers/{name}/refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RefreshAnswer {
    /// One issuer was refreshed.
    Issuer(Refreshed),
    /// Every member of a family that was used lately was refreshed.
    Family(FamilyRefreshed),
}

/// What a refresh found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refreshed {
    /// How many keys of the set can be used.
    pub keys: u64,
    /// How many keys of the set are not used.
    pub skipped: u64,
    /// Whether the set differs from the one before.
    pub changed: bool,
    /// How long the set is fresh, in seconds; `null` for static sets.
    #[schema(required)]
    pub fresh_for: Option<u64>,
}

/// What the refresh of a family found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FamilyRefreshed {
    /// Each member.
    pub members: Vec<MemberRefreshed>,
}

/// What the refresh of one member of a family found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRefreshed {
    /// The member.
    #[schema(value_type = String)]
    pub issuer: Issuer,
    /// What its refresh found.
    pub refreshed: Refreshed,
}

/// The query string of `GET /admin/v1/issuers/{name}/history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Which issuer, where the entry stands for a family of them.
    #[param(nullable = false)]
    pub issuer: Option<String>,
    /// Only what was in force at this moment: epoch seconds, or RFC 3339.
    #[param(value_type = Option<String>, nullable = false)]
    pub at: Option<UnixTime>,
}

impl HistoryQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        let mut history = Self::default();
        for (name, value) in parameters(query) {
            match &*name {
                "at" if history.at.is_none() => history.at = Some(moment("at", &value)?),
                "issuer" if history.issuer.is_none() => history.issuer = Some(value.into_owned()),
                _ => return Err("a history takes one `at` and one `issuer` at most".into()),
            }
        }
        Ok(history)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        written(&[("issuer", self.issuer.clone()), ("at", self.at.map(|at| at.to_string()))])
    }
}

/// The answer of `GET /admin/v1/issuers/{name}/history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum HistoryAnswer {
    /// What was trusted at the moment that was asked for.
    At(Box<HistoryAt>),
    /// Every set.
    Whole(KeyHistory),
}

/// The key sets that an entry had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyHistory {
    /// The entry's name.
    #[schema(value_type = String)]
    pub name: EntryName,
    /// The key sets. Each was in force until the next one.
    pub events: Vec<KeySetSeen>,
    /// Since when the last set is unused.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub lapsed_at: Option<UnixTime>,
    /// Number of log lines that cannot be read, because a crash tore them or somebody edited them.
    pub unreadable: u64,
}

/// What an entry trusted at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryAt {
    /// The entry's name.
    #[schema(value_type = String)]
    pub name: EntryName,
    /// The moment.
    #[schema(value_type = EpochSeconds)]
    pub at: UnixTime,
    /// Whether there was anything.
    pub state: HistoryState,
    /// The key set that was trusted.
    #[schema(required)]
    pub event: Option<KeySetSeen>,
    /// Since when no key was trusted.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub lapsed_at: Option<UnixTime>,
    /// Number of log lines that cannot be read.
    pub unreadable: u64,
}

/// A key set that became an entry's current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeySetSeen {
    /// When it became current.
    #[schema(value_type = EpochSeconds)]
    pub at: UnixTime,
    /// The entry's issuer identifier at that time.
    #[schema(value_type = String)]
    pub issuer: Issuer,
    /// Where the set came from: `source`, and `place` where there is one.
    #[serde(flatten)]
    pub source: SeenFrom,
    /// Its usable keys.
    pub keys: Vec<KeySeen>,
    /// When the previous set expired, if it expired before this one arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EpochSeconds>, nullable = false)]
    pub previous_lapsed_at: Option<UnixTime>,
}

/// A key of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeySeen {
    /// Its `kid`.
    #[schema(value_type = Option<String>, required)]
    pub kid: Option<Kid>,
    /// The JWS algorithm that it was bound to.
    pub algorithm: String,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

/// Where a key set came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "source", content = "place", rename_all = "snake_case")]
pub enum SeenFrom {
    /// OpenID Connect Discovery, with the `jwks_uri` that it named.
    Discovery(Option<String>),
    /// This configured URL.
    Url(String),
    /// This file.
    File(String),
    /// The configuration itself.
    Inline,
    /// The copy on disk, read after a restart.
    Disk,
}

impl SeenFrom {
    /// The source and its place in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Discovery(Some(url)) => format!("discovery {url}"),
            Self::Discovery(None) => "discovery".to_owned(),
            Self::Url(url) => format!("url {url}"),
            Self::File(path) => format!("file {path}"),
            Self::Inline => "inline".to_owned(),
            Self::Disk => "disk".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    fn entry() -> Value {
        json!({
            "name": "github", "issuer": "https://issuer.example", "source": "discovery", "ready": true, "state": "fresh",
            "usable": 1, "set_hash": "h",
            "keys": [{ "kid": "k", "algorithm": "RS256", "thumbprint": "t", "shared_with": ["other"] }],
            "skipped": [{ "index": 1, "kid": null, "reason": "private", "message": "it is private", "alarming": true }],
            "fetched_at": 1, "age": 2, "fresh_until": 3, "stale_until": 4, "next_refresh_at": 5,
            "last_fetch": { "at": 1, "outcome": "replaced" }, "last_error": { "at": 1, "message": "no" },
            "fetches": { "replaced": 1, "unchanged": 0, "failed": { "dns": 2 } }, "kids_reused": 0,
        })
    }

    fn family() -> Value {
        json!({
            "name": "eks", "issuer_template": "https://{region}.example", "members": [entry()],
            "fetches": { "replaced": 0, "unchanged": 0, "failed": {} }, "turned_away": 0,
        })
    }

    fn read_again<T: DeserializeOwned + Serialize>(text: &Value) -> T {
        let read: T = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), *text);
        read
    }

    #[test]
    fn an_entry_stands_beside_the_object_that_declares_it() {
        let object = json!({ "kind": "issuers", "name": "github", "spec": { "issuer": "x" }, "source": "file" });
        let mut all = entry();
        all["key_source"] = all["source"].take();
        all.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
        let read = read_again::<IssuerObject>(&all);
        assert!(read.object.is_some() && matches!(read.state, Some(IssuerAnswer::Entry(_))));
        let disabled = read_again::<IssuerObject>(&object);
        assert!(disabled.object.is_some() && disabled.state.is_none());
    }

    #[test]
    fn entries_and_families_are_read_as_they_were_written() {
        read_again::<Issuers>(&json!({ "issuers": [entry()], "families": [family()], "items": [], "next": null }));
        assert!(matches!(read_again(&entry()), IssuerAnswer::Entry(_)));
        assert!(matches!(read_again(&family()), IssuerAnswer::Family(_)));
    }

    #[test]
    fn refreshes_are_read_as_they_were_written() {
        let one = json!({ "keys": 1, "skipped": 0, "changed": true, "fresh_for": null });
        assert!(matches!(read_again(&one), RefreshAnswer::Issuer(_)));
        let members = json!({ "members": [{ "issuer": "https://a.example", "refreshed": one }] });
        assert!(matches!(read_again(&members), RefreshAnswer::Family(_)));
        assert!(matches!(read_again(&json!({ "members": [] })), RefreshAnswer::Family(_)));
        read_again::<RefreshRequest>(&json!({}));
        read_again::<RefreshRequest>(&json!({ "issuer": "https://a.example" }));
        assert!(serde_json::from_value::<RefreshRequest>(json!({ "isuer": "x" })).is_err());
    }

    #[test]
    fn histories_are_read_as_they_were_written() {
        let seen = |source: Value| {
            let mut seen = json!({
                "at": 1, "issuer": "https://a.example",
                "keys": [{ "kid": null, "algorithm": "ES256", "thumbprint": "t" }],
            });
            seen.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            seen
        };
        let events = [
            json!({ "source": "discovery", "place": null }),
            json!({ "source": "discovery", "place": "https://a.example/jwks", "previous_lapsed_at": 1 }),
            json!({ "source": "url", "place": "https://a.example/jwks" }),
            json!({ "source": "file", "place": "a.json" }),
            json!({ "source": "inline" }),
            json!({ "source": "disk" }),
        ]
        .map(seen);
        let whole = json!({ "name": "ci", "events": events, "lapsed_at": null, "unreadable": 1 });
        assert!(matches!(read_again(&whole), HistoryAnswer::Whole(_)));
        for (state, event, lapsed_at) in [
            ("in_force", json!(events[0]), Value::Null),
            ("lapsed", Value::Null, json!(3)),
            ("not_recorded", Value::Null, Value::Null),
        ] {
            let at = json!({
                "name": "ci", "at": 2, "state": state, "event": event, "lapsed_at": lapsed_at, "unreadable": 0,
            });
            assert!(matches!(read_again(&at), HistoryAnswer::At(_)));
        }
    }

    #[test]
    fn a_moment_in_a_history_is_one_time_in_either_form() {
        for query in ["at=1790000000", "at=2026-09-21T14:13:20Z", "at=2026-09-21T16:13:20%2B02:00"] {
            let history = HistoryQuery::from_query(query).unwrap();
            assert_eq!(history.at, Some(UnixTime::from_secs(1_790_000_000)), "{query}");
        }
        for query in ["at=", "at=yesterday", "at=1&at=1", "issuer=a&issuer=a", "before=1"] {
            assert!(HistoryQuery::from_query(query).is_err(), "{query}");
        }
        let history = HistoryQuery {
            issuer: Some("https://a.example/b?c&d".into()),
            at: Some(UnixTime::from_secs(1_790_000_000)),
        };
        assert_eq!(HistoryQuery::from_query(&history.to_query()), Ok(history));
    }
}
