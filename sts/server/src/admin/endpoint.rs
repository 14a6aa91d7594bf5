//! Where operations are: method, path, right and documentation, and the route that leads a request there.

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::request::decoded;
use super::{Operation, OperationError, ROUTES, Request};
use crate::app_state::AppState;

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
    /// One segment at most is a `{parameter}`.
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

/// An operation that requests are led to.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) query_parameters: fn() -> Vec<Value>,
    answer: for<'a> fn(&'a Request, Right, &'a AppState, &'a str) -> AnswerFuture<'a>,
}

/// An answer on its way, as JSON.
type AnswerFuture<'a> = LocalBoxFuture<'a, Result<Value, RouteError>>;

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(crate) enum RouteError {
    /// It does not say what it asks for in a form that is understood.
    Malformed(String),
    /// The caller may not.
    Forbidden,
    Operation(OperationError),
}

impl Route {
    pub(super) const fn to<O: Operation>() -> Self {
        Self { endpoint: O::ENDPOINT, query_parameters: O::query_parameters, answer: answer::<O> }
    }

    /// Does what `request` asks for, by somebody named `by` who has `right`.
    pub(crate) async fn answer(
        &self,
        request: &Request,
        right: Right,
        state: &AppState,
        by: &str,
    ) -> Result<Value, RouteError> {
        (self.answer)(request, right, state, by).await
    }
}

fn answer<'a, O: Operation>(request: &'a Request, right: Right, state: &'a AppState, by: &'a str) -> AnswerFuture<'a> {
    let answer = async move {
        let operation = O::read(request).map_err(RouteError::Malformed)?;
        if O::ENDPOINT.right == Right::Admin && right == Right::Read {
            return Err(RouteError::Forbidden);
        }
        let answer = operation.run(state, by).await.map_err(RouteError::Operation)?;
        let failed = |error: serde_json::Error| RouteError::Operation(OperationError::Failed(error.to_string()));
        serde_json::to_value(answer).map_err(failed)
    };
    answer.boxed_local()
}

/// The route of a request, and the value of its path's parameter. `Err` holds the methods that the path has.
///
/// The names of a path are compared as they are sent: an encoded one is another path.
pub(crate) fn find(method: &str, path: &str) -> Result<(&'static Route, String), Option<&'static str>> {
    let (route, parameter) = ROUTES
        .iter()
        .copied()
        .flatten()
        .find_map(|route| Some((route, parameter(route.endpoint.path, path)?)))
        .ok_or(None)?;
    let allowed = match route.endpoint.method {
        "GET" => "GET, HEAD",
        other => other,
    };
    if allowed.split(", ").any(|allowed| allowed == method) { Ok((route, parameter)) } else { Err(Some(allowed)) }
}

/// The value of the parameter of `template` in `path`, empty where there is none; `None` where the path does not fit.
fn parameter(template: &str, path: &str) -> Option<String> {
    let mut value = String::new();
    let (mut names, mut parts) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), parts.next()) {
            (None, None) => return Some(value),
            (Some(name), Some(part)) if name.starts_with('{') => value = decoded(part),
            (Some(name), Some(part)) if name == part => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_answers_its_own_methods_and_is_not_decoded() {
        let name = |method: &str, path: &str| find(method, path).map(|(route, _)| route.endpoint.documentation.name);
        assert_eq!(name("HEAD", "/admin/v1/tokens"), Ok("listTokens"));
        assert_eq!(name("DELETE", "/admin/v1/tokens"), Err(Some("GET, HEAD")));
        assert_eq!(name("GET", "/admin/v1/revocations"), Err(Some("POST")));
        assert_eq!(find("GET", "/admin/v1/tokens/a%2Fb+c").map(|(_, jti)| jti).ok().as_deref(), Some("a/b+c"));
        for nowhere in [
            "/admin/v1",
            "/admin/v2/tokens",
            "/admin/v1x/tokens",
            "/admin/v1tokens",
            "/admin/v1/%74okens",
            "/admin/v1/keys%2Frotate",
            "/admin/v1/keys/rotate/x",
        ] {
            assert_eq!(name("GET", nowhere), Err(None), "{nowhere}");
        }
    }

    #[test]
    fn each_path_is_its_own_operation_and_answers_its_method_only() {
        let all: Vec<&Route> = ROUTES.iter().copied().flatten().collect();
        for route in &all {
            let path = route.endpoint.path.replace(['{', '}'], "");
            let (found, _) = find(route.endpoint.method, &path).unwrap();
            assert_eq!(found.endpoint.documentation.name, route.endpoint.documentation.name);
            let other = if route.endpoint.method == "GET" { "POST" } else { "GET" };
            assert!(matches!(find(other, &path), Err(Some(_))), "{other} {path}");
            let fits = all.iter().filter(|other| parameter(other.endpoint.path, &path).is_some());
            assert_eq!(fits.count(), 1, "{path}");
        }
    }
}
