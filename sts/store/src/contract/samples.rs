//! Sample records and revocations, a clock, a seal and a log of alerts for tests.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sts_types::{
    AccountId, ApiName, Audience, Clock, Digest256, EntryName, FederatedProof, IdentityName, Issuer, Jti, Kid, Proof,
    RequestId, ScopeSet, Seal, Subject, UnixTime,
};

use crate::{
    Alert, Alerts, EarlierUse, Issued, ReplayClaim, Revocation, RevocationRule, RevocationScope, TakenClaim,
    TokenRecord,
};

/// The time at which tests begin.
pub const START: UnixTime = UnixTime::from_secs(1_800_000_000);

/// A clock that moves only when told to. Both of its times move together.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicU64::new(START.as_secs().unsigned_abs() * 1000))
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Moves the clock back.
    pub fn set_back(&self, seconds: u64) {
        self.0.fetch_sub(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_millis())
    }
}

/// A seal whose key is a number. It shows when octets or keys differ, and is no cryptography.
#[derive(Debug)]
pub struct TestSeal(pub u64);

impl Seal for TestSeal {
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut code = [0; 32];
        for (at, part) in (0_u64..).zip(code.chunks_mut(8)) {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(self.0);
            hasher.write_u64(at);
            parts.iter().for_each(|part| hasher.write(part));
            part.copy_from_slice(&hasher.finish().to_be_bytes());
        }
        code
    }

    fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.seal(parts) == code
    }
}

/// Keeps the raised alerts.
#[derive(Debug, Default)]
pub struct AlertLog(Mutex<Vec<Alert>>);

impl AlertLog {
    /// The alerts since the last call.
    pub fn take(&self) -> Vec<Alert> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Alerts for AlertLog {
    fn raise(&self, alert: Alert) {
        self.0.lock().unwrap().push(alert);
    }
}

/// The ID token of each [`record`], with all optional fields.
pub fn federated() -> FederatedProof {
    FederatedProof {
        identity: IdentityName::new("main branch").unwrap(),
        entry: EntryName::new("github").unwrap(),
        issuer: Issuer::new("https://token.actions.githubusercontent.com").unwrap(),
        subject: Subject::new("repo:octo-org/octo-repo:ref:refs/heads/main").unwrap(),
        subject_kid: Some(Kid::new("cc413527-173f-5a05-976e-9c52b1d7b431").unwrap()),
        subject_jti_digest: Some(Digest256([2; 32])),
        may_act: None,
    }
}

/// The record in the format of version 1, which knew ID tokens only.
pub fn in_version_1(record: &TokenRecord) -> serde_json::Value {
    let mut content = serde_json::to_value(record).unwrap();
    let mut proof = content["proof"]["federated"].take();
    let members = content.as_object_mut().unwrap();
    members.remove("proof");
    members.append(proof.as_object_mut().unwrap());
    content
}

/// The record of a token of `account`, issued at [`START`] for 15 minutes, with all optional
/// fields.
pub fn record(jti: &str, account: &str) -> TokenRecord {
    let claims = serde_json::json!({
        "repository": "octo-org/octo-repo", "repository_id": "1296269", "event": {"name": "push", "tags": ["a", "\u{e9}\"\\"]},
        "runner": true, "attempt": 1, "none": null,
    });
    TokenRecord {
        jti: Jti::new(jti).unwrap(),
        token_digest: Digest256([1; 32]),
        account: AccountId::new(account).unwrap(),
        proof: Proof::Federated(federated()),
        actor: None,
        named_groups: Vec::new(),
        confirmation: None,
        api: ApiName::new("deploy").unwrap(),
        audience: Audience::new("https://deploy.example.com").unwrap(),
        scope: ScopeSet::parse("deployments:create releases:read").unwrap(),
        claims: claims.as_object().cloned().unwrap_or_default(),
        kid: Kid::new("HOlGMXU5w9eqIu5V7x0tbHVVfIWXrXuBGwOQ5Fvd9lI").unwrap(),
        generation: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned(),
        status_index: Some(42),
        iat: START,
        iat_millis: 7,
        exp: START.plus(900),
        preceding_rules: Some(0),
        request_id: RequestId::new("01J9ZQ4T5M3N8K7R6S2V1W0XYZ").unwrap(),
    }
}

/// A claim on the subject token number `number`, which may be forgotten after `until`.
pub fn claim(number: u8, until: UnixTime) -> ReplayClaim {
    ReplayClaim { key: Digest256([number; 32]), until }
}

/// The outcome of an issue whose claim on the subject token `number` was taken by any [`record`].
pub fn replayed(number: u8) -> Issued {
    let earlier_use = Some(EarlierUse::of(&record("any", "octo")));
    Issued::Replayed(TakenClaim { key: Digest256([number; 32]), earlier_use })
}

/// A revocation of one token.
pub fn revocation(jti: &str, reason: &str) -> Revocation {
    Revocation {
        id: None,
        scope: RevocationScope::Token(Jti::new(jti).unwrap()),
        before: None,
        before_millis: 0,
        order: None,
        shard_orders: Arc::default(),
        at: START,
        by: "admin token".to_owned(),
        reason: Some(reason.to_owned()),
        until: START.plus(1000),
    }
}

/// A revocation of every token of `account`, which may be forgotten after `until`.
pub fn rule(account: &str, until: UnixTime) -> Revocation {
    Revocation {
        scope: RevocationScope::Rule(RevocationRule { account: Some(account.to_owned()), ..RevocationRule::default() }),
        until,
        ..revocation("unused", "incident 7")
    }
}
