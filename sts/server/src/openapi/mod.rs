//! The OpenAPI 3.1 document of both listeners. It is made of the tables that register the routes and
//! of the types that requests and answers are read into and written from.

pub(crate) mod admin;
mod model;
mod object_models;
pub(crate) mod public;
mod public_models;
mod responses;

use serde_json::{Value, json};
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Info, OpenApiBuilder};

pub(crate) use model::Model;
pub(crate) use object_models::{
    ChangedIdentity, ChangedObject, EffectiveConfig, Evaluation, IdentityDocument, IdentityPatch, IssuerState,
    ObjectPatch,
};

use crate::http::{HttpEndpoint, OPEN_ENDPOINTS, PUBLIC_ENDPOINTS};

/// A path, and one of its operations.
type Documented = (String, PathItem);

/// The document, which is the same for every installation: servers are whatever `issuer` and `admin.listen` say.
pub(crate) fn document() -> Value {
    let endpoints = PUBLIC_ENDPOINTS.iter().chain(OPEN_ENDPOINTS).flat_map(documented);
    let paths = endpoints
        .chain(admin::operations())
        .fold(PathsBuilder::new(), |paths, (path, operation)| paths.path(path, operation));
    let tags = [
        ("public", "The public listener (`listen`), also under the path of `issuer`."),
        ("admin", "The admin listener (`admin.listen`). `/healthz` and `/readyz` answer there too."),
    ];
    let tags = tags.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    let document = OpenApiBuilder::new().info(info()).paths(paths).components(Some(components())).tags(Some(tags));
    json!(document.build())
}

fn info() -> Info {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    InfoBuilder::new()
        .title("sts")
        .description(Some(
            "Token exchange (RFC 8693), revocation (RFC 7009), introspection (RFC 7662) and metadata on the public \
             listener; operations on the admin listener. Every error has the same members on every path.",
        ))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(license.build()))
        .build()
}

fn components() -> Components {
    let models = public::MODELS.iter().chain(admin::MODELS).copied().chain(admin::models());
    let http = |scheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    ComponentsBuilder::new()
        .schema_from::<sts_api::RequestIdText>()
        .schemas_from_iter(models.flat_map(Model::schemas))
        .security_scheme("api", http(HttpAuthScheme::Basic, "An API's name and introspection secret."))
        .security_scheme("key", http(HttpAuthScheme::Basic, "A service account's name and one of its API keys."))
        .security_scheme("bearer", http(HttpAuthScheme::Bearer, "A token of ours with the scope."))
        .security_scheme(
            "admin",
            http(
                HttpAuthScheme::Bearer,
                "The content of `data_dir/admin.token`, or a token of ours with `sts:read` or `sts:admin`.",
            ),
        )
        .build()
}

/// Each path of an endpoint.
fn documented(endpoint: &HttpEndpoint) -> Vec<Documented> {
    let Some(describe) = endpoint.documentation else { return Vec::new() };
    let paths = endpoint.paths.iter().enumerate().map(|(index, path)| {
        let mut operation = describe().build();
        if index > 0 {
            operation.operation_id = operation.operation_id.map(|name| format!("{name}Alias{index}"));
        }
        ((*path).to_owned(), PathItem::new(http_method(endpoint.method), operation))
    });
    paths.collect()
}

fn http_method(name: &str) -> HttpMethod {
    match name {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// A parameter of the query string that is `true` or `false`.
pub(crate) fn flag_parameter(name: &str, description: &str) -> Parameter {
    let flag = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false)));
    Parameter::builder()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(flag))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::App;
    use actix_web::http::Method;
    use actix_web::test::{TestRequest, init_service, try_call_service};
    use actix_web::web::{ServiceConfig, scope};

    use super::*;
    use crate::http;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    found.push(reference.to_owned());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = document();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// The status and `Allow` of a router that has all routes and nothing else.
    macro_rules! answer_of {
        ($app:expr, $method:expr, $path:expr) => {{
            let request = TestRequest::with_uri($path).method($method).to_request();
            let response = match try_call_service(&$app, request).await {
                Ok(response) => response.into_parts().1,
                Err(error) => error.error_response(),
            };
            let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
            (response.status().as_u16(), allow.unwrap_or_default())
        }};
    }

    #[actix_web::test]
    async fn each_documented_path_is_routed_for_the_documented_methods_and_no_others() {
        let public = init_service(App::new().configure(|routes| http::register(PUBLIC_ENDPOINTS, routes))).await;
        let operations = |routes: &mut ServiceConfig| {
            routes.service(scope("/admin/v1").configure(crate::admin::routes));
        };
        let admin =
            init_service(App::new().configure(operations).configure(|routes| http::register(OPEN_ENDPOINTS, routes)))
                .await;
        for (path, operations) in document()["paths"].as_object().unwrap() {
            let documented: BTreeSet<String> =
                operations.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
            let is_public = operations.as_object().unwrap().values().all(|operation| operation["tags"][0] == "public");
            let path = path.replace(['{', '}'], "");
            let answer = async |method: Method| {
                if is_public { answer_of!(public, method, &path) } else { answer_of!(admin, method, &path) }
            };
            for method in &documented {
                // Without the state of a server, a handler answers 500.
                let (status, _) = answer(Method::from_bytes(method.as_bytes()).unwrap()).await;
                assert!(![404, 405].contains(&status), "{method} {path}: {status}");
            }
            let (status, allow) = answer(Method::TRACE).await;
            let routed: BTreeSet<String> = allow.split(", ").map(str::to_owned).collect();
            assert_eq!((status, routed), (405, documented), "{path}");
        }
    }

    #[test]
    fn no_path_has_one_method_twice() {
        let endpoints = |endpoints: &[HttpEndpoint]| -> Vec<(String, &'static str)> {
            endpoints
                .iter()
                .flat_map(|endpoint| endpoint.paths.iter().map(|path| ((*path).to_owned(), endpoint.method)))
                .collect()
        };
        let operations = crate::admin::all_routes().map(|route| (route.endpoint.full_path(), route.endpoint.method));
        let admin: Vec<_> = endpoints(OPEN_ENDPOINTS).into_iter().chain(operations).collect();
        for listener in [endpoints(PUBLIC_ENDPOINTS), admin] {
            let mut seen = BTreeSet::new();
            for (path, method) in listener {
                assert!(["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method), "{method} {path}");
                assert!(seen.insert((path.replace(['{', '}'], ""), method)), "{method} {path}");
            }
        }
    }

    #[test]
    fn an_operation_that_is_not_documented_here_is_documented_by_the_other_listener() {
        for endpoint in OPEN_ENDPOINTS.iter().filter(|endpoint| endpoint.documentation.is_none()) {
            for path in endpoint.paths {
                let other = PUBLIC_ENDPOINTS.iter().find(|other| other.paths.contains(path)).unwrap();
                assert!(other.documentation.is_some() && other.method == endpoint.method, "{path}");
            }
        }
        assert!(PUBLIC_ENDPOINTS.iter().all(|endpoint| endpoint.documentation.is_some()));
    }
}
