//! An independent service that learns of revocations offline (draft-ietf-oauth-status-list), from
//! our published keys and a token's status list.

use flate2::read::ZlibDecoder;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use std::io::Read as _;

/// The position of a verified token's status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusPlace {
    /// The list's URI.
    pub uri: String,
    /// The index in the list.
    pub index: usize,
}

impl StatusPlace {
    /// The position according to a token's claims.
    ///
    /// # Panics
    /// If they have none.
    #[must_use]
    pub fn of(claims: &Value) -> Self {
        let reference = &claims["status"]["status_list"];
        let index = usize::try_from(reference["idx"].as_u64().expect("an index")).unwrap();
        Self { uri: reference["uri"].as_str().expect("a URI").to_owned(), index }
    }

    /// Whether `list`, fetched from that URI, says that the token is valid.
    ///
    /// # Errors
    /// Why the list cannot be trusted.
    pub fn is_valid_by(&self, list: &str, jwks: &Value) -> Result<bool, String> {
        let set: JwkSet = serde_json::from_value(jwks.clone()).map_err(|error| error.to_string())?;
        let header = decode_header(list).map_err(|error| error.to_string())?;
        if header.typ.as_deref() != Some("statuslist+jwt") {
            return Err(format!("not a status list: {:?}", header.typ));
        }
        let jwk = set.find(header.kid.as_deref().ok_or("no kid")?).ok_or("no key of that kid")?;
        let mut validation = Validation::new(header.alg);
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
        let claims = decode::<Value>(list, &key, &validation).map_err(|error| error.to_string())?.claims;
        if claims["sub"] != *self.uri {
            return Err(format!("the list of another URI: {}", claims["sub"]));
        }
        if claims["status_list"]["bits"] != 1 {
            return Err("not a bit for each token".to_owned());
        }
        let compressed = claims["status_list"]["lst"].as_str().and_then(sts_jose::decode_base64url).ok_or("no list")?;
        let mut octets = Vec::new();
        ZlibDecoder::new(&*compressed).read_to_end(&mut octets).map_err(|error| error.to_string())?;
        let octet = octets.get(self.index / 8).ok_or("the list is too short")?;
        Ok(octet & (1 << (self.index % 8)) == 0)
    }
}
