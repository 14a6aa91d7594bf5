//! The policy decision engine of sts. It takes verified claims and a request, and returns a
//! decision, on demand with its trace.
//!
//! The engine is pure: no I/O, no clock, no signatures. The exchange, `sts explain` and policy
//! tests all use it.

mod account;
mod admission;
mod case;
mod changes;
mod compare;
mod compile;
mod condition;
mod console;
mod decision;
mod delegation;
mod descendant;
mod diagnosis;
mod draft;
mod evaluate;
mod events;
mod explain;
mod external;
mod faulty;
mod finding;
#[cfg(test)]
mod fixture;
mod identity;
mod index;
mod membership;
mod overlap;
mod pattern;
mod policy_test;
pub mod preset;
mod resolve;
mod ruleset;
mod spec;
mod text;

pub use admission::{Admission, TriedToken};
pub use case::Case;
pub use changes::AccountChanges;
pub use compare::{Change, Verdict};
pub use console::{ConsoleDecision, ConsoleRefusal, ConsoleRight};
pub use decision::{
    ConditionTrace, Decision, Facts, Grant, GrantedAccount, IdentityTrace, Outcome, Refusal, RequestError, Requested,
    RequestedAccount, RequestedTarget,
};
pub use delegation::{Actor, ActorError};
pub use descendant::{AncestorLimit, ParentToken, Root};
pub use diagnosis::{Diagnosis, EntryView, diagnose_request, difference, is_look_alike_host, shared_audience};
pub use draft::{ForkCode, Guard, NearestIdentity, OwnerRelation, SoleFault};
pub use external::{DirectoryTeams, GivenTeam, GroupTeams, TeamSource};
pub use faulty::{FaultyNames, FaultySet};
pub use finding::{Finding, Severity};
pub use membership::{ExternalLogin, MemberOf, Memberships, NoDirectory, NoMembership};
pub use overlap::{Ambiguous, Overlaps, Shadowed};
pub use pattern::{Pattern, PatternError};
pub use policy_test::{TestFailure, TestPassed, run_test, test_case};
pub use preset::{IssuerDefaults, IssuerFault, KnownIssuer, Preset};
pub use resolve::RequestedNames;
pub use ruleset::{AccountView, ApiView, Compiled, Provenance, RuleSet};
pub use spec::{
    AccountSpec, ApiSpec, ConditionObject, ConditionSpec, ConditionSpecs, ConsoleSpec, Expectation, ExternalGroupSpec,
    ExternalLoginSpec, GrantSpec, IdentitySpec, IssuerSpec, PresetSource, Replay, ScalarSpec, ShortRuleSpec, Spec,
    TeamSpec, TestSpec, TestTokenSpec, TokensSpec,
};
pub use text::{render, summary};
