//! The endpoints of the listeners that are no operations of the admin API. One table of a listener
//! is registered with the router and shown in the OpenAPI document.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};
use utoipa::openapi::path::OperationBuilder;

use crate::schemas;

/// An endpoint.
pub(crate) struct HttpEndpoint {
    /// Where it is. The first path has the operation's name, and the others are aliases.
    pub(crate) paths: &'static [&'static str],
    pub(crate) method: &'static str,
    /// `None` where the other listener has the same path and documents it for both.
    pub(crate) documentation: Option<fn() -> OperationBuilder>,
    /// Gives the route its handler.
    pub(super) handle: fn(Route) -> Route,
}

impl HttpEndpoint {
    fn resource(&self) -> Resource {
        let route = (self.handle)(web::method(method(self.method)));
        web::resource(self.paths.to_vec()).route(route)
    }
}

/// What the OpenAPI document says of an endpoint, in a build that makes the document.
pub(super) const fn shown(describe: fn() -> OperationBuilder) -> Option<fn() -> OperationBuilder> {
    if schemas::ARE_MADE { Some(describe) } else { None }
}

/// Registers the endpoints with the router.
pub(crate) fn register(endpoints: &[HttpEndpoint], config: &mut ServiceConfig) {
    for endpoint in endpoints {
        config.service(endpoint.resource());
    }
}

/// The method of that name.
pub(crate) fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap_or_default()
}
