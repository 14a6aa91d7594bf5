//! Warnings about a store that works.

/// A weakness in the setup of a store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// A short stable name, for metric labels.
    pub name: &'static str,
    /// What is weak, and what to do about it.
    pub text: String,
}
