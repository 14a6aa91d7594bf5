//! Group membership of service accounts, from Active Directory or another LDAP directory.
//!
//! [`Directories`] refreshes memberships in the background and holds the last ones as a
//! [`Memberships`] snapshot. A decision reads the snapshot and never waits for a directory.

mod ber;
mod dialect;
mod directories;
mod dn;
mod failure;
mod filter;
mod group_ref;
mod kept;
mod known;
mod login;
mod lookup;
mod membership;
mod probe;
mod refresh;
mod server_url;
mod session;
mod sid;
mod spec;
mod tls;
mod transport;

pub use directories::{Directories, DirectoryStatus, Environment, Persistence};
pub use dn::{Dn, DnError};
pub use failure::{DirectoryError, FailureCause};
pub use filter::{UserFilter, UserFilterError};
pub use group_ref::{GroupRef, GroupRefError};
pub use login::{Login, LoginError};
pub use membership::{GroupState, Membership, MembershipState, Memberships, NoMembershipError};
pub use probe::{Probe, ProbeFault, ProbeSubject, probe};
pub use server_url::{ServerUrl, ServerUrlError};
pub use sid::{Sid, SidError};
pub use spec::{BindSpec, DirectoriesSpec, DirectoryKind, DirectorySpec, LinkedGroup, LinkedLogin};
