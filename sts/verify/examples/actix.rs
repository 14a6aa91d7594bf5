//! An actix-web service that takes tokens of `sts`:
//!
//! ```sh
//! cargo run -p sts-verify --features actix --example actix -- https://sts.example.com https://deploy.example.com
//! ```

use std::time::Duration;

use actix_web::{App, HttpServer, web};
use sts_verify::actix::RequireToken;
use sts_verify::{VerifiedToken, Verifier};

async fn deploy(token: VerifiedToken) -> String {
    format!("deployed for {}\n", token.subject())
}

/// The routes. Each has the scope that it requires.
fn routes(verifier: &Verifier) -> impl Fn(&mut web::ServiceConfig) {
    let may_create = RequireToken::new(verifier.clone()).scope("deployments:create");
    move |config| {
        config.service(web::resource("/deployments").wrap(may_create.clone()).post(deploy));
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: actix ISSUER AUDIENCE".into());
    };
    let verifier = Verifier::builder(issuer).audience(audience).status_list_max_age(Duration::from_secs(60)).build()?;
    let app = move || App::new().configure(routes(&verifier));
    Ok(HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?)
}

#[cfg(test)]
mod tests {
    use actix_web::test;
    use serde_json::json;
    use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, now};

    use super::*;

    #[actix_web::test]
    async fn only_a_token_with_the_scope_deploys() {
        let key = Key::new(Algorithm::ES256, "one");
        let issuer = FakeIssuer::start(&Key::set(&[&key]));
        let verifier = Verifier::builder(issuer.url()).audience("api").allow_http().build().unwrap();
        let app = test::init_service(App::new().configure(routes(&verifier))).await;
        for (scope, status) in [("deployments:create", 200), ("deployments:read", 403)] {
            let claims = json!({
                "iss": issuer.url(), "sub": "octo", "client_id": "octo", "aud": "api", "jti": "1", "iat": now(),
                "exp": now() + 60, "scope": scope,
            });
            let token = Forge::new(&key, &claims).header("typ", "at+jwt").sign();
            let request = test::TestRequest::post()
                .uri("/deployments")
                .append_header(("authorization", format!("Bearer {token}")))
                .to_request();
            assert_eq!(test::call_service(&app, request).await.status().as_u16(), status, "{scope}");
        }
    }
}
