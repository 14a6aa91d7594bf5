//! Memberships from real directory servers: a Samba domain controller and OpenLDAP.
//!
//! A test prints why it is left out where a server cannot run.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "clippy sees only #[test] functions as tests")]

mod active_directory;
mod openldap;
mod strict_server;
mod support;
