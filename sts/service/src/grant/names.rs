//! The names that every token request may have: account, target, scope and lifetime.

use sts_policy::RequestedNames;
use sts_types::Lifetime;
use sts_types::rfc::parameter;

use crate::parameters::Parameters;
use crate::reason::{Reason, RefusedError};

/// The parameters that all grants share.
pub(crate) struct TokenRequest<'a> {
    pub(crate) audience: Vec<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    /// Whether `client_id` must be the account.
    pub(crate) client_is_account: bool,
    pub(crate) lifetime: Option<Lifetime>,
}

impl<'a> TokenRequest<'a> {
    /// Checks the shape.
    ///
    /// # Errors
    /// `request_malformed`.
    pub(super) fn parse(parameters: &'a Parameters<'_>) -> Result<Self, RefusedError> {
        let not_whole = || {
            let rule = "`expires_in` is not a whole number of seconds, 1 or more";
            RefusedError::because(Reason::RequestMalformed, rule)
        };
        let lifetime = match parameters.one(parameter::EXPIRES_IN)? {
            None => None,
            Some(text) => Some(whole_seconds(text).ok_or_else(not_whole)?),
        };
        Ok(Self {
            audience: parameters.all(parameter::AUDIENCE).map(str::to_owned).collect(),
            resource: parameters.all(parameter::RESOURCE).map(str::to_owned).collect(),
            scope: parameters.one(parameter::SCOPE)?,
            client_id: parameters.one(parameter::CLIENT_ID)?,
            client_is_account: false,
            lifetime,
        })
    }

    /// The form that the rules take.
    pub(super) fn as_requested(&self) -> RequestedNames<'_> {
        RequestedNames {
            audience: &self.audience,
            resource: &self.resource,
            scope: self.scope,
            client_id: self.client_id,
            client_is_account: self.client_is_account,
            lifetime: self.lifetime,
        }
    }
}

/// Digits only. A number beyond 32 bits becomes the largest lifetime, which is the same as no wish,
/// because the parameter can only shorten the lifetime.
fn whole_seconds(text: &str) -> Option<Lifetime> {
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Lifetime::from_secs(text.parse::<u32>().unwrap_or(u32::MAX))
}
