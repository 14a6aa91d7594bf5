//! Records in the format of version 1. Every token was minted for an ID token, and its facts stood
//! next to the other fields.

use serde_json::{Map, Value};
use sts_types::{
    AccountId, ApiName, Audience, Digest256, EntryName, FederatedProof, IdentityName, Issuer, Jti, Kid, Proof,
    RequestId, ScopeSet, Subject, TokenRecord, UnixTime,
};

#[derive(serde::Deserialize)]
pub(crate) struct RecordOfVersion1 {
    jti: Jti,
    token_digest: Digest256,
    account: AccountId,
    identity: IdentityName,
    entry: EntryName,
    issuer: Issuer,
    subject: Subject,
    subject_kid: Option<Kid>,
    subject_jti_digest: Option<Digest256>,
    api: ApiName,
    audience: Audience,
    scope: ScopeSet,
    claims: Map<String, Value>,
    kid: Kid,
    generation: String,
    status_index: Option<u64>,
    iat: UnixTime,
    iat_millis: u16,
    exp: UnixTime,
    #[serde(default)]
    preceding_rules: Option<u64>,
    request_id: RequestId,
}

impl From<RecordOfVersion1> for TokenRecord {
    fn from(record: RecordOfVersion1) -> Self {
        Self {
            jti: record.jti,
            token_digest: record.token_digest,
            account: record.account,
            proof: Proof::Federated(FederatedProof {
                identity: record.identity,
                entry: record.entry,
                issuer: record.issuer,
                subject: record.subject,
                subject_kid: record.subject_kid,
                subject_jti_digest: record.subject_jti_digest,
                may_act: None,
            }),
            actor: None,
            named_groups: Vec::new(),
            confirmation: None,
            api: record.api,
            audience: record.audience,
            scope: record.scope,
            claims: record.claims,
            kid: record.kid,
            generation: record.generation,
            status_index: record.status_index,
            iat: record.iat,
            iat_millis: record.iat_millis,
            exp: record.exp,
            preceding_rules: record.preceding_rules,
            request_id: record.request_id,
        }
    }
}
