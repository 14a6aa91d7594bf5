//! Diagnoses each kind of refusal.

use super::candidate::Candidate;
use super::moment::rfc3339;
use super::refused::Refused;
use super::{mismatch, names, target};
use crate::finding::quoted;
use crate::identity::Identity;
use crate::resolve::RequestedNames;
use crate::ruleset::RuleSet;
use crate::{Decision, Diagnosis, Facts, Outcome, Refusal, RequestError, Requested, RequestedAccount};

impl RuleSet {
    /// Explains why `decision` refuses the request, and what would end that. `None` for a grant.
    #[must_use]
    pub fn diagnose(
        &self,
        facts: Facts<'_>,
        request_names: &RequestedNames<'_>,
        decision: &Decision,
    ) -> Option<Diagnosis> {
        let Outcome::Refused(refusal) = &decision.outcome else { return None };
        let requested = match self.resolve(request_names) {
            Ok(requested) => requested,
            Err(error) => return Some(diagnose_request(error, request_names)),
        };
        let refused = Refused { rules: self, facts, request_names, requested: &requested, decision };
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
pub fn diagnose_request(error: RequestError, request_names: &RequestedNames<'_>) -> Diagnosis {
    let named = names::bare_names(request_names);
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

impl Refused<'_> {
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
                let from = rfc3339(from);
                let cause = format!("account {title} begins at {from} (`not_before`), and it is {}", rfc3339(now));
                Diagnosis::new("", cause).at("not_before").actual(rfc3339(now)).expected(format!("{from} or later"))
            }
            (true, _, until) => {
                let until = until.map_or_else(String::new, rfc3339);
                let cause = format!("account {title} ended at {until} (`not_after`), and it is {}", rfc3339(now));
                Diagnosis::new("", cause).at("not_after").actual(rfc3339(now)).expected(format!("before {until}"))
            }
        };
        let opened = |identity: &Identity| {
            let candidate = Candidate::new(self.rules, &self.holdings(account), identity)?;
            let candidate = candidate.changed(|account| {
                account.enabled = true;
                account.not_before = account.not_before.filter(|from| *from <= now);
                account.not_after = account.not_after.filter(|until| now < *until);
            });
            candidate.holds(self.facts, self.request_names).then_some(())
        };
        let fix = match found.claim.as_deref() {
            Some("not_before") => {
                let now = rfc3339(now);
                format!("write an earlier `not_before` ({now} at the latest) on the account {title}")
            }
            Some("not_after") => {
                let now = rfc3339(now);
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
