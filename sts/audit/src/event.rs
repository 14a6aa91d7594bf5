//! Audit events: who did what, from where, and how it ended.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the format. It changes if a member changes its meaning or goes.
pub const EVENT_VERSION: u32 = 2;

/// What kind of party acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The holder of the admin token.
    AdminToken,
    /// A person who is signed in to the console.
    ConsoleUser,
    /// The holder of a token of ours. `actor` is its account.
    Token,
    /// The command line, where no server runs.
    CommandLine,
    /// The sender of the request. Who that is was not proven.
    Caller,
    /// This server, by itself.
    Server,
}

impl ActorKind {
    /// The name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminToken => "admin_token",
            Self::ConsoleUser => "console_user",
            Self::Token => "token",
            Self::CommandLine => "command_line",
            Self::Caller => "caller",
            Self::Server => "server",
        }
    }
}

/// Who acted, from where, and in which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What kind of party it is.
    pub kind: ActorKind,
    /// Its name: the user of the console, or the account of a token.
    pub name: Option<String>,
    /// Its address.
    pub source: Option<IpAddr>,
    /// The request.
    pub request_id: Option<String>,
}

impl Actor {
    /// This server, by itself.
    pub const SERVER: Self = Self { kind: ActorKind::Server, name: None, source: None, request_id: None };
    /// The command line, where no server runs.
    pub const COMMAND_LINE: Self = Self { kind: ActorKind::CommandLine, name: None, source: None, request_id: None };
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActOutcome {
    /// It was done.
    Done,
    /// It was refused, and nothing changed.
    Refused,
}

/// The level of a line, named as in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Everyday.
    Info,
    /// Somebody should look at it.
    Warn,
}

/// One event that is no decision, as it is written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ActLine<'a, A> {
    pub(crate) level: Level,
    /// The version of this format.
    pub(crate) version: u32,
    /// RFC 3339, UTC, milliseconds.
    pub(crate) time: &'a str,
    /// The request in which it happened: the ULID in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a str>,
    /// What kind of party acted.
    pub(crate) actor_kind: ActorKind,
    /// Its name: the user of the console, or the account of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<&'a str>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<IpAddr>,
    /// How it ended.
    pub(crate) outcome: ActOutcome,
    #[serde(flatten)]
    pub(crate) act: &'a A,
}

/// Defines [`Act`] and the table of its variants: variant and type, name, level, outcome, meaning.
macro_rules! acts {
    ($($variant:ident, $name:literal, $level:ident, $outcome:ident, $meaning:literal;)*) => {
        /// What was done, by type. None of these has room for a token, a key or a secret.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "event")]
        pub enum Act {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant($variant),)*
        }

        impl Act {
            /// The name of its type.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            pub(crate) const fn level(&self) -> Level {
                match self { $(Self::$variant(_) => Level::$level,)* }
            }

            pub(crate) const fn outcome(&self) -> ActOutcome {
                match self { $(Self::$variant(_) => ActOutcome::$outcome,)* }
            }
        }

        $(impl From<$variant> for Act {
            fn from(act: $variant) -> Self {
                Self::$variant(act)
            }
        })*

        /// Name, meaning and schema of the lines of each type.
        pub(crate) fn act_schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, &'static str, schemars::Schema)> {
            vec![$(($name, $meaning, generator.root_schema_for::<ActLine<'static, $variant>>()),)*]
        }

        /// The names of all types of events, decisions and checkpoints included.
        pub const EVENT_TYPES: &[&str] = &["decision", $($name,)* "checkpoint"];
    };
}

acts! {
    Revocation, "revocation", Warn, Done, "Tokens were revoked, or a revocation was taken back.";
    ObjectChanged, "object_changed", Info, Done, "A managed object was created, changed or deleted.";
    ApiKeyCreated, "api_key_created", Info, Done, "An API key was created.";
    ApiKeyRevoked, "api_key_revoked", Info, Done, "An API key was revoked.";
    ApiKeyExpiring, "api_key_expiring", Warn, Done, "An API key expires soon.";
    SigningKeysRotated, "signing_keys_rotated", Warn, Done, "Successors of our signing keys were made.";
    SigningKeysWithdrawn, "signing_keys_withdrawn", Warn, Done, "A signing key and its tokens were ended.";
    IssuerKeysChanged, "issuer_keys_changed", Info, Done, "An issuer has other keys than before.";
    ConfigurationLoaded, "configuration_loaded", Info, Done, "A configuration was put in force.";
    ConfigurationRefused, "configuration_refused", Warn, Refused, "A configuration was refused. What was in force goes on.";
    ConsoleSignedIn, "console_signed_in", Info, Done, "Somebody signed in to the console.";
    ConsoleSignedOut, "console_signed_out", Info, Done, "Somebody signed out of the console.";
    ConsoleRefused, "console_refused", Warn, Refused, "A sign-in to the console was refused.";
    DirectoryChanged, "directory_changed", Info, Done, "A directory gives an account other teams than before, or its refreshes began or ceased to fail.";
    StoreAccepted, "store_accepted", Warn, Done, "The store was accepted as it is, although something is missing.";
    ServerStarted, "server_started", Info, Done, "The server started.";
    ServerStopped, "server_stopped", Info, Done, "The server stopped.";
    RequestRefused, "request_refused", Warn, Refused, "A request to the admin listener, `/revoke` or `/introspect` was refused.";
    AuditFileBegun, "audit_file_begun", Info, Done, "The first line of an audit file.";
    AuditFileHealed, "audit_file_healed", Warn, Done, "The last write before this line was cut off, and its rest was removed.";
}

#[doc = "Tokens were revoked, or a revocation was taken back."]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Revocation {
    /// `tokens/JTI`, or `revocation-rules/ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The token, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The rule, if it is one: all members must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Value>,
    /// The end of the time that the rule covers, in epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Why, in the words of the one who revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many live tokens it covers, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered: Option<u64>,
    /// Whether the rule was taken back.
    pub undone: bool,
}

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Changed,
    Deleted,
}

/// A managed object was created, changed or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ObjectChanged {
    /// `kind/name`, as in a path of the admin API.
    pub object: String,
    /// How it changed.
    pub change: Change,
    /// The document before, without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Map<String, Value>>,
    /// The document after, without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Map<String, Value>>,
}

/// An API key was created.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ApiKeyCreated {
    /// `api-keys/ID`.
    pub object: String,
    /// The username of its account.
    pub account: String,
    /// Its name, for people.
    pub name: String,
    /// When it ends, in epoch seconds.
    pub expires_at: i64,
    /// The scopes that it narrows the account's grants to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The addresses that it may be used from. Empty for any.
    pub allow_from: Vec<String>,
}

/// An API key was revoked.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ApiKeyRevoked {
    /// `api-keys/ID`.
    pub object: String,
    /// The username of its account.
    pub account: String,
    /// Its name, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why, unless somebody revoked this key by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// An API key expires soon.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ApiKeyExpiring {
    /// `api-keys/ID`.
    pub object: String,
    /// The username of its account.
    pub account: String,
    /// Its name, for people.
    pub name: String,
    /// When it ends, in epoch seconds.
    pub expires_at: i64,
    /// The days that are left, at most.
    pub within_days: i64,
}

/// Successors of our signing keys were made.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SigningKeysRotated {
    /// The new keys.
    pub kids: Vec<String>,
    /// The keys that are no longer published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// A signing key and its tokens were ended.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SigningKeysWithdrawn {
    /// The keys.
    pub kids: Vec<String>,
    /// The new keys that take their place.
    pub successors: Vec<String>,
    /// Why, in the words of the one who withdrew them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Those of the keys that may still be on their PKCS#11 device. No server uses them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_destroyed: Vec<String>,
}

/// An issuer has other keys than before.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct IssuerKeysChanged {
    /// `issuers/ENTRY`.
    pub object: String,
    /// The issuer entry.
    pub issuer_entry: String,
    /// The issuer, where the entry stands for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Why the keys were read: `configuration`, `restart`, `load`, `unknown_key`, `refresh` or
    /// `operator`.
    pub cause: String,
    /// The URL or file that they are from. Absent for keys that the configuration holds, and for a
    /// copy on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The keys that came.
    pub added: Vec<IssuerKey>,
    /// The keys that went.
    pub removed: Vec<IssuerKey>,
}

/// A public key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IssuerKey {
    /// Its `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The algorithm that it verifies.
    pub algorithm: String,
    /// Its thumbprint (RFC 7638).
    pub thumbprint: String,
}

/// Why a configuration was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadTrigger {
    /// The server started.
    Start,
    /// Somebody sent SIGHUP.
    Signal,
    /// A file changed.
    Files,
    /// A managed object changed.
    Objects,
}

/// A configuration was put in force.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigurationLoaded {
    /// The hash over all sources of rules.
    pub generation: String,
    /// The generation before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Why it was read.
    pub trigger: LoadTrigger,
    /// The names that were added, removed and changed, by kind.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub changes: Map<String, Value>,
}

/// A configuration was refused. What was in force goes on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigurationRefused {
    /// The generation that goes on.
    pub generation: String,
    /// Why it was read.
    pub trigger: LoadTrigger,
    /// Why it was refused, in short.
    pub cause: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ConfigurationFinding>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConfigurationFinding {
    /// `error`, or what else refuses a load.
    pub severity: String,
    /// The rule that it breaks.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where: `file:line:column`, or a pointer into an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Somebody signed in to the console.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConsoleSignedIn {
    /// How: `link`, or `provider`.
    pub by: String,
    /// What the session may do: `admin`, or `read`.
    pub rights: String,
}

/// Somebody signed out of the console.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConsoleSignedOut {
    /// Why.
    pub why: String,
}

/// A sign-in to the console was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ConsoleRefused {
    /// Why.
    pub why: String,
}

/// A directory gives an account other teams than before, or its refreshes began or ceased to fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct DirectoryChanged {
    /// `service-accounts/ACCOUNT`, or `directories/NAME` if it is about the directory as a whole.
    pub object: String,
    /// The directory.
    pub directory: String,
    /// The username of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The teams that the account gained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gained: Vec<String>,
    /// The teams that it lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Whether the last refresh of the directory succeeded. Absent if it is about an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// Why the account gets no team, or why the refresh failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The store was accepted as it is, although something is missing.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StoreAccepted {}

/// The server started.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServerStarted {
    /// The version of sts.
    pub sts_version: String,
    /// The generation in force.
    pub generation: String,
    /// The address of the public listener.
    pub listen: String,
    /// The address of the admin listener.
    pub admin_listen: String,
}

/// The server stopped.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServerStopped {}

/// A request to the admin listener, `/revoke` or `/introspect` was refused.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RequestRefused {
    /// The method of HTTP.
    pub method: String,
    /// The route of its path, such as `/admin/v1/tokens/{jti}`. Where a parameter is the name of an
    /// account, an API or an issuer in force, that name stands there.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The stable reason of the answer.
    pub reason: String,
    /// What the caller was told.
    pub cause: String,
}

/// Why an audit file was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileCause {
    /// There was none before.
    New,
    /// The file before was renamed, because it was full or by another program.
    Rotated,
    /// The file before was removed.
    Missing,
    /// The file before was cut to nothing.
    Truncated,
    /// The file before was replaced, or its end was changed, so it was set aside.
    Replaced,
}

impl FileCause {
    /// Whether lines of the file before may be lost.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Missing | Self::Truncated | Self::Replaced)
    }
}

/// The first line of an audit file.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditFileBegun {
    /// Why it was begun.
    pub cause: FileCause,
    /// More about the file before, if something is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The last write before this line was cut off, and its rest was removed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditFileHealed {
    /// How many bytes were removed.
    pub torn_bytes: u64,
}

/// Why a checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointCause {
    /// There were enough lines since the last one.
    Lines,
    /// It was time.
    Time,
    /// The file is full, and another one follows.
    FileEnd,
    /// The writer stopped.
    Stop,
    /// The writer before this one ended without a checkpoint.
    Resumed,
}

/// A checkpoint, before it is chained and signed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckpointLine<'a> {
    pub(crate) level: Level,
    pub(crate) event: CheckpointTag,
    /// The version of this format.
    pub(crate) version: u32,
    /// RFC 3339, UTC, milliseconds.
    pub(crate) time: &'a str,
    /// What kind of party acted: always `server` or `command_line`.
    pub(crate) actor_kind: ActorKind,
    /// How it ended.
    pub(crate) outcome: ActOutcome,
    /// Why it was written.
    pub(crate) cause: CheckpointCause,
    /// How many lines it covers that no earlier checkpoint does, as far as the writer knows.
    pub(crate) lines: u64,
}

/// The type of a checkpoint.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckpointTag {
    Checkpoint,
}
