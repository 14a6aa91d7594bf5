//! The minted token, a JWT access token (RFC 9068), and its record.

use serde::Serialize;
use serde_json::{Map, Value};
use sts_jose::{SignError, SignedCompact, Signer};
use sts_types::{Entropy, Issuer, Jti, Lifetime, ReplayClaim, RequestId, TokenRecord, UnixTime, rfc};

use crate::Authorized;
use crate::own::MAX_OWN_TOKEN;

/// Random bytes in a `jti`: 160 bits, so that nobody can guess one and none repeats.
const JTI_BYTES: usize = 20;

/// Inputs of minting besides the grant.
pub struct MintContext<'a> {
    /// `iss`: our issuer identifier.
    pub issuer: &'a Issuer,
    /// The key that signs.
    pub signer: &'a dyn Signer,
    /// Randomness for the `jti`.
    pub entropy: &'a dyn Entropy,
    /// `iat`, in milliseconds since the epoch.
    pub now_millis: u64,
    /// Whether the token must expire no later than its subject token.
    pub cap_to_subject: bool,
    /// Index of the token's status, if there are status lists.
    pub status: Option<StatusReference>,
    /// Generation of the snapshot, for the record.
    pub generation: &'a str,
    /// The request's id, for the record.
    pub request_id: &'a RequestId,
}

/// Where to find the status of a token. No other token of its status window has the same index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReference {
    /// The index within the window, for the record.
    pub index: u64,
    /// The URI of the list.
    pub uri: String,
    /// The index within that list.
    pub place: u32,
}

/// A signed token. Nobody may see it before its record is durable.
pub struct MintedToken {
    /// The compact JWS.
    pub jwt: String,
    /// Seconds until it expires.
    pub lifetime: Lifetime,
    /// The record for the ledger.
    pub record: TokenRecord,
    /// The one-use claims, which the ledger takes in the same commit.
    pub claims: Vec<ReplayClaim>,
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// With `cap_to_subject`: the subject token has expired and is only accepted because of the
    /// leeway.
    #[error("the subject token has no life left to give")]
    NoLifeLeft,
    /// With the copied claims the token exceeds the size that we accept back.
    #[error("the copied claims make the token too large")]
    TooLarge,
    /// The signing key failed.
    #[error("the signing key failed: {0}")]
    Sign(#[from] SignError),
}

/// The claims in output order. Copied claims are never at the top level, so they cannot overwrite a
/// registered claim.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: &'a str,
    iat: UnixTime,
    exp: UnixTime,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    groups: &'a [sts_types::TeamName],
    federated: Federated<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

/// draft-ietf-oauth-status-list section 6.2.
#[derive(Serialize)]
struct Status<'a> {
    status_list: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    idx: u32,
    uri: &'a str,
}

/// Provenance: the subject token's issuer, subject and copied claims, and the identity that
/// matched.
#[derive(Serialize)]
struct Federated<'a> {
    iss: &'a str,
    sub: &'a str,
    identity: &'a str,
    claims: &'a Map<String, Value>,
}

impl Authorized {
    /// The lifetime of a token minted at `now`.
    ///
    /// # Errors
    /// [`MintError::NoLifeLeft`].
    pub fn lifetime(&self, now: UnixTime, cap_to_subject: bool) -> Result<Lifetime, MintError> {
        let granted = self.grant.lifetime;
        if !cap_to_subject {
            return Ok(granted);
        }
        let left = u32::try_from(self.verified.expires_at().since(now)).unwrap_or(0);
        Lifetime::from_secs(left.min(granted.as_secs())).ok_or(MintError::NoLifeLeft)
    }

    /// Mints the authorized token.
    ///
    /// # Errors
    /// See [`MintError`].
    pub fn mint(self, context: &MintContext<'_>) -> Result<MintedToken, MintError> {
        let now = UnixTime::from_secs(i64::try_from(context.now_millis / 1000).unwrap_or(i64::MAX));
        let lifetime = self.lifetime(now, context.cap_to_subject)?;
        let Self { verified, grant } = self;
        let exp = now.plus(i64::from(lifetime.as_secs()));
        let jti = new_jti(context.entropy)?;
        let scope = (!grant.scopes.is_empty()).then(|| grant.scopes.to_string());
        let copied: Map<String, Value> = grant
            .copy_claims
            .iter()
            .filter_map(|path| verified.claims().find(path).map(|value| (path.as_str().to_owned(), value.to_value())))
            .collect();

        let claims = Claims {
            iss: context.issuer.as_str(),
            sub: grant.account.id.as_str(),
            client_id: grant.account.id.as_str(),
            aud: grant.audience.as_str(),
            iat: now,
            exp,
            jti: jti.as_str(),
            scope: scope.as_deref(),
            groups: &grant.account.teams,
            federated: Federated {
                iss: verified.issuer().as_str(),
                sub: verified.subject().as_str(),
                identity: grant.identity.as_str(),
                claims: &copied,
            },
            status: context
                .status
                .as_ref()
                .map(|status| Status { status_list: Place { idx: status.place, uri: &status.uri } }),
        };
        // Large enough for most tokens, so the buffer does not grow.
        let mut payload = Vec::with_capacity(1024);
        serde_json::to_writer(&mut payload, &claims).map_err(|_| SignError::Failed)?;
        let SignedCompact { jwt, digest } =
            sts_jose::sign_compact_digested(context.signer, rfc::TYP_ACCESS_TOKEN, &payload)?;

        if jwt.len() > MAX_OWN_TOKEN {
            return Err(MintError::TooLarge);
        }

        let claims = verified.claim_for(&grant).into_iter().collect();
        let record = TokenRecord {
            jti,
            token_digest: digest,
            account: grant.account.id.clone(),
            identity: grant.identity,
            entry: verified.entry().clone(),
            issuer: verified.issuer().clone(),
            subject: verified.subject().clone(),
            subject_kid: verified.kid().cloned(),
            subject_jti_digest: verified.jti_digest(),
            api: grant.api,
            audience: grant.audience,
            scope: grant.scopes,
            claims: copied,
            kid: context.signer.kid().clone(),
            generation: context.generation.to_owned(),
            status_index: context.status.as_ref().map(|status| status.index),
            iat: now,
            iat_millis: u16::try_from(context.now_millis % 1000).unwrap_or(0),
            exp,
            preceding_rules: None,
            request_id: context.request_id.clone(),
        };
        Ok(MintedToken { jwt, lifetime, record, claims })
    }
}

fn new_jti(entropy: &dyn Entropy) -> Result<Jti, SignError> {
    let mut random = [0; JTI_BYTES];
    entropy.fill(&mut random);
    Jti::new(&sts_jose::base64url(&random)).map_err(|_| SignError::Failed)
}
