//! Where operations are: method, path, right and documentation, and the route that leads a request there.

use serde_json::Value;

use super::Operation;

/// Who may do an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Admin,
}

/// Where an operation is.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// Below `/admin/v1`. One segment at most is a `{parameter}`.
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    /// Whether it is about what the configuration says, and not about what is recorded.
    pub(crate) needs_rules: bool,
    pub(crate) documentation: Documentation,
}

/// What the OpenAPI document says of an operation.
#[derive(Debug)]
pub(crate) struct Documentation {
    /// The operation id.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// The schema of the body, and whether there must be one.
    pub(crate) body: Option<(&'static str, bool)>,
    /// The schema of the answer.
    pub(crate) answer: &'static str,
    /// The statuses of its own failures, beside those of every operation.
    pub(crate) failures: &'static [u16],
}

impl Endpoint {
    /// The path on the listener.
    pub(crate) fn full_path(&self) -> String {
        format!("/admin/v1{}", self.path)
    }
}

/// An operation as the OpenAPI document lists it.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) query_parameters: fn() -> Vec<Value>,
    pub(crate) successes: &'static [u16],
}

impl Route {
    pub(super) const fn to<O: Operation>() -> Self {
        Self { endpoint: O::ENDPOINT, query_parameters: O::query_parameters, successes: O::SUCCESSES }
    }
}
