//! Verifies tokens that we minted, for introspection, revocation and bearer authentication at our
//! own endpoints.

use sts_claims::{ClaimSet, Json};
use sts_jose::{CompactJws, JwsError, VerifyingKeys};
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
    /// `parent`: the token that it came from.
    parent: Option<Jti>,
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

/// Why a token is not a valid token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnTokenError {
    /// Not a JWS, or a claim of ours is missing or has the wrong type.
    #[error("not a token of ours: {0}")]
    Malformed(&'static str),
    /// Signed with an algorithm that nobody uses here.
    #[error("not a token of ours: its algorithm is not ours")]
    Algorithm,
    /// Not an access token (`at+jwt`).
    #[error("not a token of ours: its `typ` is not that of an access token")]
    Type,
    /// Of another issuer.
    #[error("not a token of ours: another issuer made it")]
    Issuer,
    /// Signed by a key that we do not publish.
    #[error("not a token of ours: we publish no such key")]
    Key,
    /// The signature does not verify.
    #[error("not a token of ours: its signature is not ours")]
    Signature,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
}

impl OwnToken {
    /// Verifies `token` at `now` (RFC 9068 section 4). There is no leeway, because our own clock
    /// set `exp`.
    ///
    /// # Errors
    /// The first [`OwnTokenError`], in their order. `Expired` means that we signed the token.
    pub fn verify(
        token: &str,
        keys: &impl VerifyingKeys,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Self, OwnTokenError> {
        let jws = CompactJws::parse_up_to(token, MAX_OWN_TOKEN).map_err(|error| match error {
            JwsError::Algorithm => OwnTokenError::Algorithm,
            JwsError::Malformed(rule) => OwnTokenError::Malformed(rule),
        })?;
        let header = jws.header();
        if !header.typ.as_deref().is_some_and(is_access_token) {
            return Err(OwnTokenError::Type);
        }
        let claims =
            ClaimSet::parse(jws.payload()).map_err(|_| OwnTokenError::Malformed("the payload is not strict JSON"))?;
        if claims.text("iss") != Some(issuer.as_str()) {
            return Err(OwnTokenError::Issuer);
        }
        let kid = header.kid.clone().ok_or(OwnTokenError::Key)?;
        let key = keys.verifying_key(&kid, now).ok_or(OwnTokenError::Key)?;
        jws.verify(&key).map_err(|_| OwnTokenError::Signature)?;

        let wrong = || OwnTokenError::Malformed("a claim of an access token is missing or has the wrong type");
        let text = |name: &str| claims.text(name).ok_or_else(wrong);
        let time = |name: &str| claims.get(name).and_then(Json::as_i64).map(UnixTime::from_secs).ok_or_else(wrong);
        // RFC 9068 section 2.2 requires it.
        time("iat")?;
        let token = Self {
            jti: Jti::new(text("jti")?).map_err(|_| wrong())?,
            parent: claims.text("parent").and_then(|parent| Jti::new(parent).ok()),
            account: AccountId::new(text("sub")?).map_err(|_| wrong())?,
            audience: Audience::new(text("aud")?).map_err(|_| wrong())?,
            scope: ScopeSet::parse(claims.text("scope").unwrap_or_default()).map_err(|_| wrong())?,
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

    /// `parent`. It only tells which record to read together with that of `jti`.
    #[must_use]
    pub const fn parent(&self) -> Option<&Jti> {
        self.parent.as_ref()
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
