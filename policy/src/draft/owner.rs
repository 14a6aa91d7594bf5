//! Whether the owner of a token is one that an identity accepts.
//!
//! A name gets to somebody else once its owner gives it up. Only an exact id fixes an owner for good.

use sts_claims::{ClaimSet, Json};

use crate::IssuerSpec;
use crate::condition::Condition;
use crate::identity::{EvaluationContext, Identity};
use crate::pattern::Pattern;
use crate::preset::{OwnerGrammar, OwnerScope, OwnerText};

use super::{grammar, has_events, patterns};

/// The claims of one entry that name an owner.
pub(super) struct OwnerClaims<'a> {
    grammar: Option<&'static OwnerGrammar>,
    /// `owner_claims` of the entry. They count as ids.
    written: Vec<&'a str>,
    /// The variables of the issuer template that anybody may choose.
    open_variables: Vec<&'a str>,
    /// Whether each issuer of the entry has one owner, so that naming the issuer names the owner.
    has_sole_members: bool,
    ignores_case: bool,
}

/// What an identity says of the owner of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerMatch {
    /// It accepts tokens of this owner, and tells the owner by an id.
    ById,
    /// It accepts tokens of this owner, and tells the owner by a name that may get to somebody else.
    ByName,
    /// It accepts tokens of an owner of the same name and with another id.
    OtherOfThatName,
    /// It accepts tokens of another issuer of the family.
    OtherMember,
    /// It accepts tokens of other owners, or does not tell owners apart.
    Other,
}

/// What the conditions of an identity say of the token's owner. `None` where they say nothing.
#[derive(Default)]
struct Said {
    same_id: Option<bool>,
    same_name: Option<bool>,
    /// Whether something that the owner has, or belongs to, is the same by its id.
    same_beside_id: Option<bool>,
    same_beside_name: Option<bool>,
}

impl<'a> OwnerClaims<'a> {
    pub(super) fn of(issuer: &'a IssuerSpec) -> Self {
        let template = issuer.issuer.value.template();
        let is_shared_member = issuer.preset.is_some_and(|preset| preset.defaults().shared)
            || issuer.known.is_some_and(|known| known.shared_member)
            || !issuer.owner_claims.is_empty();
        Self {
            grammar: grammar(issuer),
            written: issuer.owner_claims.iter().map(|claim| bare(&claim.value)).collect(),
            open_variables: template.into_iter().flat_map(|template| template.open_variables()).collect(),
            has_sole_members: template.is_some() && !is_shared_member,
            ignores_case: has_events(issuer),
        }
    }

    pub(super) fn is_untold(&self) -> bool {
        self.grammar.is_none() && self.written.is_empty()
    }

    /// The claims that name the owner, and those that tell where the job runs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let known = self.grammar.into_iter().flat_map(|grammar| grammar.claims.iter().map(|(name, _)| *name));
        let ids = self.grammar.into_iter().flat_map(|grammar| grammar.ids.iter().copied());
        let places = self.grammar.into_iter().flat_map(|grammar| grammar.runs_in.iter().map(|(place, _)| *place));
        known.chain(ids).chain(places).chain(self.written.iter().copied())
    }

    /// The claim that tells what started a job, where somebody else's code may run.
    pub(super) fn source(&self) -> Option<&'static str> {
        self.grammar.filter(|grammar| !grammar.runs_in.is_empty()).map(|_| super::fork::SOURCE)
    }

    /// What `identity` says of the owner of the token.
    pub(super) fn compare(&self, identity: &Identity, context: &EvaluationContext<'_>) -> OwnerMatch {
        let on_variables = || identity.conditions.iter().filter(|condition| condition.on_variable);
        if on_variables().any(|condition| !condition.holds(context.variables)) {
            return OwnerMatch::OtherMember;
        }
        let is_fixed = |name: &&str| {
            on_variables().any(|condition| condition.path.as_str() == *name && condition.lists_exact_values())
        };
        if self.has_sole_members && !self.open_variables.is_empty() && self.open_variables.iter().all(is_fixed) {
            return OwnerMatch::ById;
        }
        let mut said = Said::default();
        for condition in identity.conditions.iter().filter(|condition| !condition.on_variable) {
            self.read(condition, context.claims, &mut said);
        }
        if let Some(subject) = &identity.subject {
            self.read_subjects(&[subject], context.claims, &mut said);
        }
        said.verdict(self.grammar.is_some_and(|grammar| !grammar.ids.is_empty()))
    }

    fn read(&self, condition: &Condition, claims: &ClaimSet, said: &mut Said) {
        let name = condition.claim_name();
        let is_name = |claim: &str| claim == name || claim == condition.path.as_str();
        let is_among = |list: &[&str]| list.iter().any(|claim| is_name(claim));
        let grammar = self.grammar;
        let is_id = is_among(&self.written) || grammar.is_some_and(|grammar| is_among(grammar.ids));
        let is_beside = grammar.is_some_and(|grammar| is_among(grammar.beside)) && !is_among(&self.written);
        if is_id || is_beside {
            // On a platform without ids, names are never reused.
            let by_id = is_id || grammar.is_some_and(|grammar| grammar.ids.is_empty());
            let place = match (is_beside, by_id) {
                (false, _) => &mut said.same_id,
                (true, true) => &mut said.same_beside_id,
                (true, false) => &mut said.same_beside_name,
            };
            match condition.holds(claims) {
                true if condition.lists_exact_values() => note(place, true),
                // A wildcard, or a value that is only excluded, fixes nothing.
                true => {}
                false => note(place, false),
            }
            return;
        }
        if condition.or_absent {
            return;
        }
        if name == "sub" {
            self.read_subjects(&patterns(condition).collect::<Vec<_>>(), claims, said);
        } else if let Some(text) = claims.find(&condition.path).and_then(Json::as_str) {
            let forms = grammar.into_iter().flat_map(|grammar| grammar.claims).filter(|(claim, _)| is_name(claim));
            for (_, form) in forms {
                let compared = patterns(condition).filter_map(|pattern| self.same_owner(*form, pattern, text));
                if let Some(is_same) = any(compared) {
                    note(&mut said.same_name, is_same);
                }
            }
        }
    }

    /// Reads the accepted subjects, one of which a token must have.
    fn read_subjects(&self, accepted: &[&Pattern], claims: &ClaimSet, said: &mut Said) {
        let (Some(grammar), Some(subject)) = (self.grammar, claims.text("sub")) else { return };
        let same_id = accepted.iter().filter_map(|pattern| {
            let id = (grammar.subject_owner_id)(pattern.literal_head())?;
            Some(token_owner_id(grammar, claims, subject) == Some(id))
        });
        if let Some(is_same) = any(same_id) {
            note(&mut said.same_id, is_same);
        }
        let same_name = accepted.iter().filter_map(|pattern| {
            if grammar.exact_subject && pattern.is_exact() && pattern.matches(subject) {
                return Some(true);
            }
            any(grammar.subjects.iter().filter_map(|form| self.same_owner(*form, pattern, subject)))
        });
        if let Some(is_same) = any(same_name) {
            note(&mut said.same_name, is_same);
        }
    }

    /// Whether `text` names the owner that `pattern` fixes. `None` if one of them names no owner in this
    /// form.
    fn same_owner(&self, form: OwnerText, pattern: &Pattern, text: &str) -> Option<bool> {
        if form.reach(pattern) != OwnerScope::OneOwner {
            return None;
        }
        let (wanted, owner) = form.owner(pattern.literal_head()).zip(form.owner(text))?;
        Some(if self.ignores_case { wanted.eq_ignore_ascii_case(owner) } else { wanted == owner })
    }

    /// Whether `condition` is on something that tells owners apart: a claim of the owner, the place where the
    /// job runs, the subject, or a variable of the issuer template.
    pub(super) fn is_about_owner(&self, condition: &Condition) -> bool {
        let (name, path) = (condition.claim_name(), condition.path.as_str());
        condition.on_variable || name == "sub" || self.names().any(|claim| claim == name || claim == path)
    }
}

impl Said {
    fn verdict(&self, has_ids: bool) -> OwnerMatch {
        let by_name = if has_ids { OwnerMatch::ByName } else { OwnerMatch::ById };
        match (self.same_id, self.same_name) {
            (Some(false), Some(true)) => OwnerMatch::OtherOfThatName,
            (Some(false), _) => OwnerMatch::Other,
            (Some(true), _) => OwnerMatch::ById,
            // A repository, for one, is handed over to another owner.
            (None, Some(false)) => OwnerMatch::Other,
            (None, _) if self.same_beside_id == Some(true) => OwnerMatch::ById,
            (None, Some(true)) if has_ids && self.same_beside_id == Some(false) => OwnerMatch::Other,
            (None, Some(true)) => by_name,
            (None, None) if self.same_beside_name == Some(true) => by_name,
            (None, None) => OwnerMatch::Other,
        }
    }
}

/// Every condition must hold, so one that says no decides.
fn note(said: &mut Option<bool>, is_same: bool) {
    *said = Some(said.unwrap_or(true) && is_same);
}

/// Whether one of several accepted values is the same. `None` if none of them says anything.
fn any(mut compared: impl Iterator<Item = bool>) -> Option<bool> {
    let first = compared.next()?;
    Some(first || compared.any(|is_same| is_same))
}

/// The owner's id in the token: that of its claim, or else that of its subject.
fn token_owner_id<'a>(grammar: &OwnerGrammar, claims: &'a ClaimSet, subject: &'a str) -> Option<&'a str> {
    let mut ids = grammar.ids.iter().filter(|id| !grammar.beside.contains(id));
    ids.find_map(|id| claims.text(id)).or_else(|| (grammar.subject_owner_id)(subject))
}

/// A pointer of one step counts as the claim's name.
fn bare(claim: &str) -> &str {
    claim.strip_prefix('/').filter(|rest| !rest.contains(['/', '~'])).unwrap_or(claim)
}
