//! Resolves the names of a request to an account, an API and scopes.

use sts_types::{Lifetime, Scope, ScopeSet};

use crate::ruleset::RuleSet;
use crate::{RequestError, Requested, RequestedAccount, RequestedTarget};

/// The names in a request, before they are resolved. Empty values count as omitted (RFC 6749
/// section 3.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedNames<'a> {
    /// Values of the `audience` parameter.
    pub audience: &'a [String],
    /// Values of the `resource` parameter.
    pub resource: &'a [String],
    /// The `scope` parameter.
    pub scope: Option<&'a str>,
    /// The `client_id` parameter.
    pub client_id: Option<&'a str>,
    /// Whether `client_id` names the account, as it does for a client that authenticates. Otherwise
    /// it counts only if it is an account's name and no `audience` names one.
    pub client_is_account: bool,
    /// The lifetime of the `expires_in` parameter.
    pub lifetime: Option<Lifetime>,
}

impl RuleSet {
    /// Resolves the names of a request. A target that cannot be granted becomes
    /// [`RequestedTarget::Refused`] rather than an error, so that only a caller with a matching
    /// identity learns about it.
    ///
    /// # Errors
    /// If the request names two accounts.
    pub fn resolve(&self, request_names: &RequestedNames<'_>) -> Result<Requested, RequestError> {
        let mut account = RequestedAccount::Any;
        let mut target = RequestedTarget::Default;
        let names = request_names.audience.iter().enumerate().filter(|(_, name)| !name.is_empty());
        // Repeated values count once, whether the name exists or not. Otherwise a stranger could
        // tell the two apart, because two unknown names are an error and a known name twice is not.
        for (_, name) in
            names.filter(|(index, name)| !request_names.audience.iter().take(*index).any(|before| before == *name))
        {
            match self.classify(name) {
                NameKind::Account(named) => name_account(&mut account, named)?,
                NameKind::Target(named) => name_target(&mut target, named),
            }
        }
        for uri in request_names.resource.iter().map(String::as_str).filter(|uri| !uri.is_empty()) {
            // RFC 8693 section 2.1: an absolute URI without fragment. No other text names an API.
            let well_formed = uri.contains(':') && !uri.contains('#');
            let api = self.api_by_audience.get(uri).filter(|_| well_formed);
            name_target(&mut target, api.map_or(RequestedTarget::Refused, |index| RequestedTarget::Api(*index)));
        }
        if let Some(client) =
            request_names.client_id.filter(|client| request_names.client_is_account && !client.is_empty())
        {
            let named = self.account_by_name.get(client);
            name_account(
                &mut account,
                named.map_or(RequestedAccount::Nobody, |index| RequestedAccount::Known(*index)),
            )?;
        } else if account == RequestedAccount::Any
            && let Some(index) = request_names.client_id.and_then(|name| self.account_by_name.get(name))
        {
            account = RequestedAccount::Known(*index);
        }
        let (scopes, unknown_scope) = self.scopes(request_names.scope.unwrap_or_default());
        Ok(Requested { account, target, scopes, unknown_scope, lifetime: request_names.lifetime })
    }

    /// Whether a request names more than one API. Other faults of the request do not matter here.
    #[must_use]
    pub fn names_several_targets(&self, request_names: &RequestedNames<'_>) -> bool {
        let of_audience = request_names.audience.iter().map(String::as_str).filter(|name| !name.is_empty());
        let of_audience = of_audience.filter(|name| matches!(self.classify(name), NameKind::Target(_)));
        let api = |name: &str| self.api_by_name.get(name).or_else(|| self.api_by_audience.get(name)).copied();
        let of_resource = request_names.resource.iter().map(String::as_str).filter(|uri| !uri.is_empty());
        let mut named = of_audience.chain(of_resource).map(|name| api(name).ok_or(name));
        let first = named.next();
        first.is_some_and(|first| named.any(|other| other != first))
    }

    /// Tells whether a value of `audience` names an account or an API. An unknown name without `:`
    /// and `/` counts as an account that does not exist.
    fn classify(&self, name: &str) -> NameKind {
        if let Some(index) = self.account_by_name.get(name) {
            return NameKind::Account(RequestedAccount::Known(*index));
        }
        match self.api_by_name.get(name).or_else(|| self.api_by_audience.get(name)) {
            Some(index) => NameKind::Target(RequestedTarget::Api(*index)),
            None if name.contains([':', '/']) => NameKind::Target(RequestedTarget::Refused),
            None => NameKind::Account(RequestedAccount::Nobody),
        }
    }

    /// The requested scopes that some API declares, and whether others were requested, too.
    fn scopes(&self, text: &str) -> (Option<ScopeSet>, bool) {
        let mut declared = ScopeSet::default();
        let mut unknown = false;
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            match self.declared_scopes.get(part) {
                _ if self.ignore_scopes.iter().any(|ignored| ignored.as_str() == part) => {}
                Some(scope) => declared.insert(Scope::clone(scope)),
                None => unknown = true,
            }
        }
        let scopes = (!declared.is_empty()).then_some(declared);
        (scopes, unknown)
    }
}

enum NameKind {
    Account(RequestedAccount),
    Target(RequestedTarget),
}

fn name_account(account: &mut RequestedAccount, named: RequestedAccount) -> Result<(), RequestError> {
    // The username and the id of one account name one account. Two unknown names are two accounts.
    match *account {
        RequestedAccount::Any => *account = named,
        RequestedAccount::Known(_) if *account == named => {}
        _ => return Err(RequestError::TwoAccounts),
    }
    Ok(())
}

fn name_target(target: &mut RequestedTarget, named: RequestedTarget) {
    *target = match *target {
        RequestedTarget::Default => named,
        current if current == named => named,
        _ => RequestedTarget::Refused,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn named(
        audience: &[&str],
        resource: &[&str],
        client_id: Option<&str>,
    ) -> Result<(RequestedAccount, RequestedTarget), RequestError> {
        let rules = rules(&spec(vec![with_id(account("octo", vec![]), UUID), account("other", vec![])]));
        let (audience, resource) = (words(audience), words(resource));
        let asked = RequestedNames { audience: &audience, resource: &resource, client_id, ..RequestedNames::default() };
        rules.resolve(&asked).map(|requested| (requested.account, requested.target))
    }

    #[test]
    fn a_value_names_an_account_or_an_api() {
        use RequestedAccount::{Any, Known, Nobody};
        use RequestedTarget::{Api, Default, Refused};
        let deploy = "https://deploy.example.com";
        for (audience, resource, client_id, wanted) in [
            (&[][..], &[][..], None, (Any, Default)),
            (&["", ""], &[""], Some(""), (Any, Default)),
            (&["octo"], &[], None, (Known(0), Default)),
            (&[UUID], &[], None, (Known(0), Default)),
            (&["octo", UUID, "octo"], &[], None, (Known(0), Default)),
            (&["nobody"], &[], None, (Nobody, Default)),
            (&["OCTO"], &[], None, (Nobody, Default)),
            (&["nobody", "nobody"], &[], None, (Nobody, Default)),
            (&["nobody"], &[], Some("octo"), (Nobody, Default)),
            (&["deploy"], &[], None, (Any, Api(1))),
            (&[deploy], &[deploy], None, (Any, Api(1))),
            (&["deploy", "octo"], &[deploy], None, (Known(0), Api(1))),
            (&["deploy", "logs"], &[], None, (Any, Refused)),
            (&["deploy"], &["https://logs.example.com"], None, (Any, Refused)),
            (&["deploy", "https://nowhere.example"], &[], None, (Any, Refused)),
            (&["sts"], &[], None, (Any, Api(0))),
            (&[OURS], &[], None, (Any, Api(0))),
            // `resource` is always the URI of an API, never a name.
            (&[], &["deploy"], None, (Any, Refused)),
            (&[], &["octo"], None, (Any, Refused)),
            (&[], &["/deploy"], None, (Any, Refused)),
            (&[], &["https://deploy.example.com#a"], None, (Any, Refused)),
            (&["deploy"], &[], Some("octo"), (Known(0), Api(1))),
            (&[], &[], Some(UUID), (Known(0), Default)),
            (&["other"], &[], Some("octo"), (Known(1), Default)),
            (&[], &[], Some("my-client"), (Any, Default)),
            (&[], &[], Some("deploy"), (Any, Default)),
        ] {
            assert_eq!(named(audience, resource, client_id), Ok(wanted), "{audience:?} {resource:?} {client_id:?}");
        }
    }

    #[test]
    fn a_client_that_authenticates_is_an_account_or_nobody() {
        use RequestedAccount::{Any, Known, Nobody};
        let rules = rules(&spec(vec![with_id(account("octo", vec![]), UUID), account("other", vec![])]));
        let named = |audience: &[&str], client_id: &str| {
            let audience = words(audience);
            let client_id = Some(client_id);
            let asked =
                RequestedNames { audience: &audience, client_id, client_is_account: true, ..Default::default() };
            rules.resolve(&asked).map(|requested| requested.account)
        };
        for (audience, client_id, wanted) in [
            (&[][..], "octo", Ok(Known(0))),
            (&[], UUID, Ok(Known(0))),
            (&["octo"], UUID, Ok(Known(0))),
            (&["deploy"], "octo", Ok(Known(0))),
            (&[], "", Ok(Any)),
            (&["octo"], "", Ok(Known(0))),
            (&[], "nobody", Ok(Nobody)),
            (&[], "deploy", Ok(Nobody)),
            (&[], "https://deploy.example.com", Ok(Nobody)),
            (&["octo"], "other", Err(RequestError::TwoAccounts)),
            (&["octo"], "nobody", Err(RequestError::TwoAccounts)),
        ] {
            assert_eq!(named(audience, client_id), wanted, "{audience:?} {client_id}");
        }
    }

    #[test]
    fn c082_a_resource_is_absolute_and_has_no_fragment_even_where_an_api_is_called_so() {
        let mut spec = spec(vec![]);
        for (name, audience) in [("a", "https://x.example#a"), ("b", "/relative"), ("c", "urn:example:c")] {
            let audience = at(sts_types::Audience::new(audience).unwrap());
            spec.apis.push(crate::ApiSpec { audience, ..api(name, &[]) });
        }
        let rules = rules(&spec);
        let target = |uri: &str| {
            rules.resolve(&RequestedNames { resource: &words(&[uri]), ..RequestedNames::default() }).unwrap().target
        };
        assert_eq!(target("https://x.example#a"), RequestedTarget::Refused);
        assert_eq!(target("/relative"), RequestedTarget::Refused);
        assert_eq!(target("urn:example:c"), RequestedTarget::Api(5));
    }

    #[test]
    fn two_accounts_are_no_request() {
        for audience in [&["octo", "other"][..], &["octo", "nobody"], &["nobody", "octo"], &["nobody", "noone"]] {
            assert_eq!(named(audience, &[], None), Err(RequestError::TwoAccounts), "{audience:?}");
        }
    }
}
