//! Decodes trees to specs. Every reader reports faults and goes on, so that one run finds all of
//! them. The value it returns after a fault is only a stand-in, which the load throws away at the
//! end.

mod accounts;
mod apis;
mod audit;
mod conditions;
mod console;
mod directories;
mod families;
mod issuer;
mod issuer_keys;
mod issuers;
mod named_file;
mod owner_claims;
mod platform;
mod policy_tests;
mod reader;
mod same_issuer;
mod scalars;
mod server;
mod signing;
mod store;
mod store_url;
mod telemetry;
mod url;

pub(crate) use accounts::{Accounts, accounts};
pub(crate) use apis::apis;
pub(crate) use console::{ConsoleDraft, console};
pub(crate) use directories::{Directories, directories, groups_of_test};
pub(crate) use issuers::{Entries, issuers};
pub(crate) use named_file::{FileKind, NamedFile};
pub(crate) use platform::refuse_bare_preset_none;
pub(crate) use policy_tests::TokenFile;
pub(crate) use reader::{Fields, Reader};
pub(crate) use server::{
    AccountFiles, DEFAULT_ADMIN, DEFAULT_DATA_DIR, DEFAULT_DRAIN, DEFAULT_LIMITS, DEFAULT_LISTEN, DEFAULT_LOG,
    DEFAULT_MANAGED, Server, account_files, address, default_tokens, server, stand_in,
};
pub(crate) use signing::{SIGNING_STORES, Signing, StoreKind, signing};
pub(crate) use store::store;
