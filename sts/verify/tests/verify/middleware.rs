//! The middleware for actix-web and tower.

use actix_web::{App, test, web};
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use sts_jose::SigningKey;
use sts_testkit::Algorithm;
use sts_verify::actix::RequireToken;
use sts_verify::tower::RequireTokenLayer;
use sts_verify::{VerifiedToken, Verifier};
use tower::ServiceExt as _;

use crate::bound_tokens::{bound_token, proof};
use crate::support::World;

const SCOPE: &str = "deployments:create";

fn axum_app(verifier: Verifier, scope: &str) -> Router {
    let subject = |Extension(token): Extension<VerifiedToken>| async move { token.subject().to_owned() };
    Router::new().route("/deploy", get(subject)).layer(RequireTokenLayer::new(verifier).scope(scope))
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let request = headers.iter().fold(Request::get("/deploy"), |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

async fn axum_answer(verifier: &Verifier, scope: &str, headers: &[(&str, &str)]) -> Response<Body> {
    axum_app(verifier.clone(), scope).oneshot(request(headers)).await.unwrap()
}

fn challenges(response: &Response<Body>) -> Vec<&str> {
    response.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect()
}

/// Status, challenges and body of the same request at actix-web.
async fn actix_answer(verifier: &Verifier, scope: &str, headers: &[(&str, &str)]) -> (u16, Vec<String>, String) {
    async fn subject(token: VerifiedToken) -> String {
        token.subject().to_owned()
    }
    let guard = RequireToken::new(verifier.clone()).scope(scope);
    let app = App::new().service(web::resource("/deploy").wrap(guard).get(subject));
    let app = test::init_service(app).await;
    let request = headers
        .iter()
        .fold(test::TestRequest::get().uri("/deploy"), |request, header| request.append_header(*header))
        .to_request();
    let response = test::call_service(&app, request).await;
    let challenges = response.headers().get_all("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let (status, challenges) = (response.status().as_u16(), challenges.collect());
    let body = test::read_body(response).await;
    (status, challenges, String::from_utf8(body.to_vec()).unwrap())
}

#[actix_web::test]
async fn both_let_a_good_token_through_and_answer_all_else_as_rfc_6750_says() {
    let world = World::new();
    let (verifier, good) = (world.verifier(), format!("Bearer {}", world.token()));
    let expired = format!("Bearer {}", world.forge().claim("exp", 1).sign());
    for (scope, headers, status, part) in [
        (SCOPE, vec![("authorization", good.as_str())], 200, ""),
        (SCOPE, vec![], 401, "Bearer scope=\"deployments:create\""),
        (SCOPE, vec![("authorization", "Basic YTpi")], 401, "Bearer scope"),
        (SCOPE, vec![("authorization", "Bearer a b")], 400, "error=\"invalid_request\""),
        (SCOPE, vec![("authorization", &good), ("authorization", &good)], 400, "error=\"invalid_request\""),
        (SCOPE, vec![("authorization", &expired)], 401, "error=\"invalid_token\""),
        ("deployments:delete", vec![("authorization", &good)], 403, "error=\"insufficient_scope\""),
    ] {
        let response = axum_answer(&verifier, scope, &headers).await;
        assert_eq!(response.status(), status, "{headers:?}");
        assert!(status == 200 || challenges(&response)[0].contains(part), "{response:?}");
        let (actix_status, actix_challenges, body) = actix_answer(&verifier, scope, &headers).await;
        assert_eq!(
            (actix_status, actix_challenges),
            (status, challenges(&response).iter().map(ToString::to_string).collect())
        );
        if status == 200 {
            assert_eq!(body, "octo");
        } else {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
        }
    }
}

#[actix_web::test]
async fn both_take_a_bound_token_with_its_proof() {
    let (world, key) = (World::new(), SigningKey::generate(Algorithm::ES256).unwrap());
    let verifier = world.builder().dpop_origin("https://deploy.example.com").build().unwrap();
    let token = bound_token(&world, &key);
    let (bearer, bound) = (format!("Bearer {token}"), format!("DPoP {token}"));
    let fresh = |jti: &str| proof(&key, &token, jti, "GET", "https://deploy.example.com/deploy");

    let proof = fresh("one");
    let headers = [("authorization", bound.as_str()), ("dpop", proof.as_str())];
    assert_eq!(axum_answer(&verifier, SCOPE, &headers).await.status(), 200);
    let replayed = axum_answer(&verifier, SCOPE, &headers).await;
    assert!(challenges(&replayed)[1].contains("error=\"invalid_dpop_proof\""), "{replayed:?}");
    assert_eq!(actix_answer(&verifier, SCOPE, &headers).await.0, 401, "clones share what was used");
    let proof = fresh("two");
    assert_eq!(actix_answer(&verifier, SCOPE, &[("authorization", &bound), ("dpop", &proof)]).await.0, 200);

    let as_bearer = axum_answer(&verifier, SCOPE, &[("authorization", &bearer)]).await;
    assert!(challenges(&as_bearer)[1].starts_with("DPoP algs=") && challenges(&as_bearer)[1].contains("invalid_token"));
    for headers in
        [vec![("authorization", bound.as_str())], vec![("authorization", &bound), ("dpop", "a"), ("dpop", "b")]]
    {
        assert_eq!(axum_answer(&verifier, SCOPE, &headers).await.status(), 400);
        assert_eq!(actix_answer(&verifier, SCOPE, &headers).await.0, 400);
    }
}

#[actix_web::test]
async fn an_issuer_that_is_away_is_503_with_retry_after() {
    let world = World::new();
    world.issuer.discovery(sts_testkit::Page::status("503 Service Unavailable"));
    let (verifier, good) = (world.verifier(), format!("Bearer {}", world.token()));
    let response = axum_answer(&verifier, SCOPE, &[("authorization", &good)]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after") && challenges(&response).is_empty());
    assert_eq!(actix_answer(&verifier, SCOPE, &[("authorization", &good)]).await.0, 503);
}

#[actix_web::test]
async fn a_grpc_request_is_refused_in_the_form_of_grpc() {
    let world = World::new();
    let (verifier, good) = (world.verifier(), format!("Bearer {}", world.token()));
    for (scope, headers, status) in [
        (SCOPE, vec![("content-type", "application/grpc+proto")], "16"),
        ("deployments:delete", vec![("content-type", "application/grpc"), ("authorization", good.as_str())], "7"),
    ] {
        let response = axum_answer(&verifier, scope, &headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], status);
        assert!(response.headers().contains_key("grpc-message"));
    }
}

#[actix_web::test]
async fn a_handler_whose_route_is_not_wrapped_fails_loudly() {
    async fn subject(token: VerifiedToken) -> String {
        token.subject().to_owned()
    }
    let app = test::init_service(App::new().route("/deploy", web::get().to(subject))).await;
    let response = test::call_service(&app, test::TestRequest::get().uri("/deploy").to_request()).await;
    assert_eq!(response.status().as_u16(), 500);
}
