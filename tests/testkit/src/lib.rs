//! Tools for black-box tests: a forge for tokens of any shape, fake issuers on loopback, a harness
//! that runs the built binary, and a verifier that shares no code with it.
//!
//! Everything here blocks, and speaks HTTP/1.1 by itself, so that a test can also send what no
//! client library would. A step that fails panics, and fails the test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "code of tests only: what cannot go on is a failed test"
)]

mod config;
mod corpus;
mod directory_server;
mod exposition;
mod fake_issuer;
mod forge;
mod free_address;
mod http;
mod key;
mod ldap_proxy;
mod lines;
mod local_issuer;
mod manual_clock;
mod mutants;
mod nginx;
mod now;
mod openid_provider;
mod redis;
mod redis_groups;
mod redis_tls;
mod run;
mod samba;
mod server;
mod shifted_clock;
mod slapd;
mod soft_hsm;
mod status;
mod tls_files;
mod verifier;
mod watchdog;
mod web_client;

pub use config::{Config, Site};
pub use corpus::{Sample, claims_samples, corpus_file, corpus_json, recorded_token};
pub use exposition::{Exposition, Labels};
pub use fake_issuer::{FakeIssuer, Page};
pub use forge::{Forge, rejoin};
pub use free_address::free_address;
pub use http::{Request, Response, basic, form, send, send_raw, try_send};
pub use key::{Key, hmac};
pub use ldap_proxy::{LdapBehaviour, LdapLimits, LdapProxy};
pub use lines::Lines;
pub use local_issuer::LocalIssuer;
pub use manual_clock::ManualClock;
pub use mutants::Mutants;
pub use nginx::Nginx;
pub use now::{now, timed, until};
pub use openid_provider::OpenIdProvider;
pub use redis::{RedisReply, RedisServer};
pub use redis_groups::{RedisCluster, RedisPair};
pub use redis_tls::RedisCertificates;
pub use run::{Finished, Sts};
pub use samba::Samba;
pub use server::{Server, exchange_request};
pub use shifted_clock::ShiftedClock;
pub use slapd::Slapd;
pub use soft_hsm::SoftHsm;
pub use status::StatusPlace;
pub use sts_jose::{Algorithm, base64url, decode_base64url};
pub use verifier::{OwnToken, verify_offline};
pub use web_client::{WebClient, console_link, hidden_field};
