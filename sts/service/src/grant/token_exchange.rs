//! Token exchange (RFC 8693): a platform's ID token, or a token of ours, for a token of ours.

use sts_token::CallerProof;
use sts_types::rfc::{self, parameter};

use super::id_token::IdToken;
use super::own_token::OwnTokenText;
use super::{Grant, GrantRequest, ProofContext, TokenRequest};
use crate::Snapshot;
use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};

/// The tokens of an exchange.
pub(super) struct TokenExchange<'a> {
    subject: TypedToken<'a>,
    actor: Option<TypedToken<'a>>,
}

/// A token, with the type that the request says it has. Each type has its own verifier, so a token
/// that is sent as another type than it has is refused.
enum TypedToken<'a> {
    IdToken(IdToken<'a>),
    Own(OwnTokenText<'a>),
}

impl<'a> TypedToken<'a> {
    fn read(parameters: &'a Parameters<'_>, name: &str, type_name: &str) -> Result<Self, RefusedError> {
        match parameters.one(type_name)? {
            None => Err(RefusedError::on_parameter(type_name, "is missing")),
            Some(rfc::TOKEN_TYPE_JWT | rfc::TOKEN_TYPE_ID_TOKEN) => IdToken::read(parameters, name).map(Self::IdToken),
            // How long it may be is the limit of what we mint.
            Some(rfc::TOKEN_TYPE_ACCESS_TOKEN) => {
                Ok(Self::Own(OwnTokenText(parameters.one(name)?.unwrap_or_default())))
            }
            Some(_) => Err(RefusedError::on_parameter(
                type_name,
                "is none of urn:ietf:params:oauth:token-type:id_token, urn:ietf:params:oauth:token-type:jwt and urn:ietf:params:oauth:token-type:access_token",
            )),
        }
    }

    async fn prove(&self, context: &mut ProofContext<'_>) -> Result<CallerProof, RefusedError> {
        match self {
            Self::IdToken(token) => token.prove(context).await.map(CallerProof::Federated),
            Self::Own(token) => token.prove(context).await.map(CallerProof::Own),
        }
    }
}

/// Checks the request's shape (RFC 8693 section 2.1).
///
/// # Errors
/// `request_malformed`, or `token_malformed` for a token over the limit.
pub(super) fn parse<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    IdToken::require(parameters, parameter::SUBJECT_TOKEN)?;
    let subject = TypedToken::read(parameters, parameter::SUBJECT_TOKEN, parameter::SUBJECT_TOKEN_TYPE);
    // A token over the limit is told after the whole shape.
    if let Err(refused) = &subject
        && refused.reason == Reason::RequestMalformed
    {
        return Err(refused.clone());
    }
    let actor = match (parameters.has(parameter::ACTOR_TOKEN), parameters.has(parameter::ACTOR_TOKEN_TYPE)) {
        (false, false) => None,
        (false, true) => {
            IdToken::require(parameters, parameter::ACTOR_TOKEN)?;
            None
        }
        (true, _) => Some(TypedToken::read(parameters, parameter::ACTOR_TOKEN, parameter::ACTOR_TOKEN_TYPE)?),
    };
    // One token shows one party, even if several accounts accept it.
    if actor.is_some() && parameters.one(parameter::ACTOR_TOKEN)? == parameters.one(parameter::SUBJECT_TOKEN)? {
        return Err(RefusedError::on_parameter(
            parameter::ACTOR_TOKEN,
            "is the subject token: send the token of who acts, or none",
        ));
    }
    match parameters.one(parameter::REQUESTED_TOKEN_TYPE)? {
        None | Some(rfc::TOKEN_TYPE_ACCESS_TOKEN | rfc::TOKEN_TYPE_JWT) => {}
        Some(_) => {
            return Err(RefusedError::on_parameter(
                parameter::REQUESTED_TOKEN_TYPE,
                "is not urn:ietf:params:oauth:token-type:access_token",
            ));
        }
    }
    let names = TokenRequest::parse(parameters)?;
    Ok(GrantRequest { grant: Grant::TokenExchange(TokenExchange { subject: subject?, actor }), names })
}

impl TokenExchange<'_> {
    /// Verifies the subject token.
    pub(super) async fn prove(&self, context: &mut ProofContext<'_>) -> Result<CallerProof, RefusedError> {
        self.subject.prove(context).await
    }

    /// Verifies the actor's token, if there is one.
    pub(super) async fn prove_actor(
        &self,
        context: &mut ProofContext<'_>,
    ) -> Result<Option<CallerProof>, RefusedError> {
        let Some(actor) = &self.actor else { return Ok(None) };
        let entry_of_subject = context.record.progress.entry().cloned();
        context.record.is_at_actor = true;
        let proof = actor.prove(context).await.map_err(of_actor)?;
        context.record.is_at_actor = false;
        context.record.progress.return_to(entry_of_subject);
        Ok(Some(proof))
    }

    /// Caches an ID token that was granted something.
    pub(super) fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        if let TypedToken::IdToken(subject) = &self.subject {
            subject.granted(snapshot, proof);
        }
    }
}

/// The same refusal, about the actor's token. What withholds its cause stays as it is.
pub(super) fn of_actor(refused: RefusedError) -> RefusedError {
    if refused.reason == Reason::NotAuthorized || refused.retry_after.is_some() {
        return refused;
    }
    let text = refused.text().replace("subject token", "actor token");
    RefusedError { detail: Some(format!("`actor_token`: {text}").into()), ..refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<(), RefusedError> {
        let base = [
            ("grant_type", rfc::GRANT_TOKEN_EXCHANGE),
            ("subject_token", "t"),
            ("subject_token_type", rfc::TOKEN_TYPE_JWT),
        ];
        let overridden = |name: &str| pairs.iter().any(|(own, _)| *own == name);
        let all = base.iter().filter(|(name, _)| !overridden(name)).chain(pairs);
        let pairs = all.filter(|(_, value)| *value != "<none>").map(|(n, v)| ((*n).into(), (*v).into())).collect();
        GrantRequest::parse(&Parameters::new(pairs)?).map(|_| ())
    }

    fn reason(pairs: &[(&str, &str)]) -> Option<Reason> {
        parse(pairs).err().map(|refused| refused.reason)
    }

    #[test]
    fn tx01_to_tx05_the_shape_of_a_request() {
        use Reason::{GrantUnsupported, InvalidClient, RequestMalformed};
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<Reason>);
        let cases: &[Case<'_>] = &[
            (&[], None),
            (&[("grant_type", "<none>")], Some(RequestMalformed)),
            (&[("grant_type", "")], Some(RequestMalformed)),
            (&[("grant_type", "password")], Some(GrantUnsupported)),
            (&[("subject_token", "")], Some(RequestMalformed)),
            (&[("subject_token_type", "<none>")], Some(RequestMalformed)),
            (&[("subject_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN)], None),
            (&[("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token")], Some(RequestMalformed)),
            (&[("subject_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN), ("subject_token", "")], Some(RequestMalformed)),
            (&[("subject_token_type", rfc::TOKEN_TYPE_ID_TOKEN)], None),
            (&[("actor_token", "x")], Some(RequestMalformed)),
            (&[("actor_token_type", rfc::TOKEN_TYPE_JWT)], Some(RequestMalformed)),
            (&[("actor_token", "x"), ("actor_token_type", rfc::TOKEN_TYPE_ID_TOKEN)], None),
            (&[("actor_token", "x"), ("actor_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN)], None),
            (
                &[("actor_token", "x"), ("actor_token_type", "urn:ietf:params:oauth:token-type:saml2")],
                Some(RequestMalformed),
            ),
            (&[("actor_token", ""), ("actor_token_type", rfc::TOKEN_TYPE_JWT)], Some(RequestMalformed)),
            (&[("actor_token", "t"), ("actor_token_type", rfc::TOKEN_TYPE_ID_TOKEN)], Some(RequestMalformed)),
            (&[("actor_token", "")], None),
            (&[("requested_token_type", rfc::TOKEN_TYPE_JWT)], None),
            (&[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")], Some(RequestMalformed)),
            (&[("client_secret", "x")], Some(InvalidClient)),
            (&[("client_assertion", "x")], Some(InvalidClient)),
            (&[("whatever", "x")], None),
            (&[("whatever", "x"), ("whatever", "x")], Some(RequestMalformed)),
            (&[("scope", "a"), ("scope", "")], Some(RequestMalformed)),
            (&[("audience", "a"), ("audience", "b"), ("resource", "c"), ("resource", "d")], None),
            (&[("expires_in", "60")], None),
            (&[("expires_in", "99999999999999999999")], None),
            (&[("expires_in", "0")], Some(RequestMalformed)),
            (&[("expires_in", "-1")], Some(RequestMalformed)),
            (&[("expires_in", "1.5")], Some(RequestMalformed)),
            (&[("expires_in", "+1")], Some(RequestMalformed)),
        ];
        for (pairs, expected) in cases {
            assert_eq!(reason(pairs), *expected, "{pairs:?}");
        }
    }
}
