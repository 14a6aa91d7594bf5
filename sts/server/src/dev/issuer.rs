//! The local issuer. It serves ID tokens in the form of GitHub, GitLab and Kubernetes over plain
//! http on loopback. Each platform has its own path and discovery document. The answer is that of a
//! GitHub runner's `ACTIONS_ID_TOKEN_REQUEST_URL`.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Map, Value, json};
use sts_jose::{OsEntropy, Signer as _, SigningKey};
use sts_policy::Preset;
use sts_types::{Algorithm, Clock, Entropy as _};

use super::local;
use crate::http::{BindError, ListenerSpec};
use crate::start_error::StartError;

/// The value of `ACTIONS_ID_TOKEN_REQUEST_TOKEN` in a job.
pub(super) const REQUEST_TOKEN: &str = "dev";

/// A platform that the issuer imitates.
struct Platform {
    path: &'static str,
    preset: Preset,
    audience: &'static str,
    /// `exp - iat` and `iat - nbf`, in seconds.
    life: (i64, i64),
}

const PLATFORMS: [Platform; 3] = [
    Platform {
        path: "github",
        preset: Preset::GithubActions,
        audience: "https://github.com/octo-org",
        life: (300, 300),
    },
    Platform { path: "gitlab", preset: Preset::Gitlab, audience: "https://gitlab.com", life: (3600, 5) },
    Platform {
        path: "kubernetes",
        preset: Preset::Kubernetes,
        audience: "https://kubernetes.default.svc",
        life: (3600, 0),
    },
];

struct State {
    key: SigningKey,
    clock: Arc<dyn Clock>,
    address: SocketAddr,
}

/// The issuer, listening.
pub(super) struct LocalIssuer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl LocalIssuer {
    pub(super) fn start(clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let listener = ListenerSpec::bind("local issuer", local(0), None)?;
        let address = listener.address().unwrap_or(local(0));
        let key =
            SigningKey::generate(Algorithm::RS256).map_err(|error| BindError::Server(std::io::Error::other(error)))?;
        let state = Data::new(State { key, clock, address });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/{platform}/.well-known/openid-configuration", web::get().to(discovery))
                .route("/{platform}/.well-known/jwks", web::get().to(key_set))
                .route("/{platform}/token", web::get().to(token))
        })
        .workers(1)
        .disable_signals()
        .listen(listener.socket)
        .map_err(BindError::Server)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { address, handle })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `ACTIONS_ID_TOKEN_REQUEST_URL` in a job. It has a query, to which a job adds
    /// `&audience=`.
    pub(super) fn request_url(&self, platform: &str) -> String {
        format!("http://{}/{platform}/token?api-version=2.0", self.address)
    }

    pub(super) async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

fn platform(path: &str) -> Option<&'static Platform> {
    PLATFORMS.iter().find(|platform| platform.path == path)
}

async fn discovery(path: web::Path<String>, state: Data<State>) -> HttpResponse {
    let Some(platform) = platform(&path) else { return HttpResponse::NotFound().finish() };
    let issuer = format!("http://{}/{}", state.address, platform.path);
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn key_set(path: web::Path<String>, state: Data<State>) -> HttpResponse {
    match platform(&path) {
        Some(_) => HttpResponse::Ok().json(json!({ "keys": [state.key.public_jwk()] })),
        None => HttpResponse::NotFound().finish(),
    }
}

/// Mints an ID token. `audience` sets `aud`. Any other parameter but `api-version` sets the string
/// claim of its name, so that a refusal can be tried: `&event_name=pull_request`.
async fn token(request: HttpRequest, path: web::Path<String>, state: Data<State>) -> HttpResponse {
    let Some(platform) = platform(&path) else { return HttpResponse::NotFound().finish() };
    let authorized = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == REQUEST_TOKEN);
    if !authorized {
        return HttpResponse::Unauthorized().json(json!({ "message": "send the request token as a bearer token" }));
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let claims = claims(platform, &state, query);
    let payload = Value::Object(claims).to_string();
    match sts_jose::sign_compact(&state.key, "JWT", payload.as_bytes()) {
        Ok(token) => HttpResponse::Ok().json(json!({ "count": token.len(), "value": token })),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn claims(platform: &Platform, state: &State, query: Vec<(String, String)>) -> Map<String, Value> {
    let mut claims = platform.preset.sample();
    let mut random = [0; 16];
    OsEntropy.fill(&mut random);
    let now = state.clock.now().as_secs();
    let (life, backdated) = platform.life;
    let mut audience = platform.audience.to_owned();
    for (name, value) in query {
        match name.as_str() {
            "api-version" => {}
            "audience" => audience = value,
            _ => drop(claims.insert(name, json!(value))),
        }
    }
    let as_list = platform.preset == Preset::Kubernetes;
    let registered = json!({
        "iss": format!("http://{}/{}", state.address, platform.path),
        "aud": if as_list { json!([audience]) } else { json!(audience) },
        "iat": now,
        "nbf": now - backdated,
        "exp": now + life,
        "jti": sts_jose::base64url(&random),
    });
    claims.extend(registered.as_object().cloned().unwrap_or_default());
    claims
}
