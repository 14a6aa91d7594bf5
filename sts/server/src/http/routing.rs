//! What the routes see of a request. They are written for one normal form of each path, below the
//! path of our issuer, and for GET where HEAD is asked for.
//!
//! The router decodes a path before it looks for a route, so `/%74oken` would be `/token`. A proxy
//! in front of us that filters by path does not see it so. Here an encoded path is another path.

use std::borrow::Cow;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse, Url};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest};

use super::metadata;
use super::reason::HttpReason;
use super::{Failure, listener::Listener};

/// Gives the router the path that it knows.
pub(super) async fn normalise_request(
    listener: Listener,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    if request.method() == Method::HEAD {
        // The library leaves the body of the answer out by itself.
        request.head_mut().method = Method::GET;
    }
    let has_route = |path: &str| request.resource_map().has_resource(path);
    let routed = match routed(request.path(), listener.base(), has_route) {
        Cow::Borrowed(path) if path == request.path() => None,
        path => Some(Uri::try_from(path.as_ref())),
    };
    match routed {
        None => {}
        Some(Ok(path)) => request.match_info_mut().set(Url::new(path)),
        // It is longer than any path of ours.
        Some(Err(_)) => return Ok(request.error_response(Failure::from(HttpReason::NotFound))),
    }
    next.call(request).await
}

/// The route of a request, such as `/status/{list}`, by the path that the router has.
pub(crate) fn route_of(request: &HttpRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// `path` with repeated slashes collapsed and a trailing one dropped. Nothing is decoded.
pub(crate) fn normalise(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') && !path.ends_with('/') && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    Cow::Owned(clean)
}

/// The path to find a route for. `base` is the normalised path of our issuer, empty when it has none.
///
/// Every route answers at the root and under `base`; the metadata also with `base` appended
/// (RFC 8414 section 3.1).
fn routed<'p>(path: &'p str, base: &str, has_route: impl Fn(&str) -> bool) -> Cow<'p, str> {
    let path = escaped(normalise(path));
    if base.is_empty() || has_route(&path) {
        return path;
    }
    let under_base = path.strip_prefix(base).filter(|rest| rest.starts_with('/'));
    let inserted = || path.strip_suffix(base).filter(|rest| metadata::PATHS.contains(rest));
    match under_base.filter(|rest| has_route(rest)).or_else(inserted) {
        Some(route) => Cow::Owned(route.to_owned()),
        None => path,
    }
}

/// `path` with its percent signs encoded, so that the router's decoding gives `path` back.
fn escaped(path: Cow<'_, str>) -> Cow<'_, str> {
    if path.is_empty() {
        // A URI has no empty path.
        Cow::Borrowed("/")
    } else if path.contains('%') {
        Cow::Owned(path.replace('%', "%25"))
    } else {
        path
    }
}

/// The text of a parameter of the path, as the router has it.
pub(crate) fn decoded(parameter: &str) -> String {
    let sent = parameter.replace("%25", "%");
    let encoded = format!("v={}", sent.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path that the router is given where the routes are those of the public listener.
    fn at(path: &str, base: &str) -> String {
        let has_route = |path: &str| {
            ["/token", "/healthz"].contains(&path)
                || metadata::PATHS.contains(&path)
                || path.strip_prefix("/status/").is_some_and(|list| !list.contains('/'))
        };
        routed(path, base, has_route).into_owned()
    }

    #[test]
    fn md02_c117_paths_have_one_normal_form() {
        for (path, base, route) in [
            ("/token", "", "/token"),
            ("//token/", "", "/token"),
            ("/t1/status/1-0/", "/t1", "/status/1-0"),
            ("/t1//token", "/t1", "/token"),
            ("/token", "/t1", "/token"),
            ("/.well-known/oauth-authorization-server/t1", "/t1", "/.well-known/oauth-authorization-server"),
            ("/t1/.well-known/openid-configuration", "/t1", "/.well-known/openid-configuration"),
            ("", "", "/"),
            ("/", "", "/"),
            ("*", "", "/*"),
            // A route at the root comes before one under the issuer's path.
            ("/token", "/token", "/token"),
            ("/token/token", "/token", "/token"),
            ("/status/token", "/status", "/status/token"),
        ] {
            assert_eq!(at(path, base), route, "{path} {base}");
        }
    }

    #[test]
    fn md02_c117_what_only_looks_like_a_path_of_ours_is_left_as_it_is() {
        for path in [
            "/t2/token",
            "/.well-known/oauth-authorization-server/t2",
            "/t1token",
            "/a/../token",
            "/Token",
            "/token;x",
            "/token.",
            "/status",
            "/status/1-0/2",
            "/t2/status/1-0",
            "/t1/t1/token",
            "/token/t1",
            "/t1",
        ] {
            assert_eq!(at(path, "/t1"), path);
        }
        let inserted = "/.well-known/openid-configuration/t1";
        assert_eq!(at(inserted, ""), inserted);
    }

    #[test]
    fn c117_the_router_decodes_no_path_into_one_of_ours() {
        for path in ["/%74oken", "/t1/%74oken", "/%2574oken", "/token%2F", "/status/%31-0"] {
            let url = Url::new(Uri::try_from(at(path, "/t1")).unwrap());
            assert_eq!(decoded(url.path()), decoded(&path.replace('%', "%25")), "{path}");
            assert_eq!(url.path(), path.replace('%', "%25"));
        }
    }

    #[test]
    fn a_parameter_is_decoded_once() {
        for (sent, text) in [("a%2Fb+c", "a/b+c"), ("%2541", "%41"), ("%C3%A9", "é"), ("a&b=c", "a&b=c"), ("%", "%")] {
            assert_eq!(decoded(&escaped(sent.into())), text);
        }
    }
}
