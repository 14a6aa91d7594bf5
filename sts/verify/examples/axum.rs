//! An axum service that takes tokens of `sts`:
//!
//! ```sh
//! cargo run -p sts-verify --features tower --example axum -- https://sts.example.com https://deploy.example.com
//! ```

use std::time::Duration;

use axum::routing::post;
use axum::{Extension, Router};
use sts_verify::tower::RequireTokenLayer;
use sts_verify::{VerifiedToken, Verifier};

async fn deploy(Extension(token): Extension<VerifiedToken>) -> String {
    format!("deployed for {}\n", token.subject())
}

/// The routes. Each has the scope that it requires.
fn routes(verifier: Verifier) -> Router {
    let may_create = RequireTokenLayer::new(verifier).scope("deployments:create");
    Router::new().route("/deployments", post(deploy).layer(may_create))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum ISSUER AUDIENCE".into());
    };
    let verifier = Verifier::builder(issuer).audience(audience).status_list_max_age(Duration::from_secs(60)).build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, routes(verifier)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use serde_json::json;
    use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, now};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_token_with_the_scope_deploys() {
        let key = Key::new(Algorithm::ES256, "one");
        let issuer = FakeIssuer::start(&Key::set(&[&key]));
        let verifier = Verifier::builder(issuer.url()).audience("api").allow_http().build().unwrap();
        for (scope, status) in [("deployments:create", 200), ("deployments:read", 403)] {
            let claims = json!({
                "iss": issuer.url(), "sub": "octo", "client_id": "octo", "aud": "api", "jti": "1", "iat": now(),
                "exp": now() + 60, "scope": scope,
            });
            let token = Forge::new(&key, &claims).header("typ", "at+jwt").sign();
            let request = Request::post("/deployments").header("authorization", format!("Bearer {token}"));
            let answer = routes(verifier.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{scope}");
        }
    }
}
