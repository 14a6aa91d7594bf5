//! A token that was verified.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use sts_claims::{ClaimSet, Json};

use crate::TokenFault;

/// The claims of a token that a [`Verifier`](crate::Verifier) accepted. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct VerifiedToken(Arc<Claims>);

#[derive(Debug)]
struct Claims {
    set: ClaimSet,
    /// `exp`, `iat` and `nbf` in seconds.
    expires_at: i64,
    issued_at: i64,
    not_before: Option<i64>,
}

/// The status of a token: a place in a list (draft-ietf-oauth-status-list section 6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusReference<'a> {
    pub(crate) uri: &'a str,
    pub(crate) index: u64,
}

impl VerifiedToken {
    /// Checks that the claims which RFC 9068 section 2.2 requires are there and have their types.
    pub(crate) fn of(claims: ClaimSet) -> Result<Self, TokenFault> {
        for name in ["iss", "sub", "client_id", "jti"] {
            claims.text(name).filter(|text| !text.is_empty()).ok_or(TokenFault::Claim(name))?;
        }
        let expires_at = numeric_date(&claims, "exp")?.ok_or(TokenFault::Claim("exp"))?;
        let issued_at = numeric_date(&claims, "iat")?.ok_or(TokenFault::Claim("iat"))?;
        let not_before = numeric_date(&claims, "nbf")?;
        if claims.get("scope").is_some_and(|scope| scope.as_str().is_none()) {
            return Err(TokenFault::Claim("scope"));
        }
        let audiences = claims.get("aud").ok_or(TokenFault::Claim("aud"))?;
        if audiences.elements().any(|audience| audience.as_str().is_none()) {
            return Err(TokenFault::Claim("aud"));
        }
        Ok(Self(Arc::new(Claims { set: claims, expires_at, issued_at, not_before })))
    }

    /// `sub`: who the token was issued to.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("sub")
    }

    /// `client_id`.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.text("client_id")
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("iss")
    }

    /// `jti`: the id by which the issuer knows the token. Log this, never the token.
    #[must_use]
    pub fn jti(&self) -> &str {
        self.text("jti")
    }

    /// The values of `aud`.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.set.get("aud").into_iter().flat_map(Json::elements).filter_map(Json::as_str)
    }

    /// The granted scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text("scope").split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the token grants exactly this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|granted| granted == scope)
    }

    /// `exp`, in seconds since the Unix epoch.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.0.expires_at
    }

    /// `iat`, in seconds since the Unix epoch.
    #[must_use]
    pub fn issued_at(&self) -> i64 {
        self.0.issued_at
    }

    /// Every claim.
    #[must_use]
    pub fn claims(&self) -> &ClaimSet {
        &self.0.set
    }

    /// The claim `name` as a type of yours; `None` if it is absent or has another form.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.0.set.get(name)?.to_value()).ok()
    }

    pub(crate) fn not_before(&self) -> Option<i64> {
        self.0.not_before
    }

    /// The thumbprint of the key that the token is bound to (`cnf.jkt`).
    ///
    /// # Errors
    /// [`TokenFault::Bound`] if it is bound in a way that cannot be checked here.
    pub(crate) fn bound_to(&self) -> Result<Option<&str>, TokenFault> {
        let Some(confirmation) = self.0.set.get("cnf") else { return Ok(None) };
        confirmation.get("jkt").and_then(Json::as_str).map(Some).ok_or(TokenFault::Bound)
    }

    /// Where the token's status stands.
    ///
    /// # Errors
    /// [`TokenFault::Claim`] if the claim is there and has another form.
    pub(crate) fn status(&self) -> Result<Option<StatusReference<'_>>, TokenFault> {
        const FAULT: TokenFault = TokenFault::Claim("status");
        let Some(status) = self.0.set.get("status") else { return Ok(None) };
        let Some(reference) = status.get("status_list") else { return Ok(None) };
        let uri = reference.get("uri").and_then(Json::as_str).ok_or(FAULT)?;
        let index = reference.get("idx").and_then(Json::as_number).and_then(serde_json::Number::as_u64);
        Ok(Some(StatusReference { uri, index: index.ok_or(FAULT)? }))
    }

    fn text(&self, name: &str) -> &str {
        self.0.set.text(name).unwrap_or_default()
    }
}

/// The claim as a `NumericDate` (RFC 7519 section 2), rounded down to whole seconds.
fn numeric_date(claims: &ClaimSet, name: &'static str) -> Result<Option<i64>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_number().ok_or(TokenFault::Claim(name))?;
    // Within these bounds sums and differences of times are exact.
    let seconds = number.as_f64().filter(|seconds| seconds.abs() < 9e15).ok_or(TokenFault::Claim(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "floored, and below 2^53: exact in an i64")]
    let seconds = seconds.floor() as i64;
    Ok(Some(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(changes: Value) -> Result<VerifiedToken, TokenFault> {
        let mut claims = json!({
            "iss": "https://sts.example.com", "sub": "octo", "client_id": "octo", "aud": ["api", "other"], "jti": "one",
            "iat": 1000, "exp": 1900.9, "scope": "a:read  b", "groups": ["deployers"],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        VerifiedToken::of(ClaimSet::parse(claims.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn the_claims_of_a_token_are_read_by_their_names() {
        let token = token(json!({})).unwrap();
        assert_eq!((token.subject(), token.client_id(), token.jti()), ("octo", "octo", "one"));
        assert_eq!(token.audiences().collect::<Vec<_>>(), ["api", "other"]);
        assert_eq!(token.scopes().collect::<Vec<_>>(), ["a:read", "b"]);
        assert!(token.has_scope("b") && !token.has_scope("a") && !token.has_scope("") && !token.has_scope("a:read  b"));
        assert_eq!((token.issued_at(), token.expires_at()), (1000, 1900));
        assert_eq!(token.claim::<Vec<String>>("groups").unwrap(), ["deployers"]);
        assert_eq!(token.claim::<u32>("groups"), None);
        assert_eq!(token.bound_to(), Ok(None));
    }

    #[test]
    fn a_token_without_a_required_claim_or_with_one_of_another_type_is_named_by_it() {
        for name in ["iss", "sub", "client_id", "jti", "aud", "iat", "exp"] {
            for value in [Value::Null, json!({}), json!([1]), json!(true)] {
                let fault = token(json!({ name: value })).unwrap_err();
                assert_eq!(fault, TokenFault::Claim(name), "{value}");
            }
        }
        assert_eq!(token(json!({ "scope": ["a"] })).unwrap_err(), TokenFault::Claim("scope"));
        assert_eq!(token(json!({ "nbf": "1" })).unwrap_err(), TokenFault::Claim("nbf"));
        assert_eq!(token(json!({ "exp": 1e300 })).unwrap_err(), TokenFault::Claim("exp"));
    }

    #[test]
    fn a_confirmation_that_is_not_a_thumbprint_cannot_be_checked() {
        assert_eq!(token(json!({ "cnf": { "jkt": "abc" } })).unwrap().bound_to(), Ok(Some("abc")));
        for cnf in [json!({ "x5t#S256": "abc" }), json!({ "jkt": 1 }), json!("abc"), json!({})] {
            assert_eq!(token(json!({ "cnf": cnf })).unwrap().bound_to(), Err(TokenFault::Bound), "{cnf}");
        }
    }

    #[test]
    fn a_status_names_a_list_and_an_index() {
        let with = |status: Value| token(json!({ "status": status })).unwrap();
        let reference = json!({ "status_list": { "uri": "https://sts.example.com/status/1-0", "idx": 7 } });
        assert_eq!(with(reference).status().unwrap().map(|found| found.index), Some(7));
        assert!(with(json!({ "elsewhere": {} })).status().unwrap().is_none());
        for faulty in [json!({ "idx": 1 }), json!({ "uri": "u", "idx": -1 }), json!({ "uri": "u", "idx": "1" })] {
            with(json!({ "status_list": faulty })).status().unwrap_err();
        }
    }
}
