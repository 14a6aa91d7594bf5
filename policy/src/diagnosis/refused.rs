//! A refused request, as the diagnosis looks at it.

use crate::account::Account;
use crate::external::Holdings;
use crate::finding::quoted;
use crate::identity::Identity;
use crate::resolve::RequestedNames;
use crate::ruleset::RuleSet;
use crate::{Decision, Facts, Grant, IdentityTrace, Outcome, Requested, RequestedAccount};

/// A refused request, with the rules and the decision.
#[derive(Clone, Copy)]
pub(super) struct Refused<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) facts: Facts<'a>,
    pub(super) request_names: &'a RequestedNames<'a>,
    pub(super) requested: &'a Requested,
    pub(super) decision: &'a Decision,
}

impl<'a> Refused<'a> {
    /// The grant that the same token gets for another request.
    pub(super) fn grant_for(&self, request_names: &RequestedNames<'_>) -> Option<Grant> {
        self.grant_of(&self.rules.resolve(request_names).ok()?)
    }

    pub(super) fn grant_of(&self, requested: &Requested) -> Option<Grant> {
        match self.rules.decide(self.facts, requested) {
            Outcome::Granted(grant) => Some(grant),
            Outcome::Refused(_) => None,
        }
    }

    /// The grant that the same request gets if it names no account.
    pub(super) fn grant_of_any(&self) -> Option<Grant> {
        self.grant_of(&Requested { account: RequestedAccount::Any, ..self.requested.clone() })
    }

    /// The account that the request names, if it exists.
    pub(super) fn account(&self) -> Option<&'a Account> {
        match self.requested.account {
            RequestedAccount::Known(index) => self.rules.accounts.get(index),
            RequestedAccount::Any | RequestedAccount::Nobody => None,
        }
    }

    /// What an account has as the token is judged.
    pub(super) fn holdings(&self, account: &'a Account) -> Holdings<'a> {
        self.rules.holdings_of(account, self.facts)
    }

    /// Names the account at the start of a sentence.
    pub(super) fn account_title(&self) -> String {
        let named = self.account().map(|account| format!("account {}", quoted(account.granted.name.as_str())));
        named.unwrap_or_else(|| "no account was named".to_owned())
    }

    /// The compiled identity of a trace.
    pub(super) fn identity(&self, trace: &IdentityTrace) -> Option<(&'a Account, &'a Identity)> {
        let account = self.rules.accounts.get(*self.rules.account_by_name.get(trace.account.as_str())?)?;
        Some((account, account.identities.iter().find(|identity| identity.name == trace.identity)?))
    }
}
