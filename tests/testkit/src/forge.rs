//! Tokens of any shape, honest and broken.

use crate::{Key, now};
use serde_json::{Map, Value, json};
use sts_jose::base64url;

/// A token in the making. It starts as an honest one and is bent from there.
#[derive(Clone)]
pub struct Forge<'a> {
    key: &'a Key,
    header: Vec<u8>,
    payload: Vec<u8>,
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

    /// With that header member; `Value::Null` is written as `null`.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<Value>) -> Self {
        let mut header: Map<String, Value> = serde_json::from_slice(&self.header).unwrap();
        header.insert(name.to_owned(), value.into());
        self.raw_header(Value::Object(header).to_string())
    }

    /// Without that header member.
    #[must_use]
    pub fn no_header(self, name: &str) -> Self {
        let mut header: Map<String, Value> = serde_json::from_slice(&self.header).unwrap();
        header.remove(name);
        self.raw_header(Value::Object(header).to_string())
    }

    /// With these bytes for the whole header.
    #[must_use]
    pub fn raw_header(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { header: bytes.into(), ..self }
    }

    /// With that claim.
    #[must_use]
    pub fn claim(self, name: &str, value: impl Into<Value>) -> Self {
        let mut claims: Map<String, Value> = serde_json::from_slice(&self.payload).unwrap();
        claims.insert(name.to_owned(), value.into());
        self.raw_payload(Value::Object(claims).to_string())
    }

    /// Without that claim.
    #[must_use]
    pub fn no_claim(self, name: &str) -> Self {
        let mut claims: Map<String, Value> = serde_json::from_slice(&self.payload).unwrap();
        claims.remove(name);
        self.raw_payload(Value::Object(claims).to_string())
    }

    /// With that claim as JSON text, and beside one of the same name: what a `Value` cannot hold.
    #[must_use]
    pub fn raw_claim(self, name: &str, json: &str) -> Self {
        let payload = String::from_utf8(self.payload.clone()).unwrap();
        let open = payload.strip_suffix('}').unwrap();
        self.raw_payload(format!("{open},\"{name}\":{json}}}"))
    }

    /// With these bytes for the whole payload.
    #[must_use]
    pub fn raw_payload(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { payload: bytes.into(), ..self }
    }

    /// Valid from five minutes ago for ten more, as GitHub's tokens are.
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

    /// Signed truly.
    #[must_use]
    pub fn sign(&self) -> String {
        self.sign_with(|input| self.key.sign(input))
    }

    /// Signed by whatever.
    #[must_use]
    pub fn sign_with(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let input = self.input();
        let signature = sign(input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// Header and payload, encoded and joined: what is signed.
    #[must_use]
    pub fn input(&self) -> String {
        format!("{}.{}", base64url(&self.header), base64url(&self.payload))
    }
}

/// The token with part `at` (0 header, 1 payload, 2 signature) replaced by what `bend` makes of its text.
#[must_use]
pub fn rejoin(token: &str, at: usize, bend: impl FnOnce(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[at] = bend(&parts[at]);
    parts.join(".")
}
