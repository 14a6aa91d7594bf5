//! A client that authenticates by an API key (RFC 6749 section 4.4): in the header or in the body.

use sts_token::{StoredApiKey, VerifiedApiKey};
use sts_types::rfc::parameter;
use sts_types::{ApiKey, ScopeSet};

use super::proof_refusal::ApiKeyRefusal;
use super::{Grant, GrantRequest, ProofContext, ProofRefusal, TokenRequest, forbid_actor};
use crate::parameters::{BasicCredentials, Parameters};
use crate::phase::Phase;
use crate::reason::{Reason, RefusedError};

/// The message for wrong credentials, whatever is wrong with them.
const WRONG: &str = "the credentials are wrong: send the service account's name and one of its API keys";

/// Name and secret of a client.
pub(super) enum ClientSecret<'a> {
    Basic(&'a BasicCredentials),
    Body { client_id: &'a str, secret: &'a str },
}

/// Checks the shape of `grant_type=client_credentials` with a secret.
///
/// # Errors
/// `request_malformed`, or `invalid_client` without a name.
pub(super) fn client_secret<'a>(parameters: &'a Parameters<'_>) -> Result<GrantRequest<'a>, RefusedError> {
    forbid_actor(parameters)?;
    let names = TokenRequest::parse(parameters)?;
    let secret = match (parameters.basic(), parameters.one(parameter::CLIENT_SECRET)?) {
        (Some(basic), _) => ClientSecret::Basic(basic),
        (None, secret) => {
            let (Some(client_id), Some(secret)) = (names.client_id, secret) else {
                return Err(RefusedError::because(
                    Reason::InvalidClient,
                    "`client_secret` comes without `client_id`: name the service account",
                ));
            };
            ClientSecret::Body { client_id, secret }
        }
    };
    // Beside a header it may only repeat the name (RFC 6749 section 2.3).
    if let ClientSecret::Basic(readings) = &secret
        && names.client_id.is_some_and(|client_id| !readings.iter().any(|(name, _)| name == client_id))
    {
        let rule = "`client_id` and the user name of the Authorization header differ: send one of them";
        return Err(RefusedError::because(Reason::RequestMalformed, rule));
    }
    // The name was compared with the key's account by then, and names it.
    Ok(GrantRequest { grant: Grant::ApiKey(secret), names: TokenRequest { client_id: None, ..names } })
}

impl ClientSecret<'_> {
    /// Checks the key. The work is the same whatever is wrong, and the answer waits for its quantum
    /// from here.
    ///
    /// # Errors
    /// `invalid_client`.
    pub(super) fn prove(&self, context: &mut ProofContext<'_>) -> Result<VerifiedApiKey, RefusedError> {
        context.record.enter(Phase::Decide, context.clock);
        let verified = match self {
            // Both readings are always tried.
            Self::Basic([(name, secret), (decoded_name, decoded_secret)]) => {
                let sent = verify(context, name, secret);
                let decoded = verify(context, decoded_name, decoded_secret);
                sent.or(decoded)
            }
            Self::Body { client_id, secret } => verify(context, client_id, secret),
        };
        verified.map_err(|refusal| {
            context.record.proof_refusal = Some(ProofRefusal::ApiKey(refusal));
            RefusedError::because(Reason::InvalidClient, WRONG)
        })
    }
}

/// The key, if it is live, may be used from here, and is that of the account with that name or id.
fn verify(context: &ProofContext<'_>, name: &str, secret: &str) -> Result<VerifiedApiKey, ApiKeyRefusal> {
    let snapshot = context.snapshot;
    let presented = ApiKey::parse(secret);
    let entry = presented.as_ref().and_then(|key| snapshot.api_keys.find(key.id()));
    let account = entry.and_then(|entry| snapshot.rules.account(entry.account.as_str()));
    let scopes =
        entry.and_then(|entry| entry.scopes.as_ref()).map(|scopes| scopes.iter().cloned().collect::<ScopeSet>());
    let stored = entry.zip(account.as_ref()).map(|(entry, account)| StoredApiKey {
        secret_sha256: entry.secret_sha256,
        account: account.id,
        scopes: scopes.as_ref(),
        expires_at: entry.expires_at,
    });
    let verified = VerifiedApiKey::verify(presented.as_ref(), secret, stored.as_ref());
    // Each check is made, and the first that failed is told to the owner.
    let is_named = account.as_ref().is_some_and(|account| account.name.as_str() == name || account.id.as_str() == name);
    let is_live = entry.is_some_and(|entry| entry.is_live(context.clock.now()));
    let is_allowed = entry.is_some_and(|entry| match context.source {
        Some(address) => entry.allows(address),
        None => entry.allow_from.is_empty(),
    });
    let Some(presented) = presented else { return Err(ApiKeyRefusal::NoKey) };
    let id = presented.id().clone();
    match verified {
        None => Err(ApiKeyRefusal::Unknown(id)),
        Some(_) if !snapshot.api_keys_enabled => Err(ApiKeyRefusal::Disabled),
        Some(_) if !is_live => Err(ApiKeyRefusal::Expired(id)),
        Some(_) if !is_named => Err(ApiKeyRefusal::OtherAccount(id)),
        Some(_) if !is_allowed => Err(ApiKeyRefusal::Address(id)),
        Some(verified) => Ok(verified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(pairs: &[(&str, &str)], basic: Option<(&str, &str)>) -> Option<Reason> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut parameters = Parameters::new(pairs).unwrap();
        if let Some((name, secret)) = basic {
            let reading = || (name.to_owned(), zeroize::Zeroizing::new(secret.to_owned()));
            parameters.add_basic([reading(), reading()]);
        }
        GrantRequest::parse(&parameters).err().map(|refused| refused.reason)
    }

    #[test]
    fn o2_05_a_client_authenticates_in_one_way() {
        use Reason::{InvalidClient, RequestMalformed};
        let grant = ("grant_type", "client_credentials");
        let basic = Some(("octo", "x"));
        for (more, basic, expected) in [
            (&[][..], basic, None),
            (&[("client_id", "octo")], basic, None),
            (&[("client_id", "octo"), ("client_secret", "x")], None, None),
            (&[], None, Some(InvalidClient)),
            (&[("client_secret", "x")], None, Some(InvalidClient)),
            (&[("client_id", "octo")], None, Some(InvalidClient)),
            (&[("client_id", "other")], basic, Some(RequestMalformed)),
            (&[("client_id", "octo"), ("client_secret", "x")], basic, Some(RequestMalformed)),
            (&[("client_assertion", "x")], basic, Some(RequestMalformed)),
            (&[("client_id", "octo"), ("client_secret", "x"), ("client_assertion", "x")], None, Some(RequestMalformed)),
            (&[("actor_token", "x")], basic, Some(RequestMalformed)),
        ] {
            assert_eq!(reason(&[&[grant], more].concat(), basic), expected, "{more:?} {basic:?}");
        }
        for other in [super::super::GrantType::TokenExchange, super::super::GrantType::JwtBearer] {
            assert_eq!(reason(&[("grant_type", other.uri())], basic), Some(InvalidClient), "{other:?}");
        }
    }
}
