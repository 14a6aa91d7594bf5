//! Token Status Lists: how who verifies offline learns of revocations. Tokens are minted with an index (`indexes.rs`), and lists
//! of what is no longer valid are kept up to date in the background (`board.rs`, `rounds.rs`).

mod board;
mod indexes;
mod rounds;

pub(crate) use board::Board;
pub use board::{StatusList, StatusListsView};
pub(crate) use indexes::StatusIndexes;

use sts_types::{Issuer, StatusListId};

/// Seconds after which a verifier should fetch a list anew, and for which caches may keep it.
pub const STATUS_LIST_TTL: u32 = 30;

/// Where the list of `id` is fetched.
pub(crate) fn uri(issuer: &Issuer, id: StatusListId) -> String {
    let root = issuer.as_str();
    format!("{}/status/{id}", root.strip_suffix('/').unwrap_or(root))
}
