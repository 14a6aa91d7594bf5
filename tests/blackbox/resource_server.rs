//! A Rust service that takes our tokens with `sts-verify`, against the built binary: discovery, keys, status lists and
//! introspection are the server's own.

use std::time::Duration;

use sts_testkit::{Config, Server, free_address};
use sts_verify::{Introspection, TokenFault, Verifier, VerifierBuilder, VerifyError};

use crate::support::*;

/// A server whose issuer is its own address, so that what it publishes leads back to it.
fn reachable_server(config: Config) -> (Server, String) {
    let address = free_address();
    let issuer = format!("http://{address}");
    let config = config.with("issuer", issuer.as_str()).with("listen", address.to_string());
    (Server::start_in(STS, world_site(&config)), issuer)
}

fn access_token(server: &Server, issuer: &str) -> String {
    server.token(&forge("svc:octo").claim("aud", issuer).sign(), &[])
}

fn verifier(issuer: &str, audience: &str, set: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Verifier {
    set(Verifier::builder(issuer).audience(audience).allow_http()).build().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_service_accepts_our_token_offline_and_learns_of_its_revocation_from_the_status_list() {
    let (server, issuer) = reachable_server(world().with("status_list", true));
    let access = access_token(&server, &issuer);
    runtime().block_on(async {
        let verifier = verifier(&issuer, DEPLOY, |builder| builder.status_list_max_age(Duration::from_secs(1)));
        let token = verifier.verify(&access).await.unwrap();
        assert_eq!(token.subject(), OCTO_ID);
        assert!(token.has_scope("deployments:create"));
        assert_eq!(token.claim::<Vec<String>>("groups").unwrap(), ["deployers"]);
        assert_eq!(server.revoke(&access).status, 200);
        let refused = async {
            loop {
                match verifier.verify(&access).await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => break error,
                }
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(30), refused).await;
        assert_eq!(refused.unwrap(), TokenFault::Revoked.into());
    });
}

#[test]
fn a_token_for_another_api_and_an_id_token_are_refused() {
    let (server, issuer) = reachable_server(world());
    let access = access_token(&server, &issuer);
    runtime().block_on(async {
        let other = verifier(&issuer, BILLING, |builder| builder);
        assert_eq!(other.verify(&access).await.unwrap_err(), TokenFault::Audience.into());
        let own = verifier(&issuer, DEPLOY, |builder| builder);
        assert!(own.verify(&access).await.is_ok());
        assert_eq!(own.verify(&token("svc:octo")).await.unwrap_err(), TokenFault::Type.into());
    });
}

#[test]
fn introspection_tells_at_once_and_a_wrong_secret_accepts_nothing() {
    let (server, issuer) = reachable_server(world());
    let access = access_token(&server, &issuer);
    let endpoint = format!("{issuer}/introspect");
    runtime().block_on(async {
        let with = |secret: &str| {
            let introspection = Introspection::new(endpoint.as_str(), "deploy", secret);
            verifier(&issuer, DEPLOY, |builder| builder.introspection(introspection))
        };
        assert!(with(DEPLOY_SECRET).verify(&access).await.is_ok());
        let refused = with("another secret").verify(&access).await;
        assert!(matches!(refused, Err(VerifyError::Unavailable { .. })), "{refused:?}");
        assert_eq!(server.revoke(&access).status, 200);
        assert_eq!(with(DEPLOY_SECRET).verify(&access).await.unwrap_err(), TokenFault::Revoked.into());
    });
}
