//! Diagnoses each kind of refusal.

use super::candidate::Candidate;
use super::{mismatch, names, target};
use crate::finding::quoted;
use crate::identity::Identity;
use crate::resolve::RequestedNames;
use crate::ruleset::{Account, RuleSet};
use crate::{
    Decision, Diagnosis, Facts, Grant, IdentityTrace, Outcome, Refusal, RequestError, Requested, RequestedAccount,
};

/// A refused request, with the rules and the decision.
#[derive(Clone, Copy)]
pub(super) struct Refused<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) facts: Facts<'a>,
    pub(super) asked: &'a RequestedNames<'a>,
    pub(super) requested: &'a Requested,
    pub(super) decision: &'a Decision,
}

impl RuleSet {
    /// Explains why `decision` refuses the request, and what would end that. `None` for a grant.
    #[must_use]
    pub fn diagnose(&self, facts: Facts<'_>, asked: &RequestedNames<'_>, decision: &Decision) -> Option<Diagnosis> {
        let Outcome::Refused(refusal) = &decision.outcome else { return None };
        let requested = match self.resolve(asked) {
            Ok(requested) => requested,
            Err(error) => return Some(diagnose_request(error, asked)),
        };
        let refused = Refused { rules: self, facts, asked, requested: &requested, decision };
        let diagnosis = match refusal {
            Refusal::NoSuchAccount => names::no_such_account(&refused),
            Refusal::AccountDisabled => refused.account_disabled(),
            Refusal::NoIdentityMatched if self.require_account && requested.account == RequestedAccount::Any => {
                refused.account_required()
            }
            Refusal::NoIdentityMatched => mismatch::no_identity_matched(&refused),
            Refusal::AmbiguousAccount => refused.ambiguous_account(),
            Refusal::TargetRequired => target::required(&refused),
            Refusal::TargetNotGranted => target::not_granted(&refused),
            Refusal::ScopeNotGranted => target::scope_not_granted(&refused),
        };
        Some(Diagnosis { reason: refusal.reason().into(), ..diagnosis })
    }
}

/// Explains why a request is invalid.
#[must_use]
pub fn diagnose_request(error: RequestError, asked: &RequestedNames<'_>) -> Diagnosis {
    let named = names::bare_names(asked);
    match error {
        RequestError::TwoAccounts => Diagnosis::new(
            "request_malformed",
            format!("`audience` names more than one service account: {}", names::list(named.iter().copied())),
        )
        .at("audience")
        .actual(named.join(" "))
        .expected("one service account")
        .fix("name one service account"),
    }
}

impl<'a> Refused<'a> {
    /// The grant that the same token gets for another request.
    pub(super) fn grant_for(&self, asked: &RequestedNames<'_>) -> Option<Grant> {
        self.grant_of(&self.rules.resolve(asked).ok()?)
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

    fn account_disabled(&self) -> Diagnosis {
        let Some(account) = self.account() else { return Diagnosis::default() };
        let (window, now) = (account.terms.window, self.facts.now);
        let title = quoted(account.granted.name.as_str());
        let found = match (window.enabled, window.not_before, window.not_after) {
            (false, ..) => Diagnosis::new("", format!("account {title} is disabled: `enabled` is false"))
                .at("enabled")
                .actual("false")
                .expected("true"),
            (true, Some(from), _) if now < from => {
                let from = mismatch::moment(from);
                let cause =
                    format!("account {title} begins at {from} (`not_before`), and it is {}", mismatch::moment(now));
                Diagnosis::new("", cause)
                    .at("not_before")
                    .actual(mismatch::moment(now))
                    .expected(format!("{from} or later"))
            }
            (true, _, until) => {
                let until = until.map_or_else(String::new, mismatch::moment);
                let cause =
                    format!("account {title} ended at {until} (`not_after`), and it is {}", mismatch::moment(now));
                Diagnosis::new("", cause)
                    .at("not_after")
                    .actual(mismatch::moment(now))
                    .expected(format!("before {until}"))
            }
        };
        let opened = |identity: &Identity| {
            let candidate = Candidate::new(self.rules, account, identity)?;
            let candidate = candidate.changed(|account| {
                account.enabled = true;
                account.not_before = account.not_before.filter(|from| *from <= now);
                account.not_after = account.not_after.filter(|until| now < *until);
            });
            candidate.holds(self.facts, self.asked).then_some(())
        };
        let fix = match found.claim.as_deref() {
            Some("not_before") => {
                let now = mismatch::moment(now);
                format!("write an earlier `not_before` ({now} at the latest) on the account {title}")
            }
            Some("not_after") => {
                let now = mismatch::moment(now);
                format!("write a later `not_after` (after {now}) on the account {title}")
            }
            _ => format!("write `enabled: true` on the account {title}"),
        };
        // Opening the account does not help if none of its identities accepts the token.
        if account.identities.iter().find_map(opened).is_some() {
            return found.fix(fix);
        }
        let cause = format!("{}; none of its identities would accept the token either", found.cause);
        Diagnosis { cause, ..found }
    }

    fn account_required(&self) -> Diagnosis {
        let found = Diagnosis::new("", "no account was named, and `tokens.require_account` is on")
            .at("audience")
            .expected("the name of a service account");
        // Without the search over all accounts, try each by name.
        let fits = |index: &usize| {
            let requested = Requested { account: RequestedAccount::Known(*index), ..self.requested.clone() };
            self.grant_of(&requested).is_some()
        };
        let candidates =
            self.decision.trace.iter().filter_map(|identity| self.rules.account_by_name.get(identity.account.as_str()));
        match candidates.copied().find(fits).and_then(|index| self.rules.account_name(index)) {
            Some(name) => found.fix(format!("name {} in `audience`", quoted(name.as_str()))),
            None => found.fix("name the account in `audience`"),
        }
    }

    fn ambiguous_account(&self) -> Diagnosis {
        let mut fitting: Vec<&str> = Vec::new();
        for identity in self.decision.trace.iter().filter(|identity| identity.covers == Some(true)) {
            if !fitting.contains(&identity.account.as_str()) {
                fitting.push(identity.account.as_str());
            }
        }
        let names = names::list(fitting.iter().copied());
        Diagnosis::new("", format!("more than one account fits ({names}), and none was named"))
            .at("audience")
            .actual(fitting.join(" "))
            .expected("the name of one service account")
            .fix(format!("name one of {names} in `audience`"))
    }
}
