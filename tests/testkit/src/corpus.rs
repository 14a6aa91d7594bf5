//! Committed documents and claims of real issuers.

use serde_json::{Map, Value};
use std::path::PathBuf;

/// The path of a file under `tests/corpus`.
#[must_use]
pub fn corpus_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name)
}

/// A file under `tests/corpus`, read as JSON.
#[must_use]
pub fn corpus_json(name: &str) -> Value {
    let bytes = std::fs::read(corpus_file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_slice(&bytes).unwrap()
}

/// A platform's claims in their real form, with times around `iat` 1790000000.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The file's name without `.claims.json`.
    pub name: String,
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Map<String, Value>,
}

impl Sample {
    /// Reads the sample of that name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let Value::Object(mut claims) = corpus_json(&format!("issuers/{name}.claims.json")) else {
            panic!("{name}: no object")
        };
        Self { name: name.to_owned(), header: claims.remove("_header").expect("a header"), claims }
    }

    /// The claims with all times shifted to this `iat`.
    #[must_use]
    pub fn at(&self, iat: i64) -> Value {
        let mut claims = self.claims.clone();
        let shift = claims.get("iat").and_then(Value::as_i64).map_or(0, |was| iat - was);
        for name in ["iat", "nbf", "exp"] {
            if let Some(time) = claims.get_mut(name) {
                *time = (time.as_i64().unwrap() + shift).into();
            }
        }
        Value::Object(claims)
    }
}

/// Every sample, by name.
#[must_use]
pub fn claims_samples() -> Vec<Sample> {
    let entries = std::fs::read_dir(corpus_file("issuers")).unwrap();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".claims.json").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names.iter().map(|name| Sample::of(name)).collect()
}

/// A published, expired token as it was sent, joined from its parts.
#[must_use]
pub fn recorded_token(name: &str) -> String {
    let parts = corpus_json(&format!("issuers/{name}.recorded-token.json"));
    let text = |part: &str| parts[part].as_str().unwrap().to_owned();
    let encode = |part: &str| sts_jose::base64url(text(part).as_bytes());
    format!("{}.{}.{}", encode("header"), encode("payload"), text("signature"))
}
