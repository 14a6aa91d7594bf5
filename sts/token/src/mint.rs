//! The minted token, a JWT access token (RFC 9068), and its record.

use serde::Serialize;
use serde_json::{Map, Value};
use sts_claims::ClaimPath;
use sts_jose::{SignError, SignedCompact, Signer};
use sts_policy::Grant;
use sts_types::{
    Actor, ApiKeyProof, Entropy, Issuer, Jti, Lifetime, Proof, ReplayClaim, RequestId, TokenRecord, UnixTime, rfc,
};

use crate::delegation::Delegate;
use crate::own::MAX_OWN_TOKEN;
use crate::provenance::{Act, Confirmation, Credential, Federated, Provenance};
use crate::{Authorized, CallerProof};

/// Bytes of a `jti`, at most the first of them not random: nobody can guess one and none repeats.
const JTI_BYTES: usize = 20;

/// Inputs of minting besides the grant.
pub struct MintContext<'a> {
    /// `iss`: our issuer identifier.
    pub issuer: &'a Issuer,
    /// The key that signs.
    pub signer: &'a dyn Signer,
    /// Randomness for the `jti`.
    pub entropy: &'a dyn Entropy,
    /// First octet of the `jti`, in a store of several shards.
    pub shard: Option<u8>,
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

impl std::fmt::Debug for MintContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintContext")
            .field("issuer", &self.issuer)
            .field("now_millis", &self.now_millis)
            .field("cap_to_subject", &self.cap_to_subject)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
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
    jwt: String,
    /// Seconds until it expires.
    lifetime: Lifetime,
    /// The record for the ledger.
    record: TokenRecord,
    /// The one-use claims, which the ledger takes in the same commit.
    claims: Vec<ReplayClaim>,
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedToken")
            .field("lifetime", &self.lifetime)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

impl MintedToken {
    /// What the ledger must keep of it before anybody sees the token.
    #[must_use]
    pub const fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// The token, its lifetime, its record, and the claims on one-use tokens that go with the record.
    #[must_use]
    pub fn into_parts(self) -> (String, Lifetime, TokenRecord, Vec<ReplayClaim>) {
        (self.jwt, self.lifetime, self.record, self.claims)
    }
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
    /// The claims could not be encoded.
    #[error("the claims could not be encoded")]
    Encoding,
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
    // Authlib's verifier refuses an empty list. RFC 7643 section 2.5: it says the same as none.
    #[serde(skip_serializing_if = "Groups::is_empty")]
    groups: Groups<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated: Option<Federated<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Credential<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

/// `groups`: the teams of a grant.
struct Groups<'a>(&'a Grant);

impl Groups<'_> {
    fn is_empty(&self) -> bool {
        self.0.groups().next().is_none()
    }
}

impl serde::Serialize for Groups<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.groups())
    }
}

/// draft-ietf-oauth-status-list section 6.2.
#[derive(Serialize)]
struct Status<'a> {
    status_list: StatusEntry<'a>,
}

#[derive(Serialize)]
struct StatusEntry<'a> {
    idx: u32,
    uri: &'a str,
}

impl<'a> From<&'a StatusReference> for Status<'a> {
    fn from(reference: &'a StatusReference) -> Self {
        Self { status_list: StatusEntry { idx: reference.place, uri: &reference.uri } }
    }
}

impl Authorized {
    /// The lifetime of a token minted at `now`.
    ///
    /// # Errors
    /// [`MintError::NoLifeLeft`].
    pub fn lifetime(&self, now: UnixTime, cap_to_subject: bool) -> Result<Lifetime, MintError> {
        let granted = self.grant.lifetime;
        let delegate = self.delegate.as_ref();
        let end = match &self.proof {
            // Who acts for somebody else does so no longer than both have shown that they are there.
            CallerProof::Federated(verified) => (cap_to_subject || delegate.is_some()).then(|| verified.expires_at()),
            CallerProof::ApiKey(key) => Some(key.expires_at),
            CallerProof::Own(parent) => Some(parent.record.exp),
        };
        let end = end.into_iter().chain(delegate.map(|delegate| delegate.expires_at)).min();
        let Some(end) = end else { return Ok(granted) };
        let left = u32::try_from(end.since(now)).unwrap_or(0);
        Lifetime::from_secs(left.min(granted.as_secs())).ok_or(MintError::NoLifeLeft)
    }

    /// The token of ours that its token comes from.
    #[must_use]
    pub fn parent(&self) -> Option<&Jti> {
        match &self.proof {
            CallerProof::Own(parent) => Some(&parent.record.jti),
            CallerProof::Federated(_) | CallerProof::ApiKey(_) => None,
        }
    }

    /// The one-use claims that its token takes: on the subject token, on the proof of possession, and
    /// on the actor's token.
    #[must_use]
    pub fn claims(&self) -> Vec<ReplayClaim> {
        let of_subject = match &self.proof {
            CallerProof::Federated(verified) => verified.claim_for(&self.grant),
            CallerProof::ApiKey(_) | CallerProof::Own(_) => None,
        };
        let of_actor = self.delegate.as_ref().and_then(|delegate| delegate.claim.clone());
        of_subject.into_iter().chain(self.possession_claim()).chain(of_actor).collect()
    }

    /// Mints the authorized token. Waits only if the signer is a device.
    ///
    /// # Errors
    /// See [`MintError`].
    pub async fn mint(self, context: &MintContext<'_>) -> Result<MintedToken, MintError> {
        let now = UnixTime::from_secs(i64::try_from(context.now_millis / 1000).unwrap_or(i64::MAX));
        let lifetime = self.lifetime(now, context.cap_to_subject)?;
        let claims = self.claims();
        let Self { proof, grant, delegate, possession } = self;
        let exp = now.plus(i64::from(lifetime.as_secs()));
        let jti = new_jti(context.entropy, context.shard)?;
        let scope = (!grant.scopes.is_empty()).then(|| grant.scopes.to_string());
        let (proof, prior_actor, copied) = recorded(proof, &grant)?;
        let actor = acting(delegate, prior_actor);
        let confirmation = possession.map(|proof| proof.thumbprint().clone());
        // A block, so that no borrow lives while a device signs.
        let payload = {
            let Provenance { federated, credential } = Provenance::of(&proof, &copied);
            encoded(&Claims {
                iss: context.issuer.as_str(),
                sub: grant.account.id.as_str(),
                client_id: grant.account.id.as_str(),
                aud: grant.audience.as_str(),
                iat: now,
                exp,
                jti: jti.as_str(),
                scope: scope.as_deref(),
                groups: Groups(&grant),
                federated,
                credential,
                parent: proof.parent().map(Jti::as_str),
                act: actor.as_deref().map(Act::from),
                cnf: confirmation.as_ref().map(Confirmation::from),
                status: context.status.as_ref().map(Status::from),
            })?
        };
        let SignedCompact { jwt, digest } =
            sts_jose::sign_compact_digested(context.signer, rfc::TYP_ACCESS_TOKEN, &payload).await?;
        check_length(&jwt)?;
        let named_groups = grant.named_groups().collect();
        let record = TokenRecord {
            jti,
            token_digest: digest,
            account: grant.account.id.clone(),
            proof,
            actor,
            named_groups,
            confirmation,
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

/// Whoever gets the token must be able to present it to us.
fn check_length(jwt: &str) -> Result<(), MintError> {
    if jwt.len() > MAX_OWN_TOKEN { Err(MintError::TooLarge) } else { Ok(()) }
}

/// Who acts with the token.
fn acting(delegate: Option<Box<Delegate>>, prior: Option<Box<Actor>>) -> Option<Box<Actor>> {
    let Some(delegate) = delegate else { return prior };
    let Delegate { account, proof, .. } = *delegate;
    Some(Box::new(Actor { account: account.id.clone(), proof, prior }))
}

fn encoded(claims: &Claims<'_>) -> Result<Vec<u8>, MintError> {
    // Large enough for most tokens, so the buffer does not grow.
    let mut payload = Vec::with_capacity(1024);
    serde_json::to_writer(&mut payload, claims).map_err(|_| MintError::Encoding)?;
    Ok(payload)
}

type Recorded = (Proof, Option<Box<Actor>>, Map<String, Value>);

/// What the record keeps of a proof, who acted before, and the claims that are copied from it.
fn recorded(proof: CallerProof, grant: &Grant) -> Result<Recorded, MintError> {
    Ok(match proof {
        CallerProof::Federated(verified) => {
            // Always there: the rules grant something for an ID token by an identity.
            let identity = grant.identity.clone().ok_or(MintError::Encoding)?;
            let found = |path: &ClaimPath| {
                verified.claims().find(path).map(|value| (path.as_str().to_owned(), value.to_value()))
            };
            (Proof::Federated(verified.recorded(identity)), None, grant.copy_claims.iter().filter_map(found).collect())
        }
        CallerProof::ApiKey(key) => (Proof::ApiKey(ApiKeyProof { id: key.id }), None, Map::new()),
        CallerProof::Own(parent) => {
            let TokenRecord { jti, proof, actor, claims, .. } = *parent.record;
            (proof.descendant(jti), actor, claims)
        }
    })
}

fn new_jti(entropy: &dyn Entropy, shard: Option<u8>) -> Result<Jti, MintError> {
    let mut random = [0; JTI_BYTES];
    entropy.fill(&mut random);
    // 152 random bits are left.
    if let ([first, ..], Some(shard)) = (&mut random, shard) {
        *first = shard;
    }
    Jti::new(&sts_jose::base64url(&random)).map_err(|_| MintError::Encoding)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use serde_json::json;
    use sts_jose::{OsEntropy, SigningKey};
    use sts_policy::{GrantedAccount, Replay};
    use sts_types::{AccountId, AccountName, Algorithm, ApiKeyId, ApiName, Audience, IdentityName, ScopeSet, TeamName};

    use super::*;
    use crate::{VerifiedApiKey, VerifiedParent};

    const NOW: i64 = 1_790_000_100;

    fn grant() -> Grant {
        let account = GrantedAccount {
            id: AccountId::new("octo").unwrap(),
            name: AccountName::new("octo").unwrap(),
            teams: vec![TeamName::new("deployers").unwrap()],
        };
        Grant {
            account: Arc::new(account),
            given_teams: vec![],
            identity: Some(IdentityName::new("of no ID token").unwrap()),
            api: ApiName::new("deploy").unwrap(),
            audience: Audience::new("https://deploy.example.com").unwrap(),
            scopes: ScopeSet::parse("deployments:create").unwrap(),
            lifetime: Lifetime::from_secs(900).unwrap(),
            replay: Replay::Once,
            copy_claims: Arc::from([ClaimPath::parse("run_id").unwrap()]),
            requires_proof: false,
        }
    }

    /// The record of a token that was minted on an ID token, and expires 800 s after [`NOW`].
    fn parent() -> TokenRecord {
        serde_json::from_slice(include_bytes!("../../../tests/fuzz/seeds/record/record")).unwrap()
    }

    fn mint(proof: CallerProof) -> Result<(Value, MintedToken), MintError> {
        let context = MintContext {
            issuer: &Issuer::new("https://sts.example.com").unwrap(),
            signer: &SigningKey::generate(Algorithm::ES256).unwrap(),
            entropy: &OsEntropy,
            shard: None,
            now_millis: u64::try_from(NOW).unwrap() * 1000,
            cap_to_subject: false,
            status: None,
            generation: "generation",
            request_id: &RequestId::new("01J8Z3QK5V6W7X8Y9ZABCDEFGH").unwrap(),
        };
        let minted = Authorized::of(proof, grant()).mint(&context).now_or_never();
        let minted = minted.expect("a key in memory signs at once")?;
        let payload = sts_jose::decode_base64url(minted.jwt.split('.').nth(1).unwrap()).unwrap();
        Ok((serde_json::from_slice(&payload).unwrap(), minted))
    }

    #[test]
    fn the_first_octet_of_a_jti_is_the_shard_and_the_rest_is_random() {
        let octets = |shard| sts_jose::decode_base64url(new_jti(&OsEntropy, shard).unwrap().as_str()).unwrap();
        let [one, other] = [octets(Some(31)), octets(Some(31))];
        assert_eq!((one[0], other[0], one.len()), (31, 31, JTI_BYTES));
        assert_ne!(one[1..], other[1..]);
        let first: std::collections::BTreeSet<u8> = (0..64).map(|_| octets(None)[0]).collect();
        assert!(first.len() > 16, "without shards it is random, too");
    }

    #[test]
    fn a_token_of_an_api_key_names_the_key_and_ends_with_it() {
        let key = |expires: i64| {
            CallerProof::ApiKey(VerifiedApiKey {
                id: ApiKeyId::new("0123456789aB").unwrap(),
                account: AccountId::new("octo").unwrap(),
                scopes: None,
                expires_at: UnixTime::from_secs(NOW + expires),
            })
        };
        let (claims, minted) = mint(key(86_400)).unwrap();
        assert_eq!(claims["credential"], json!({ "type": "api_key", "id": "0123456789aB" }));
        assert_eq!((claims.get("federated"), claims.get("parent")), (None, None));
        assert_eq!((minted.lifetime.as_secs(), minted.claims.len(), minted.record.claims.len()), (900, 0, 0));
        assert_eq!(minted.record.proof.api_key().unwrap().id.as_str(), "0123456789aB");
        let shown = format!("{minted:?}");
        assert!(minted.jwt.split('.').all(|part| !shown.contains(part)), "{shown}");
        assert_eq!(mint(key(60)).unwrap().1.lifetime.as_secs(), 60);
        assert!(matches!(mint(key(0)), Err(MintError::NoLifeLeft)));
    }

    #[test]
    fn a_token_of_a_token_keeps_the_provenance_of_its_root_names_its_parent_and_ends_with_it() {
        let root = parent();
        let (claims, minted) = mint(CallerProof::Own(VerifiedParent::of_record(root.clone()))).unwrap();
        assert_eq!(claims["parent"], json!(root.jti));
        assert_eq!(
            claims["federated"],
            json!({ "iss": "https://ci.example", "sub": "main", "identity": "main", "claims": { "run_id": "42" } })
        );
        assert_eq!(claims.get("credential"), None);
        assert_eq!((minted.lifetime.as_secs(), minted.record.exp), (800, root.exp));
        assert_eq!(minted.record.proof, root.proof.descendant(root.jti.clone()));
        let (claims, grandchild) = mint(CallerProof::Own(VerifiedParent::of_record(minted.record.clone()))).unwrap();
        assert_eq!(claims["parent"], json!(minted.record.jti));
        let Proof::Own(own) = &grandchild.record.proof else { unreachable!("a token of a token") };
        assert_eq!((&own.parent, &own.ancestors), (&minted.record.jti, &vec![root.jti]));
    }
}
