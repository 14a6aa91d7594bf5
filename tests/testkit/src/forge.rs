//! Tokens of any shape, valid and broken.

use crate::{Key, now};
use serde_json::{Map, Value, json};
use sts_jose::base64url;

/// A token under construction. It starts as a valid one, and a test changes it from there.
#[derive(Clone)]
pub struct Forge<'a> {
    key: &'a Key,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl std::fmt::Debug for Forge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge").finish_non_exhaustive()
    }
}

impl<'a> Forge<'a> {
    /// A token with the header `{"alg","kid","typ":"JWT"}` and these claims.
    #[must_use]
    pub fn new(key: &'a Key, claims: &Value) -> Self {
        let mut header = json!({ "alg": key.algorithm().name(), "typ": "JWT" });
        if let Some(kid) = key.kid() {
            header["kid"] = kid.into();
        }
        Self { key, header: header.to_string().into_bytes(), payload: claims.to_string().into_bytes() }
    }

    /// Sets a header member. `Value::Null` is written as `null`.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<Value>) -> Self {
        let mut header: Map<String, Value> = serde_json::from_slice(&self.header).unwrap();
        header.insert(name.to_owned(), value.into());
        self.raw_header(Value::Object(header).to_string())
    }

    /// Removes a header member.
    #[must_use]
    pub fn no_header(self, name: &str) -> Self {
        let mut header: Map<String, Value> = serde_json::from_slice(&self.header).unwrap();
        header.remove(name);
        self.raw_header(Value::Object(header).to_string())
    }

    /// Replaces the whole header by these bytes.
    #[must_use]
    pub fn raw_header(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { header: bytes.into(), ..self }
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(self, name: &str, value: impl Into<Value>) -> Self {
        let mut claims: Map<String, Value> = serde_json::from_slice(&self.payload).unwrap();
        claims.insert(name.to_owned(), value.into());
        self.raw_payload(Value::Object(claims).to_string())
    }

    /// Removes a claim.
    #[must_use]
    pub fn no_claim(self, name: &str) -> Self {
        let mut claims: Map<String, Value> = serde_json::from_slice(&self.payload).unwrap();
        claims.remove(name);
        self.raw_payload(Value::Object(claims).to_string())
    }

    /// Adds a claim as JSON text, even beside one of the same name. A `Value` cannot do that.
    #[must_use]
    pub fn raw_claim(self, name: &str, json: &str) -> Self {
        let payload = String::from_utf8(self.payload.clone()).unwrap();
        let open = payload.strip_suffix('}').unwrap();
        self.raw_payload(format!("{open},\"{name}\":{json}}}"))
    }

    /// Replaces the whole payload by these bytes.
    #[must_use]
    pub fn raw_payload(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { payload: bytes.into(), ..self }
    }

    /// Valid from five minutes ago for ten more minutes, like GitHub's tokens.
    #[must_use]
    pub fn fresh(self) -> Self {
        let now = now();
        self.claim("iat", now - 5).claim("nbf", now - 300).claim("exp", now + 600)
    }

    pub(crate) fn key(&self) -> &'a Key {
        self.key
    }

    pub(crate) fn header_bytes(&self) -> &[u8] {
        &self.header
    }

    pub(crate) fn payload_bytes(&self) -> &[u8] {
        &self.payload
    }

    /// Signs it with its key.
    #[must_use]
    pub fn sign(&self) -> String {
        self.sign_with(|input| self.key.sign(input))
    }

    /// Appends the result of any signing function.
    #[must_use]
    pub fn sign_with(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let input = self.input();
        let signature = sign(input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// Header and payload, encoded and joined: the signing input.
    #[must_use]
    pub fn input(&self) -> String {
        format!("{}.{}", base64url(&self.header), base64url(&self.payload))
    }
}

/// Replaces part `at` of the token (0 header, 1 payload, 2 signature) by the result of `bend`.
#[must_use]
pub fn rejoin(token: &str, at: usize, bend: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[at] = bend(&parts[at]);
    parts.join(".")
}
