//! The audit trail: who did what, why, and how it ended. Its events, the sinks that take them, the
//! hash-chained file, and the verification of such files.
//!
//! No event has room for a token, a key or a secret.

mod chain;
mod decision;
mod event;
mod file;
mod schema;
mod sink;
mod spec;
mod stream;
mod syslog;
mod tail;
mod trail;
mod verify;

pub use chain::Sha256;
pub use decision::{
    DecisionEvent, DecisionTag, EarlierExchange, FailedCondition, Outcome, PhaseMicros, PresentedToken, ProofKind,
};
pub use event::{
    Act, ActOutcome, Actor, ActorKind, ApiKeyCreated, ApiKeyExpiring, ApiKeyRevoked, AuditFileBegun, AuditFileHealed,
    Change, CheckpointCause, ConfigurationFinding, ConfigurationLoaded, ConfigurationRefused, ConsoleRefused,
    ConsoleSignedIn, ConsoleSignedOut, DirectoryChanged, EVENT_TYPES, EVENT_VERSION, FileCause, IssuerKey,
    IssuerKeysChanged, Level, LoadTrigger, ObjectChanged, RequestRefused, Revocation, ServerStarted, ServerStopped,
    SigningKeysRotated, SigningKeysWithdrawn, StoreAccepted,
};
pub use file::{AuditFile, ChainParts, CheckpointSigner, rotated_path};
pub use schema::event_schema;
pub use sink::{LineWriter, Sink, SinkStatus};
pub use spec::{AuditSpec, DEFAULT_MAX_FILES, DEFAULT_MAX_SIZE, FileSpec, SyslogTarget};
pub use stream::Stream;
pub use syslog::{Connect, Syslog, SyslogStream};
pub use tail::{Tail, TailFilter, TailPage};
pub use trail::Trail;
pub use verify::{
    CheckpointVerifier, FileEnd, FileLoss, LineRange, Problem, ProblemKind, SignatureFault, VerifiedFile, VerifyError,
    VerifyReport, verify_files,
};
