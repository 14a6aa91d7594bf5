//! Verifies tokens that we minted, for introspection, revocation and bearer authentication at our
//! own endpoints.

use sts_claims::{ClaimSet, Json};
use sts_jose::{CompactJws, VerifyingKeys};
use sts_types::{AccountId, Audience, Digest256, Issuer, Jti, Kid, ScopeSet, TokenRecord, UnixTime, rfc};

/// Size limit of the tokens that we mint and accept back, in bytes. It applies to both, so that a
/// holder can always revoke a token. It is twice the limit of a subject token, because its claims
/// may be copied, and below the limit of a form.
pub(crate) const MAX_OWN_TOKEN: usize = 32 * 1024;

/// A token of our issuer that one of our published keys signed and that has not expired. It may
/// have been revoked: only the ledger knows that.
#[derive(Debug)]
pub struct OwnToken {
    /// `jti`.
    jti: Jti,
    /// `sub`.
    account: AccountId,
    /// `aud`.
    audience: Audience,
    /// `scope`.
    scope: ScopeSet,
    /// `exp`.
    exp: UnixTime,
    /// `kid` of the header.
    kid: Kid,
    /// SHA-256 of the whole token.
    digest: Digest256,
}

/// Why a token is not a valid token of ours. Outside callers only learn that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnTokenError {
    /// Not a JWS, not `at+jwt`, not of our issuer, signed by a key that we do not publish, or with
    /// a bad signature.
    #[error("not a token of ours")]
    Foreign,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
}

impl OwnToken {
    /// Verifies `token` at `now` (RFC 9068 section 4). There is no leeway, because our own clock
    /// set `exp`.
    ///
    /// # Errors
    /// See [`OwnTokenError`].
    pub fn verify(
        token: &str,
        keys: &impl VerifyingKeys,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Self, OwnTokenError> {
        use OwnTokenError::Foreign;
        let jws = CompactJws::parse_up_to(token, MAX_OWN_TOKEN).map_err(|_| Foreign)?;
        let header = jws.header();
        if !header.typ.as_deref().is_some_and(is_access_token) {
            return Err(Foreign);
        }
        let kid = header.kid.clone().ok_or(Foreign)?;
        let key = keys.verifying_key(&kid, now).ok_or(Foreign)?;
        jws.verify(&key).map_err(|_| Foreign)?;

        let claims = ClaimSet::parse(jws.payload()).map_err(|_| Foreign)?;
        let text = |name: &str| claims.text(name).ok_or(Foreign);
        if text("iss")? != issuer.as_str() {
            return Err(Foreign);
        }
        let time = |name: &str| claims.get(name).and_then(Json::as_i64).map(UnixTime::from_secs).ok_or(Foreign);
        // RFC 9068 section 2.2 requires it.
        time("iat")?;
        let token = Self {
            jti: Jti::new(text("jti")?).map_err(|_| Foreign)?,
            account: AccountId::new(text("sub")?).map_err(|_| Foreign)?,
            audience: Audience::new(text("aud")?).map_err(|_| Foreign)?,
            scope: ScopeSet::parse(claims.text("scope").unwrap_or_default()).map_err(|_| Foreign)?,
            exp: time("exp")?,
            kid,
            digest: sts_jose::sha256(token.as_bytes()),
        };
        if now >= token.exp { Err(OwnTokenError::Expired) } else { Ok(token) }
    }

    /// `jti`.
    #[must_use]
    pub const fn jti(&self) -> &Jti {
        &self.jti
    }

    /// `sub`.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// `aud`.
    #[must_use]
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// `scope`.
    #[must_use]
    pub const fn scope(&self) -> &ScopeSet {
        &self.scope
    }

    /// Whether `record` was made with this token. The caller must have verified its seal.
    #[must_use]
    pub fn is_recorded_by(&self, record: &TokenRecord) -> bool {
        record.token_digest == self.digest && record.account == self.account && record.kid == self.kid
    }
}

fn is_access_token(typ: &str) -> bool {
    let bare = match typ.split_at_checked("application/".len()) {
        Some((kind, rest)) if kind.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    };
    bare.eq_ignore_ascii_case(rfc::TYP_ACCESS_TOKEN)
}
