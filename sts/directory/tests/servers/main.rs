//! Memberships from real directory servers: a Samba domain controller and OpenLDAP.
//!
//! A test prints why it is left out where a server cannot run.

mod active_directory;
mod openldap;
mod support;
