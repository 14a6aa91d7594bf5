//! Why a token of ours, or an actor, is refused: for the owner, since the caller learns only that it
//! is.

use sts_policy::{ActorError, Diagnosis};
use sts_store::{Revocation, RevocationScope};
use sts_token::{DelegationError, MAX_DEPTH};
use sts_types::rfc::parameter;
use sts_types::{ApiKeyId, Jti, TokenRecord};

use crate::Snapshot;

/// Why an API key is refused. The caller learns nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiKeyRefusal {
    /// The secret has not the form of a key.
    NoKey,
    /// There is no such key, or its secret is another.
    Unknown(ApiKeyId),
    /// `api_keys.enabled` is false.
    Disabled,
    /// The key has expired.
    Expired(ApiKeyId),
    /// The key is of another account than the request names.
    OtherAccount(ApiKeyId),
    /// The key may not be used from the caller's address.
    Address(ApiKeyId),
}

/// The cause of a refusal that the rules alone do not explain.
pub(crate) enum ProofRefusal {
    /// There is no record of this token.
    Unknown(Jti),
    /// This token is revoked.
    Revoked { jti: Jti, revocation: Box<Revocation> },
    /// The rules do not support the token of this record any more.
    Unsupported(Box<TokenRecord>),
    /// As many tokens as may came from one another already.
    TooDeep,
    /// The rules refuse what the token asks for.
    Rules(Box<Diagnosis>),
    /// The API key is wrong.
    ApiKey(ApiKeyRefusal),
    /// The actor may not act.
    Actor { account: String, error: DelegationError },
}

impl ProofRefusal {
    /// The cause, and what would help.
    pub(crate) fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        match self {
            Self::Unknown(jti) => found(format!(
                "there is no record of token {jti}: it was made by another installation, or has expired and was forgotten"
            ))
            .at(parameter::SUBJECT_TOKEN)
            .fix("present a token that this installation made, or an ID token"),
            Self::Revoked { jti, revocation } => revoked(jti, revocation),
            Self::Unsupported(record) => unsupported(snapshot, record),
            Self::TooDeep => found(format!(
                "the token came from {MAX_DEPTH} tokens before it already, and no more may follow"
            ))
            .at(parameter::SUBJECT_TOKEN)
            .fix("exchange an earlier token, or a new ID token"),
            Self::Rules(diagnosis) => diagnosis.as_ref().clone(),
            Self::ApiKey(refusal) => api_key(refusal),
            Self::Actor { account, error } => actor(account, *error),
        }
    }
}

fn found(cause: String) -> Diagnosis {
    Diagnosis::new("", cause)
}

fn revoked(jti: &Jti, revocation: &Revocation) -> Diagnosis {
    let at = revocation.at.to_rfc3339().unwrap_or_else(|| revocation.at.to_string());
    let by = &revocation.by;
    let how = match &revocation.scope {
        RevocationScope::Token(_) => format!("token {jti} was revoked at {at} by {by}"),
        RevocationScope::Rule(_) => {
            let id = revocation.id.as_ref().map_or_else(String::new, |id| format!(" {id}"));
            format!("token {jti} is covered by revocation rule{id}, made at {at} by {by}")
        }
    };
    let why = revocation.reason.as_ref().map_or_else(String::new, |reason| format!(" (`{reason}`)"));
    found(format!("{how}{why}")).at(parameter::SUBJECT_TOKEN).fix("present a new ID token")
}

fn unsupported(snapshot: &Snapshot, record: &TokenRecord) -> Diagnosis {
    let account = record.account.as_str();
    let cause = match (snapshot.rules.account(account), record.proof.federated()) {
        (None, _) => format!("account `{account}` of token {} is gone", record.jti),
        (Some(view), _) if !view.enabled => format!("account `{}` is disabled", view.name),
        (Some(view), Some(proof)) => format!(
            "identity `{}` of account `{}`, its issuer entry `{}` or an actor does not accept tokens any more, or the key that signed token {} is withdrawn",
            proof.identity, view.name, proof.entry, record.jti
        ),
        (Some(view), None) => format!(
            "the API key of account `{}` is gone or has expired, or the key that signed token {} is withdrawn",
            view.name, record.jti
        ),
    };
    found(cause).at("service_accounts").fix("present a new ID token, once the account accepts it")
}

fn api_key(refusal: &ApiKeyRefusal) -> Diagnosis {
    let at_secret = |cause: String| found(cause).at(parameter::CLIENT_SECRET);
    match refusal {
        ApiKeyRefusal::NoKey => {
            at_secret("the client's secret is no API key: its form or its checksum is wrong".to_owned())
                .expected("`sts_` and 54 letters and digits")
                .fix("send the key as it was shown when it was created")
        }
        ApiKeyRefusal::Unknown(id) => at_secret(format!(
            "there is no API key `{id}`, or its secret is another: it was revoked, or never made here"
        ))
        .fix("create a key with `sts api-keys create`"),
        ApiKeyRefusal::Disabled => found("API keys are turned off: `api_keys.enabled` is false".to_owned())
            .at("api_keys.enabled")
            .actual("false")
            .expected("true")
            .fix("write `api_keys: {enabled: true}`"),
        ApiKeyRefusal::Expired(id) => {
            at_secret(format!("API key `{id}` has expired")).fix("create a key with `sts api-keys create`")
        }
        ApiKeyRefusal::OtherAccount(id) => {
            found(format!("API key `{id}` is of another account than the request names"))
                .at(parameter::CLIENT_ID)
                .fix("name the account that the key was created for")
        }
        ApiKeyRefusal::Address(id) => found(format!("API key `{id}` may not be used from the caller's address"))
            .at("allow_from")
            .fix("create a key whose `allow_from` has the address; behind a proxy, let it send `X-Forwarded-For`"),
    }
}

fn actor(account: &str, error: DelegationError) -> Diagnosis {
    let at_token = |cause: &str| found(cause.to_owned()).at(parameter::ACTOR_TOKEN);
    match error {
        DelegationError::Actor(ActorError::NoDelegation) => {
            found(format!("account `{account}` lets nobody act for it: it has no `delegation`"))
                .at("delegation")
                .expected("the actor's account among `actors`")
                .fix(format!("list the actor's account under `delegation: {{actors: [...]}}` of account `{account}`"))
        }
        DelegationError::Actor(ActorError::NotAnActor) => found(format!(
            "the actor token is of no account that may act for `{account}`: none listed under `delegation.actors` is enabled and accepts it"
        ))
        .at("delegation")
        .expected("the actor's account among `actors`")
        .fix(format!("list the actor's account under `delegation.actors` of account `{account}`")),
        DelegationError::Actor(ActorError::Ambiguous) => found(format!(
            "the actor token fits more than one account under `delegation.actors` of account `{account}`"
        ))
        .at("delegation")
        .fix("present an access token of the actor's account as `actor_token`"),
        DelegationError::Actor(ActorError::Itself) => {
            at_token(&format!("the actor token is of account `{account}` itself, which needs nobody to act for it"))
                .fix("send no `actor_token`, or that of another account")
        }
        DelegationError::MayAct => {
            found("`may_act` of the subject token names somebody else than the actor token".to_owned())
                .at("may_act")
                .fix("send the token of the actor that `may_act` names")
        }
        DelegationError::DelegatedActor => at_token("the actor token has an actor itself, so its account does not act")
            .fix("send a token that the actor got for itself"),
        DelegationError::TooManyActors => at_token("`act` would nest more than 4 actors").fix("exchange an earlier token"),
        DelegationError::TooDeep => at_token(&format!(
            "the actor token came from {MAX_DEPTH} tokens before it already, and no more may follow"
        ))
        .fix("send an earlier token of the actor"),
        DelegationError::NoToken => at_token("an API key is no actor token"),
    }
}
