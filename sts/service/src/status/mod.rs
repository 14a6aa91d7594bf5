//! Token Status Lists: offline verifiers learn about revocations from them. Each token is minted
//! with an index (`indexes.rs`). A background task keeps the lists of invalid tokens up to date
//! (`publisher.rs`), and `published.rs` serves them.

mod indexes;
mod published;
mod publisher;

pub(crate) use indexes::StatusIndexes;
pub(crate) use published::PublishedLists;
pub use published::{StatusList, StatusListsView};

use sts_types::{Issuer, StatusListId};

/// Seconds after which a verifier should fetch a list again. Caches may keep it that long.
pub const STATUS_LIST_TTL: u32 = 30;

/// The URL of the list `id`.
pub(crate) fn uri(issuer: &Issuer, id: StatusListId) -> String {
    let root = issuer.as_str();
    format!("{}/status/{id}", root.strip_suffix('/').unwrap_or(root))
}
