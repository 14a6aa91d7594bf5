//! A gRPC service that takes tokens of `sts`. gRPC's health service stands for yours:
//!
//! ```sh
//! cargo run -p sts-verify --features tower --example tonic -- https://sts.example.com https://deploy.example.com
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use sts_verify::Verifier;
use sts_verify::tower::RequireTokenLayer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Error, Server};

/// Serves until the task ends. Each call must have a token with the scope; a handler finds it with
/// `request.extensions().get::<sts_verify::VerifiedToken>()`.
async fn serve(incoming: TcpIncoming, verifier: Verifier) -> Result<(), Error> {
    let (_, health) = tonic_health::server::health_reporter();
    let may_read = RequireTokenLayer::new(verifier).scope("health:read");
    Server::builder().layer(may_read).add_service(health).serve_with_incoming(incoming).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tonic ISSUER AUDIENCE".into());
    };
    let verifier = Verifier::builder(issuer).audience(audience).status_list_max_age(Duration::from_secs(60)).build()?;
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 8080)))?;
    Ok(serve(incoming, verifier).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, now};
    use tonic::metadata::MetadataValue;
    use tonic::transport::Endpoint;
    use tonic::{Code, Request};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    #[tokio::test]
    async fn only_a_token_with_the_scope_may_call() {
        let key = Key::new(Algorithm::ES256, "one");
        let issuer = FakeIssuer::start(&Key::set(&[&key]));
        let verifier = Verifier::builder(issuer.url()).audience("api").allow_http().build().unwrap();
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        tokio::spawn(serve(incoming, verifier));
        let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = HealthClient::new(channel);
        for (scope, expected) in [("health:read", Code::Ok), ("health:watch", Code::PermissionDenied)] {
            let claims = json!({
                "iss": issuer.url(), "sub": "octo", "client_id": "octo", "aud": "api", "jti": "1", "iat": now(),
                "exp": now() + 60, "scope": scope,
            });
            let token = Forge::new(&key, &claims).header("typ", "at+jwt").sign();
            let mut call = Request::new(HealthCheckRequest::default());
            call.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {token}")).unwrap());
            let code = client.check(call).await.map_or_else(|status| status.code(), |_| Code::Ok);
            assert_eq!(code, expected, "{scope}");
        }
        let without = client.check(HealthCheckRequest::default()).await.unwrap_err();
        assert_eq!(without.code(), Code::Unauthenticated);
    }
}
