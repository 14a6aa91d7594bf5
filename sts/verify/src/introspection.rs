//! Asking the issuer whether a token is active (RFC 7662), where no status list tells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use sts_jose::sha256;
use sts_types::{Clock, Digest256};
use url::Url;

use crate::http_client::fetch;
use crate::{TokenFault, VerifyError};

/// Size limit of an answer.
const MAX_BYTES: usize = 256 * 1024;
/// Limit of the answers that are kept.
const MAX_ANSWERS: usize = 10_000;

/// An introspection endpoint, and who asks there.
#[derive(Clone)]
pub struct Introspection {
    pub(crate) endpoint: String,
    client_id: String,
    client_secret: String,
    max_age: Duration,
}

impl Introspection {
    /// `endpoint` is the issuer's `introspection_endpoint`. `client_id` and `client_secret` are sent
    /// by HTTP Basic; at `sts` they are the API's name and its introspection secret.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            max_age: Duration::ZERO,
        }
    }

    /// How long the answer for a token counts. Default: it is asked each time.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }
}

/// Shows no secret.
impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

pub(crate) struct IntrospectionClient {
    settings: Introspection,
    endpoint: Url,
    client: Client,
    clock: Arc<dyn Clock>,
    answers: Mutex<HashMap<Digest256, Answer>>,
}

#[derive(Clone, Copy)]
struct Answer {
    is_active: bool,
    asked_at: Duration,
}

impl IntrospectionClient {
    pub(crate) fn new(settings: Introspection, endpoint: Url, client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { settings, endpoint, client, clock, answers: Mutex::default() }
    }

    /// Whether the issuer says that `token` is active.
    ///
    /// # Errors
    /// [`TokenFault::Revoked`], or `Unavailable` if the issuer does not answer.
    pub(crate) async fn check(&self, token: &str) -> Result<(), VerifyError> {
        let digest = sha256(token.as_bytes());
        let is_active = match self.kept(digest) {
            Some(is_active) => is_active,
            None => self.ask(token, digest).await.map_err(|error| {
                tracing::warn!(endpoint = %self.endpoint, error, "a token could not be introspected");
                VerifyError::Unavailable {
                    what: "the issuer cannot be asked right now whether the token is active",
                    retry_after: Duration::from_secs(2),
                }
            })?,
        };
        if is_active { Ok(()) } else { Err(TokenFault::Revoked.into()) }
    }

    fn kept(&self, digest: Digest256) -> Option<bool> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(&digest).filter(|answer| self.is_young(answer)).map(|answer| answer.is_active)
    }

    fn is_young(&self, answer: &Answer) -> bool {
        self.clock.monotonic().saturating_sub(answer.asked_at) < self.settings.max_age
    }

    async fn ask(&self, token: &str, digest: Digest256) -> Result<bool, String> {
        let asked_at = self.clock.monotonic();
        // RFC 6749 section 2.3.1: both are form-encoded before they go into Basic.
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) = (encoded(&self.settings.client_id), encoded(&self.settings.client_secret));
        let request = self
            .client
            .post(self.endpoint.clone())
            .basic_auth(id, Some(secret))
            .header("accept", "application/json")
            .form(&[("token", token), ("token_type_hint", "access_token")]);
        let body = fetch(request, MAX_BYTES).await?.body;
        let answer: serde_json::Value = serde_json::from_slice(&body).map_err(|_| "the answer is not JSON")?;
        let is_active =
            answer.get("active").and_then(serde_json::Value::as_bool).ok_or("the answer has no `active`")?;
        if !self.settings.max_age.is_zero() {
            self.keep(digest, Answer { is_active, asked_at });
        }
        Ok(is_active)
    }

    fn keep(&self, digest: Digest256, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MAX_ANSWERS {
            answers.retain(|_, answer| self.is_young(answer));
        }
        if answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(digest, answer);
    }
}
