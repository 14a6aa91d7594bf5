//! The requests and answers of the admin listener. The server writes the answers, and the command line reads and prints them.
//!
//! These are shapes, not decisions: a name is checked for its form, and whether anybody has it is the server's business. With them comes
//! what the console and the command line give people to paste.

mod activity;
mod admissions;
mod api_keys;
mod apply;
mod audit;
mod console_links;
mod denial_drafts;
mod denials;
mod error;
mod evaluate;
mod group_teams;
mod issuers;
mod keys;
mod names;
mod objects;
mod presets;
mod problem;
mod query;
mod readiness;
mod replay_claims;
mod revocations;
mod schema;
mod snippet;
mod store;
mod tokens;

pub use activity::{Activity, ActivityInterval, ActivityPeriod, ActivityQuery};
pub use admissions::{AdmissionAnswer, AdmissionRequest, Admissions, TriedCondition, TriedKind};
pub use api_keys::{ApiKeyCreated, ApiKeyInfo, ApiKeyPage, ApiKeyState, NewApiKey};
pub use apply::{Applied, AppliedItem, AppliedObject, ApplyAnswer, ApplyRequest};
pub use audit::{AuditPage, AuditQuery};
pub use console_links::ConsoleLink;
pub use denial_drafts::{DenialDraft, DraftKind, IdentityDraft};
pub use denials::{
    Denial, DenialAnswer, DenialGroup, DenialGroups, DenialPage, DenialQuery, FailedCondition, PresentedToken,
};
pub use error::ErrorAnswer;
pub use evaluate::EvaluateRequest;
pub use group_teams::{DirectoryTeam, GroupTeams, TokenTeam};
pub use issuers::{
    EntryState, FamilyRefreshed, FetchCounts, HistoryAnswer, HistoryAt, HistoryQuery, HistoryState, IssuerAnswer,
    IssuerEntry, IssuerFamily, IssuerKey, IssuerObject, Issuers, KeyHistory, KeySeen, KeySetSeen, KeySource, LastError,
    LastFetch, MemberRefreshed, RefreshAnswer, RefreshRequest, Refreshed, SeenFrom, SkippedKey,
};
pub use keys::{KeyPhase, SigningKey, SigningKeys, WithdrawKeyRequest, WithdrawnKey};
pub use objects::{
    IdentityPage, LastUse, NewObject, NotInForce, Object, ObjectPage, ObjectQuery, ObjectSource, PageQuery,
    ReplacedObject, Written, WrittenIdentity,
};
pub use presets::{PresetInfo, PresetMember, Presets};
pub use problem::{ChangedVerdict, DryRun, Effect, Finding, Problem};
pub use query::{NoMembers, QueryError};
pub use readiness::{
    DirectoryHealth, ListenerAddress, NamedStatus, Readiness, SetAsideObject, SinkStatus, StoreWarning,
};
pub use replay_claims::{EarlierUse, ReplayClaim};
pub use revocations::{
    Coverage, Revocation, RevocationRequest, RevocationRule, RevocationRules, RevocationScope, Revoked, UndoneRule,
};
pub use schema::RequestIdText;
pub use snippet::{Snippet, Workload};
pub use store::Acceptance;
pub use tokens::{Ancestry, Credential, CredentialKind, Token, TokenPage, TokenQuery, TokenState};

/// Leaves a flag that is off out of a document.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
