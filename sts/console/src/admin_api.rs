//! The admin API as pages see it: the same operations, rights and answers as under `/admin/v1`.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::web::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sts_api::ErrorAnswer;
use sts_types::{ObjectKind, RequestId};

use crate::Rights;

/// In whose name a page asks.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The author of a change: `console user NAME`.
    pub author: String,
    /// What the session may do.
    pub rights: Rights,
    /// The id of the request to the console. An error of the API shows it too.
    pub request_id: RequestId,
    /// The address that the request came from, if it is known.
    pub source: Option<IpAddr>,
}

/// The method of a request to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the methods of HTTP")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Its name in HTTP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A request to the API.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// Its method.
    pub method: Method,
    /// The path below `/admin/v1`, each segment percent-encoded, with the query string.
    pub target: String,
    /// The entity tag of the object as the page showed it.
    pub if_match: Option<String>,
    /// The body: an object, or `null` for none.
    pub body: Value,
}

impl ApiRequest {
    /// A request without a body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), if_match: None, body: Value::Null }
    }

    /// With `body`.
    ///
    /// # Errors
    /// If `body` has no form in JSON.
    pub fn with_body(self, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_value(body).map_err(|error| ApiError::form(&error))?;
        Ok(Self { body, ..self })
    }

    /// With `If-Match`.
    #[must_use]
    pub fn if_match(self, etag: impl Into<String>) -> Self {
        Self { if_match: Some(etag.into()), ..self }
    }
}

/// The answer of the API: a success or a refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The entity tag of the object that it shows.
    pub etag: Option<String>,
    /// The body, JSON; empty for none.
    pub body: Bytes,
}

impl ApiAnswer {
    /// Its body as `T`, with the entity tag.
    ///
    /// # Errors
    /// If the API refused, or answers something else.
    pub fn read<T: DeserializeOwned>(self) -> Result<(T, Option<String>), ApiError> {
        let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        if !(200..300).contains(&self.status) {
            let told = serde_json::from_slice(body).map_err(|error| ApiError::form(&error))?;
            return Err(ApiError { status: self.status, told: Box::new(told) });
        }
        let answer = serde_json::from_slice(body).map_err(|error| ApiError::form(&error))?;
        Ok((answer, self.etag))
    }
}

/// A refusal by the API.
#[derive(Debug, thiserror::Error)]
pub struct ApiError {
    /// The status of HTTP.
    pub status: u16,
    /// The document of the refusal: detail, findings, request id.
    pub told: Box<ErrorAnswer>,
}

impl ApiError {
    fn form(error: &serde_json::Error) -> Self {
        let detail = Some(format!("the console and the server disagree about a document: {error}"));
        Self { status: 500, told: Box::new(ErrorAnswer { detail, ..ErrorAnswer::default() }) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.told.detail.as_deref().or(self.told.error_description.as_deref());
        f.write_str(told.unwrap_or("the server gave no description"))
    }
}

/// An answer on its way. A page runs on one thread.
pub type ApiFuture<'a> = Pin<Box<dyn Future<Output = ApiAnswer> + 'a>>;

/// The operations of the admin API, in this process.
pub trait AdminApi: Send + Sync + 'static {
    /// Does what `request` asks for, with the rights of `actor` and in its name.
    fn call<'a>(&'a self, actor: &'a Actor, request: ApiRequest) -> ApiFuture<'a>;

    /// The kinds of objects that it changes (`manage.kinds`).
    fn managed_kinds(&self) -> Vec<ObjectKind>;
}

impl dyn AdminApi {
    /// Reads the document at `target`, with its entity tag.
    ///
    /// # Errors
    /// If the API refuses.
    pub async fn get<T: DeserializeOwned>(
        &self,
        actor: &Actor,
        target: impl Into<String>,
    ) -> Result<(T, Option<String>), ApiError> {
        self.call(actor, ApiRequest::new(Method::Get, target)).await.read()
    }

    /// Sends `request` and reads its answer.
    ///
    /// # Errors
    /// If the API refuses.
    pub async fn send<T: DeserializeOwned>(
        &self,
        actor: &Actor,
        request: ApiRequest,
    ) -> Result<(T, Option<String>), ApiError> {
        self.call(actor, request).await.read()
    }
}
