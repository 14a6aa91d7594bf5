//! What the operator of a store should hear of, although it works.

/// A weakness of the store as it is set up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// A short stable name, for metric labels.
    pub name: &'static str,
    /// What it is and what to do.
    pub text: String,
}
