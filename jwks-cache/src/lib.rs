//! Issuer entry to verification keys: discovery, fetch, cache, refresh, static keys.
//!
//! A [`JwksCache`] is made from [`EntrySpec`]s, plain data. Key sets in files and in the configuration are there at once; the
//! others are fetched by [`JwksCache::run`], or by the first [`JwksCache::find`] that needs them. Nothing that a token says
//! ever leads to a new address: the entries are the only source of URLs.
//!
//! - **Lookups** are lock-free on an immutable set per entry ([`JwksCache::find_cached`]).
//! - **Fetches** are one per entry at a time, in a task of their own: callers share it, and callers that give up cancel
//!   nobody. Each has one deadline (5 s), a size limit that counts decompressed bytes (256 KiB), follows one redirect
//!   within the origin and no other, uses no proxy but one that the entry names, and dials only addresses that passed the guard (see [`NetworkRule`]).
//! - **An unknown kid** asks for one shared fetch per entry and cool-down ([`EntrySpec::refresh_cooldown`]).
//! - **An issuer that is down** harms nobody for [`EntrySpec::max_stale`]: the last good set serves, and a copy of it on disk
//!   survives a restart.
//!
//! Several entries may share one issuer if each has keys of its own. A key that two such entries hold belongs to neither:
//! among static sets it is refused at construction; among fetched ones, which may change at any time, it is left out of every
//! answer and reported by [`JwksCache::status`].
//!
//! Everything here runs on tokio; [`JwksCache::new`] and the lock-free lookups need no runtime.

mod access;
mod admissions;
mod cache;
mod candidates;
mod connect_error;
mod control;
mod copies;
mod discovery;
mod draft;
mod entry;
mod entry_keys;
mod entry_ref;
mod environment;
mod family;
mod fetch;
mod fetch_error;
mod freshness;
mod guard;
mod history;
mod history_log;
mod http;
mod last_good;
mod moment;
mod outbound;
mod progress;
mod proxy_url;
mod redirect;
mod slot;
mod spec;
mod static_keys;
mod status;
mod tls;
mod validate;
mod view;

pub use cache::{CacheAnswer, JwksCache, LookupError};
pub use candidates::Candidates;
pub use connect_error::{Caller, ConnectCause, ConnectError};
pub use discovery::read_discovery;
pub use entry_keys::EntryKeys;
pub use entry_ref::EntryRef;
pub use environment::{Environment, ResolveFuture, Resolver};
pub use fetch_error::{DocumentKind, FetchError, FetchFault};
pub use guard::AddressRefused;
pub use history::{HistoryError, InForce, KeyHistory, KeySeen, KeySetSeen, SeenFrom};
pub use outbound::client_builder;
pub use progress::Stage;
pub use proxy_url::ProxyUrl;
pub use spec::{EntrySpec, FamilySpec, KeySource, NetworkRule, Specs};
pub use status::{
    EntryState, EntryStatus, FamilyStatus, FetchCounts, KeyStatus, LastError, LastFetch, RefreshReport,
    SkippedKeyStatus, SourceKind,
};
pub use tls::{CertificateFault, CertificateRefused};
pub use validate::EntryError;
pub use view::EntryView;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
