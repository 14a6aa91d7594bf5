//! `/readyz` of the admin listener.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sts_types::EntryName;
use utoipa::ToSchema;

use crate::{IssuerEntry, IssuerFamily};

/// Whether exchanges can be served, in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether they can.
    pub ready: bool,
    /// `ok`, or what is wrong with the store.
    pub store: String,
    /// What the operator of the store should know although it works.
    pub store_warnings: Vec<StoreWarning>,
    /// `ok`, or why the signing keys cannot sign.
    pub signing: String,
    /// `ok`, or which sinks of audit events take none.
    pub audit: String,
    /// `ok`, or that the last change of the files was refused.
    #[serde(default)]
    #[schema(required)]
    pub configuration: String,
    /// `ok`, or why managed objects are not in force.
    pub managed_objects: String,
    /// The managed objects that do not compile beside the files and so are not in force.
    #[serde(default)]
    pub set_aside: Vec<SetAsideObject>,
    /// Where decision events and log lines go.
    pub sinks: Vec<SinkStatus>,
    /// Where it listens.
    #[serde(default)]
    #[schema(required)]
    pub listeners: Vec<ListenerAddress>,
    /// The generation of the configuration in force.
    pub generation: String,
    /// The issuer entries.
    pub issuers: Vec<NamedStatus<IssuerEntry>>,
    /// The directories. One that is away does not make the server unready.
    #[serde(default)]
    pub directories: Vec<DirectoryHealth>,
    /// The issuer entries that stand for a family of issuers.
    pub families: Vec<NamedStatus<IssuerFamily>>,
}

/// An address that the server listens at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListenerAddress {
    /// The key that sets it: `listen`, `admin.listen` or `metrics.listen`.
    pub key: String,
    /// IP address and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
}

/// The state of something that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedStatus<T> {
    /// The name of the issuer entry.
    #[schema(value_type = String)]
    pub name: EntryName,
    /// Its state.
    pub status: T,
}

/// The refresh of a directory's memberships.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryHealth {
    /// Its name.
    pub name: String,
    /// Seconds since it last answered. Absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// `ok`, or why the last refresh failed.
    pub status: String,
}

/// A managed object that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetAsideObject {
    /// Kind and name: `teams/deployers`.
    pub object: String,
    /// Why it does not compile.
    pub why: String,
}

/// A weakness of the store as it is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreWarning {
    /// A short stable name, as in the metric.
    pub name: String,
    /// What it is and what to do.
    pub text: String,
}

/// A sink of decision events and log lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Whether it takes lines.
    pub ok: bool,
    /// Lines that were lost or written late.
    pub lost: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: u64,
    /// Why the last write failed.
    #[schema(required)]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_detail_is_read_as_it_was_written() {
        let text = json!({
            "ready": false,
            "store": "ok",
            "store_warnings": [{ "name": "no_replicas", "text": "add one" }],
            "signing": "ok",
            "audit": "ok",
            "configuration": "ok",
            "managed_objects": "ok",
            "set_aside": [{ "object": "teams/readers", "why": "there is no API `deploy`" }],
            "sinks": [{ "name": "stdout", "ok": true, "lost": 0, "waiting_bytes": 1, "error": null }],
            "listeners": [{ "key": "listen", "address": "127.0.0.1:8080" }],
            "generation": "g",
            "issuers": [],
            "families": [],
            "directories": [],
        });
        let detail: Readiness = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(detail).unwrap(), text);
    }
}
