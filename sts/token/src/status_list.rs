//! Signed status lists (draft-ietf-oauth-status-list): one bit per token, compressed. A verifier
//! that only has our keys learns about revocations from them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use sts_jose::{SignError, SignedCompact, Signer, base64url};
use sts_types::{Issuer, STATUS_LIST_LENGTH, UnixTime, rfc};

/// One bit per index of a list. A set bit means that the token is no longer valid.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusBits(Vec<u8>);

impl std::fmt::Debug for StatusBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusBits").finish_non_exhaustive()
    }
}

impl Default for StatusBits {
    /// Every token is valid.
    fn default() -> Self {
        Self(vec![0; STATUS_LIST_LENGTH.div_ceil(8) as usize])
    }
}

impl StatusBits {
    /// Number of tokens that are no longer valid.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Sets every bit that is set in `other`.
    pub fn merge(&mut self, other: &Self) {
        for (byte, more) in self.0.iter_mut().zip(&other.0) {
            *byte |= more;
        }
    }

    /// Marks the token at index `place` as no longer valid.
    pub fn set(&mut self, place: u32) {
        if let Some(byte) = self.0.get_mut(place as usize / 8) {
            // The first token is the least significant bit (section 4.1).
            *byte |= 1 << (place % 8);
        }
    }
}

/// Claims of a signed list besides its bits.
#[derive(Debug)]
pub struct StatusListSpec<'a> {
    /// `iss`: our issuer identifier.
    pub issuer: &'a Issuer,
    /// `sub`: the URL of the list, as minted tokens name it.
    pub uri: &'a str,
    /// When the bits were correct.
    pub iat: UnixTime,
    /// Until when verifiers may rely on the list.
    pub exp: UnixTime,
    /// Seconds after which a verifier should fetch the list again.
    pub ttl: u32,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    iat: UnixTime,
    exp: UnixTime,
    ttl: u32,
    status_list: List,
}

#[derive(Serialize)]
struct List {
    bits: u8,
    lst: String,
}

/// Signs a list (section 5.1) with maximum compression (section 4.1).
///
/// # Errors
/// [`SignError`] if compressing or signing fails.
pub async fn sign_status_list(
    signer: &dyn Signer,
    spec: &StatusListSpec<'_>,
    bits: &StatusBits,
) -> Result<SignedCompact, SignError> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    let compressed = zlib.write_all(&bits.0).and_then(|()| zlib.finish()).map_err(|_| SignError::Failed)?;
    let claims = Claims {
        iss: spec.issuer.as_str(),
        sub: spec.uri,
        iat: spec.iat,
        exp: spec.exp,
        ttl: spec.ttl,
        status_list: List { bits: 1, lst: base64url(&compressed) },
    };
    let payload = serde_json::to_vec(&claims).map_err(|_| SignError::Failed)?;
    sts_jose::sign_compact_digested(signer, rfc::TYP_STATUS_LIST, &payload).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use futures_util::FutureExt as _;
    use serde_json::Value;
    use std::io::Read as _;
    use sts_jose::{CompactJws, SigningKey};
    use sts_types::Algorithm;

    #[test]
    fn a_list_has_its_bits_from_the_least_significant_on() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let mut bits = StatusBits::default();
        for place in [0, 3, 8, 1_048_575, 1_048_576] {
            bits.set(place);
        }
        let spec = StatusListSpec {
            issuer: &Issuer::new("https://sts.example.com").unwrap(),
            uri: "https://sts.example.com/status/1-0",
            iat: UnixTime::from_secs(10),
            exp: UnixTime::from_secs(310),
            ttl: 30,
        };
        let signed = sign_status_list(&key, &spec, &bits).now_or_never().unwrap().unwrap().jwt;
        assert!(signed.len() < 2000, "{}", signed.len());
        let jws = CompactJws::parse(&signed).unwrap();
        assert_eq!(jws.verify(&key.verifying_key()), Ok(()));
        assert_eq!(jws.header().typ.as_deref(), Some("statuslist+jwt"));
        let claims: Value = serde_json::from_slice(jws.payload()).unwrap();
        assert_eq!(claims["sub"], "https://sts.example.com/status/1-0");
        assert_eq!((&claims["iat"], &claims["exp"], &claims["ttl"]), (&10.into(), &310.into(), &30.into()));
        assert_eq!(claims["status_list"]["bits"], 1);
        let compressed = sts_jose::decode_base64url(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
        let mut plain = Vec::new();
        ZlibDecoder::new(&*compressed).read_to_end(&mut plain).unwrap();
        assert_eq!((plain.len(), plain[0], plain[1], plain[131_071]), (131_072, 0b1001, 1, 0b1000_0000));
    }
}
