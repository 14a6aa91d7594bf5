//! The form of an identity: its fields, who gets in by it, and how a workload uses it.

mod admissions;
mod deletion;
mod fields;
mod page;
#[cfg(test)]
mod tests;

pub(super) use deletion::{confirm, delete};
pub(super) use page::{create, save, show, show_new};
