//! Token Status Lists: offline verifiers learn about revocations from them. Each token is minted
//! with an index (`indexes.rs`). A background task keeps the lists of invalid tokens up to date
//! (`publisher.rs`), and `published.rs` serves them.

mod indexes;
mod published;
mod publisher;

pub(crate) use indexes::StatusIndexes;
pub(crate) use published::PublishedLists;
pub use published::{StatusList, StatusListsView};

use std::sync::Arc;

use arc_swap::ArcSwap;
use sts_keyring::Keyring;
use sts_store::Ledger;
use sts_types::{Clock, Issuer, StatusListId};

use crate::Snapshot;
use crate::rules_in_force::RulesInForce;
use crate::signing::SigningHealth;

/// Seconds after which a verifier should fetch a list again. Caches may keep it that long.
pub const STATUS_LIST_TTL: u32 = 30;

/// The URL of the list `id`.
pub(crate) fn uri(issuer: &Issuer, id: StatusListId) -> String {
    let root = issuer.as_str();
    format!("{}/status/{id}", root.strip_suffix('/').unwrap_or(root))
}

/// The status lists: what keeps them up to date, and what serves them.
pub(crate) struct StatusLists {
    pub(crate) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) signing: Arc<SigningHealth>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<RulesInForce>,
    pub(crate) indexes: Arc<StatusIndexes>,
    pub(crate) published: Arc<PublishedLists>,
}
