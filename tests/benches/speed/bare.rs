//! What every figure is a ratio to: the same HTTP stack, a form body, one RS256 verification and one ES256 signature by keys held
//! parsed, and no checks at all. And the same without the cryptography.

use std::cell::OnceCell;

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Deserialize;
use sts_jose::{Algorithm, SigningKey, VerifyingKey, decode_base64url, parse_jwk, sign_compact};
use sts_types::rfc;

/// What a bare handler does beside reading a form and answering.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// One verification, one signature.
    Crypto,
    /// That, and one value set in Redis, over a connection of the thread.
    Redis,
    /// Nothing.
    Nothing,
}

impl Bare {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crypto => "crypto",
            Self::Redis => "redis",
            Self::Nothing => "nothing",
        }
    }
}

struct State {
    bare: Bare,
    verifying: VerifyingKey,
    signing: SigningKey,
    payload: String,
    redis: Option<redis::Client>,
}

thread_local! {
    /// What `Bare::Redis` sends its commands over.
    static CONNECTION: OnceCell<redis::aio::MultiplexedConnection> = const { OnceCell::new() };
}

#[derive(Deserialize)]
struct Form {
    grant_type: String,
    subject_token: String,
    subject_token_type: String,
}

/// Serves until it is killed; tells its address on standard output. `jwk` is the public key of the subject tokens, `redis` the URL of the
/// Redis of [`Bare::Redis`].
pub(crate) fn serve(bare: &str, jwk: &str, redis: Option<&str>) -> std::io::Result<()> {
    let bare = [Bare::Crypto, Bare::Redis, Bare::Nothing].into_iter().find(|known| known.name() == bare).unwrap();
    let jwk = serde_json::from_str(jwk).unwrap();
    let state = Data::new(State {
        bare,
        verifying: parse_jwk(&jwk, &[Algorithm::RS256]).unwrap(),
        signing: SigningKey::generate(Algorithm::ES256).unwrap(),
        payload: payload(),
        redis: redis.map(|url| redis::Client::open(url).unwrap()),
    });
    actix_web::rt::System::new().block_on(async {
        let app = move || App::new().app_data(state.clone()).route("/token", web::post().to(token));
        let server = HttpServer::new(app).bind(("127.0.0.1", 0))?;
        println!("ready public={}", server.addrs()[0]);
        server.run().await
    })
}

async fn token(state: Data<State>, body: Bytes) -> HttpResponse {
    let form: Form = serde_html_form::from_bytes(&body).unwrap();
    assert_eq!(form.grant_type, rfc::GRANT_TOKEN_EXCHANGE);
    assert_eq!(form.subject_token_type, rfc::TOKEN_TYPE_JWT);
    let jwt = match state.bare {
        Bare::Nothing => state.payload.clone(),
        Bare::Crypto | Bare::Redis => {
            let (input, signature) = form.subject_token.rsplit_once('.').unwrap();
            let signature = decode_base64url(signature).unwrap();
            if state.verifying.verify(input.as_bytes(), &signature).is_err() {
                return HttpResponse::BadRequest().finish();
            }
            sign_compact(&state.signing, rfc::TYP_ACCESS_TOKEN, state.payload.as_bytes()).unwrap()
        }
    };
    if let Some(client) = &state.redis {
        record(client, &jwt).await;
    }
    let body = format!(
        r#"{{"access_token":"{jwt}","issued_token_type":"{}","token_type":"Bearer","expires_in":900,"scope":"deployments:create"}}"#,
        rfc::TOKEN_TYPE_ACCESS_TOKEN
    );
    HttpResponse::Ok().content_type("application/json").body(body)
}

/// Keeps the token's signature, as one that is like no other.
async fn record(client: &redis::Client, jwt: &str) {
    let mut connection = match CONNECTION.with(|connection| connection.get().cloned()) {
        Some(connection) => connection,
        None => {
            let made = client.get_multiplexed_async_connection().await.unwrap();
            CONNECTION.with(|connection| connection.get_or_init(|| made).clone())
        }
    };
    let signature = jwt.rsplit('.').next().unwrap();
    let () = redis::cmd("SET").arg(signature).arg(jwt).arg("EX").arg(900).query_async(&mut connection).await.unwrap();
}

/// As long as the claims of a minted token.
fn payload() -> String {
    format!(r#"{{"iss":"https://sts.example.com","padding":"{}"}}"#, "x".repeat(450))
}
