//! Issuer entry to verification keys: discovery, fetch, cache, refresh, static keys.
//!
//! A [`JwksCache`] is built from [`EntrySpec`]s, which are plain data. Key sets from files and from
//! the configuration are loaded at construction. [`JwksCache::run`] fetches the others, or the
//! first [`JwksCache::find`] that needs them does. No URL ever comes from a token: the entries are
//! the only source of URLs.
//!
//! - **Lookups** read an immutable set per entry without a lock ([`JwksCache::find_cached`]).
//! - **Fetches** run one at a time per entry, each in its own task. Callers share the fetch, and a
//!   caller that gives up does not cancel it. A fetch has one deadline (5 s) and a size limit that
//!   counts decompressed bytes (256 KiB). It follows one redirect, within the origin only, uses
//!   only a proxy that the entry names, and dials only addresses that pass the guard (see
//!   [`NetworkRule`]).
//! - **An unknown kid** triggers one shared fetch per entry and cool-down
//!   ([`EntrySpec::refresh_cooldown`]).
//! - **An issuer outage** has no effect for [`EntrySpec::max_stale`]: the last good set stays in
//!   use, and a copy on disk survives a restart.
//!
//! Several entries may share one issuer if each has its own keys. A key that two such entries hold
//! is used for neither. Construction refuses it among static sets. Fetched sets may change at any
//! time, so there the key is left out of every answer and [`JwksCache::status`] reports it.
//!
//! Keys are `sts_jose::VerifyingKey`s, which verify by themselves. With the feature `jsonwebtoken`,
//! `decoding_key` makes `jsonwebtoken` keys of them.
//!
//! Everything here runs on tokio; [`JwksCache::new`] and the lock-free lookups need no runtime.

mod access;
mod admissions;
mod bounded;
mod cache;
mod candidates;
mod connect_error;
mod control;
mod copies;
#[cfg(feature = "jsonwebtoken")]
mod decoding_key;
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
mod monotonic_time;
mod observer;
mod outbound;
mod probe;
mod progress;
mod provider;
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
#[cfg(feature = "jsonwebtoken")]
pub use decoding_key::decoding_key;
pub use discovery::read_discovery;
pub use entry_keys::EntryKeys;
pub use entry_ref::EntryRef;
pub use environment::{Environment, ResolveFuture, Resolver};
pub use fetch_error::{DocumentKind, FetchError, FetchErrorKind};
pub use guard::AddressRefusedError;
pub use history::{HistoryError, InForce, KeyHistory, KeySeen, KeySetSeen, SeenFrom};
pub use observer::{KeyChangeCause, KeyObserver, KeysChanged};
pub use outbound::client_builder;
pub use probe::{DocumentFound, DocumentProbe};
pub use progress::Stage;
pub use provider::{Form, FormAnswer};
pub use proxy_url::ProxyUrl;
pub use spec::{EntrySpec, FamilySpec, KeySource, NetworkRule, Specs};
pub use status::{
    EntryState, EntryStatus, FamilyStatus, FetchCounts, KeyStatus, LastError, LastFetch, RefreshReport,
    SkippedKeyStatus, SourceKind,
};
pub use tls::{CertificateFault, CertificateRefusedError};
pub use validate::{EntryError, is_loopback};
pub use view::EntryView;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
