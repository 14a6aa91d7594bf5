//! Diagnoses a refusal because no identity matched: finds the nearest one, its failed conditions,
//! and a change that would make it match.

use serde_json::Value;
use sts_claims::{ClaimPath, ClaimSet, Json};
use sts_types::Located;

use super::candidate::{Candidate, identity_of};
use super::moment::rfc3339;
use super::refused::Refused;
use super::{difference, expression, names};
use crate::account::Account;
use crate::condition::{Condition, Matcher, Test};
use crate::evaluate::cover;
use crate::finding::quoted;
use crate::identity::{Check, ConditionCache, EvaluationContext, Identity};
use crate::pattern::Pattern;
use crate::{AccountSpec, ConditionSpec, ConditionTrace, Diagnosis, IdentityTrace, Preset, ScalarSpec};

/// Most failed conditions in the first line.
const MAX_SHOWN: usize = 4;

/// No identity of the account, or of any account, matches the token.
pub(super) fn no_identity_matched(refused: &Refused<'_>) -> Diagnosis {
    let account = refused.account_title();
    let Some(nearest) = refused.decision.trace.first() else { return nobody(refused) };
    let Some((own_account, identity)) = refused.identity(nearest) else { return Diagnosis::default() };
    let variables = refused.rules.variables(refused.facts);
    let memo = ConditionCache::default();
    let context = refused.rules.context(refused.facts, &variables, &memo);
    let mut failed: Vec<Failed<'_>> = identity
        .checks(&own_account.terms.window)
        .into_iter()
        .zip(&nearest.conditions)
        .filter(|(_, trace)| !trace.holds)
        .map(|(check, trace)| Failed {
            check,
            trace,
            preset: identity.nearest_rule(&context).and_then(|rule| rule.preset),
        })
        .collect();
    // The event changes other claims, too. If it is refused, it is their cause, so it comes first.
    failed.sort_by_key(|failure| !matches!(failure.check, Check::Event));
    let Some(first) = failed.first() else { return Diagnosis::default() };
    let shown: Vec<String> = failed.iter().take(MAX_SHOWN).map(Failed::comparison).collect();
    let more = match failed.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        1 => ", and one more condition fails".to_owned(),
        more => format!(", and {more} more conditions fail"),
    };
    let note = failed.iter().find_map(|failure| failure.note(refused.facts.claims));
    let note = note.map_or(String::new(), |note| format!(" ({note})"));
    let cause =
        format!("{account}; the nearest identity is {}: {}{more}{note}", super::title(nearest), shown.join(", and "));
    let found = Diagnosis::new("", cause).at(&*first.trace.on).expected(first.expected()).actual(first.actual());
    let fixer = Fixer { refused, account: own_account, identity, nearest, context: &context };
    match fixer.fix(&failed) {
        Some(fix) => found.fix(fix),
        None => found,
    }
}

/// There is no identity at all.
fn nobody(refused: &Refused<'_>) -> Diagnosis {
    let entry = refused.facts.entry.as_str();
    let cause = match refused.account() {
        Some(_) => format!("{}; it has no identity", refused.account_title()),
        None => format!("no account was named; no identity accepts tokens of issuer entry {}", quoted(entry)),
    };
    let found = Diagnosis::new("", cause);
    let found = found.at("identities").actual("none").expected(format!("an identity with `issuer: {entry}`"));
    match refused.account() {
        Some(_) => found.fix(format!("add an identity with `issuer: {entry}` that fits this token to the account")),
        None => found.fix(format!("add an identity with `issuer: {entry}` to the account that this token is to get")),
    }
}

/// A failed check.
struct Failed<'a> {
    check: Check<'a>,
    trace: &'a ConditionTrace,
    preset: Option<Preset>,
}

impl Failed<'_> {
    fn comparison(&self) -> String {
        let (on, expected, actual) = (quoted(&self.trace.on), self.expected(), self.actual());
        match self.check {
            Check::Event if self.trace.actual.is_none() => {
                "the token has no `event_name`, and its `sub` is that of a pull request, which strangers can open"
                    .to_owned()
            }
            Check::Event => {
                format!(
                    "{on} is {actual}, which strangers can cause: only an identity that names `event_name` accepts it"
                )
            }
            Check::Enabled(of, _) => format!("the {of} is disabled: {on} is {actual}, expected {expected}"),
            Check::NotBefore(of, from) => {
                format!("the {of} begins at {} ({on}), and it is {actual}", rfc3339(from))
            }
            Check::NotAfter(of, until) => {
                format!("the {of} ended at {} ({on}), and it is {actual}", rfc3339(until))
            }
            Check::Issuer | Check::Subject(_) | Check::Audience | Check::Claim(_) => {
                let hint = self.trace.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
                format!("{on} is {actual}, expected {expected}{hint}")
            }
        }
    }

    fn expected(&self) -> String {
        match self.check {
            // The trace has the whole list.
            Check::Event => "an event that takes write access, such as \"push\"".to_owned(),
            Check::Enabled(..) => "true".to_owned(),
            _ => super::shown(&self.trace.expected),
        }
    }

    fn actual(&self) -> String {
        match self.check {
            Check::Enabled(..) => "false".to_owned(),
            _ => self.trace.actual.as_deref().unwrap_or("absent").to_owned(),
        }
    }

    /// A hint about the token: another claim has the expected value, or nearly the expected name.
    fn note(&self, claims: &ClaimSet) -> Option<String> {
        let Check::Claim(condition) = self.check else { return None };
        if condition.on_variable {
            return None;
        }
        if let Some(place) = self.elsewhere(claims) {
            return Some(format!("the token has the value as {}", quoted(&place)));
        }
        let callee = |wanted: &Pattern| {
            let place = claims
                .text("job_workflow_ref")
                .is_some_and(|text| text.starts_with(&format!("{}/", wanted.literal_head())));
            wanted.is_exact() && place && condition.path.as_str() == "repository"
        };
        if patterns(condition).any(callee) {
            let text = "that is the repository of the reusable workflow, which `job_workflow_ref` names; `repository` is the caller's";
            return Some(text.to_owned());
        }
        if claims.find(&condition.path).is_some() {
            return None;
        }
        let is_null = claims.member(condition.path.as_str()).is_some_and(Json::is_null);
        if is_null {
            return Some(format!("the token's {} is null, which counts as absent", quoted(condition.path.as_str())));
        }
        let (name, _) = names::nearest(condition.path.as_str(), claims.members().map(|(name, _)| name))?;
        if self.is_sent_by_platform(condition) {
            return None;
        }
        Some(format!("the token has a claim {}", quoted(name)))
    }

    /// Another claim with the expected value. `None` if the platform sends the named claim, so that
    /// the rule did not misname it.
    fn elsewhere(&self, claims: &ClaimSet) -> Option<String> {
        let Check::Claim(condition) = self.check else { return None };
        elsewhere(condition, claims).filter(|_| !self.is_sent_by_platform(condition))
    }

    /// Whether the platform's tokens have a claim of this name.
    fn is_sent_by_platform(&self, condition: &Condition) -> bool {
        self.preset.is_some_and(|preset| preset.sample().contains_key(condition.path.as_str()))
    }

    /// What the token must have, as the end of "present a token ...".
    fn wanted(&self) -> Option<String> {
        let expected = &self.trace.expected;
        match self.check {
            Check::Subject(pattern) => Some(format!("whose `sub` {} {expected}", is_or_matches(&[pattern]))),
            Check::Audience => Some(format!("whose `aud` is {expected}")),
            Check::Claim(condition) => {
                let on = quoted(&self.trace.on);
                Some(match condition.tests.as_slice() {
                    [Test::Present(false)] => format!("without {on}"),
                    [Test::Present(true)] => format!("with {on}"),
                    _ => {
                        let patterns: Vec<&Pattern> = patterns(condition).collect();
                        format!("whose {on} {} {expected}", is_or_matches(&patterns))
                    }
                })
            }
            Check::Event => None,
            Check::Issuer | Check::Enabled(..) | Check::NotBefore(..) | Check::NotAfter(..) => None,
        }
    }

    /// How the caller makes the platform send it.
    fn how(&self) -> Option<String> {
        let preset = self.preset?;
        let example = match self.check {
            Check::Subject(pattern) if pattern.is_exact() => pattern.example(),
            Check::Claim(condition) if condition.is_exact() => condition.example()?,
            Check::Audience => return preset.audience_setting().map(str::to_owned),
            _ => return None,
        };
        let actual = self.trace.actual.as_deref().and_then(|text| serde_json::from_str::<String>(text).ok());
        preset.how_to_send(&self.trace.on, &example, actual.as_deref())
    }

    /// Whether the expected value is the end of the token's.
    fn is_end_of_actual(&self) -> bool {
        let wanted = match self.check {
            Check::Subject(pattern) => Some(pattern),
            Check::Claim(condition) => patterns(condition).next(),
            _ => None,
        };
        let actual = self.trace.actual.as_deref().and_then(|text| serde_json::from_str::<String>(text).ok());
        wanted
            .zip(actual)
            .is_some_and(|(pattern, actual)| pattern.is_exact() && actual.ends_with(pattern.literal_head()))
    }

    /// Whether the rule lists exact values.
    fn is_exact(&self) -> bool {
        match self.check {
            Check::Subject(pattern) => pattern.is_exact(),
            Check::Claim(condition) => condition.is_exact(),
            _ => true,
        }
    }

    /// The form in which the platform sends the claim, if the rule has one that no token has.
    fn form(&self) -> Option<&'static str> {
        let wanted: Vec<&Pattern> = match self.check {
            Check::Subject(pattern) => vec![pattern],
            Check::Claim(condition) => patterns(condition).collect(),
            Check::Audience => {
                return self.preset?.form_of_audience(&self.trace.expected, self.trace.actual.as_deref()?);
            }
            _ => return None,
        };
        if wanted.iter().any(|pattern| expression::is_one(pattern)) && self.trace.is_spelling {
            return Some("a pattern (`*`, `**`, `?`) or a list of them");
        }
        let preset = self.preset?;
        let form =
            |pattern: &&Pattern| preset.form_of(&self.trace.on, pattern.literal_head()).filter(|_| pattern.is_exact());
        // One value in the right form is enough for a token to match.
        if wanted.iter().all(|pattern| form(pattern).is_some()) { wanted.first().and_then(form) } else { None }
    }
}

fn is_or_matches(patterns: &[&Pattern]) -> &'static str {
    if patterns.iter().all(|pattern| pattern.is_exact()) { "is" } else { "matches" }
}

fn patterns(condition: &Condition) -> impl Iterator<Item = &Pattern> {
    let matchers = condition.tests.iter().flat_map(|test| match test {
        Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.as_slice(),
        Test::NoneOf(_) | Test::Regex(_) | Test::Present(_) => &[],
    });
    matchers.filter_map(Matcher::pattern)
}

/// Another claim of the token that meets the condition.
fn elsewhere(condition: &Condition, claims: &ClaimSet) -> Option<String> {
    // A match with a broad condition, or with one letter, would be chance.
    let is_telling = condition.is_exact() && patterns(condition).any(|pattern| pattern.literal_head().len() > 1);
    if !is_telling {
        return None;
    }
    let fits = |value: Json<'_>| {
        condition.tests.iter().all(|test| match test {
            Test::AnyOf(any) => any.iter().any(|matcher| value.elements().any(|element| matcher.fits(element))),
            _ => false,
        })
    };
    fn search(value: Json<'_>, path: &str, fits: &dyn Fn(Json<'_>) -> bool, depth: usize) -> Option<String> {
        if fits(value) {
            return Some(path.to_owned());
        }
        if depth == 0 {
            return None;
        }
        value.members().find_map(|(name, inner)| {
            search(inner, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), fits, depth - 1)
        })
    }
    claims.members().filter(|(name, _)| *name != condition.path.as_str()).find_map(|(name, value)| {
        if fits(value) {
            return Some(name.to_owned());
        }
        search(value, &format!("/{}", name.replace('~', "~0").replace('/', "~1")), &fits, 3)
    })
}

/// Finds a change to the token or to the nearest identity, and tries it.
struct Fixer<'a> {
    refused: &'a Refused<'a>,
    account: &'a Account,
    identity: &'a Identity,
    nearest: &'a IdentityTrace,
    context: &'a EvaluationContext<'a>,
}

impl Fixer<'_> {
    /// Proposes the caller's change, and the owner's if it is safe. If another account accepts the
    /// token as it is, naming that account comes first.
    fn fix(&self, failed: &[Failed<'_>]) -> Option<String> {
        if let Some(grant) = self.refused.account().and_then(|_| self.refused.grant_of_any()) {
            let identity = grant.identity.as_ref().map_or("", sts_types::IdentityName::as_str);
            let (name, identity) = (quoted(grant.account.name.as_str()), quoted(identity));
            return Some(format!(
                "name the account {name} in `audience`, whose identity {identity} accepts this token"
            ));
        }
        let owner = self.owner_change(failed);
        let is_spelling = failed.iter().all(|failure| failure.trace.is_spelling);
        if let Some(form) = self.change_of_form(failed) {
            let is_literal = failed.iter().all(|failure| failure.trace.is_spelling || failure.is_end_of_actual());
            return owner.filter(|_| is_literal).or(Some(form));
        }
        let caller = self.caller_change(failed);
        // If only the spelling differs, the typo is usually in the configuration: the platform
        // spells its own names right.
        let is_ours = |failure: &Failed<'_>| {
            failure.elsewhere(self.context.claims).is_some()
                || (failure.trace.is_spelling && failure.is_exact() && failure.how().is_none())
        };
        let is_ours = owner.is_some() && failed.iter().all(is_ours);
        let changes: Vec<String> = match is_spelling || is_ours {
            true => owner.into_iter().chain(caller.filter(|_| !is_ours)).collect(),
            false => caller.into_iter().chain(owner).collect(),
        };
        (!changes.is_empty()).then(|| changes.join(", or "))
    }

    /// The owner's change if the platform never sends the expected form. Other failed conditions
    /// are left to the caller.
    fn change_of_form(&self, failed: &[Failed<'_>]) -> Option<String> {
        let (forms, rest): (Vec<&Failed<'_>>, Vec<&Failed<'_>>) =
            failed.iter().partition(|failure| failure.form().is_some());
        let changes =
            forms.iter().filter_map(|failure| Some(format!("{} to {}", quoted(&failure.trace.on), failure.form()?)));
        let changes: Vec<String> = changes.collect();
        if changes.is_empty() {
            return None;
        }
        let changed = format!("in {}, change {}", super::title(self.nearest), changes.join(" and "));
        match rest.as_slice() {
            [] => Some(changed),
            rest => Some(format!("{changed}, and {}", self.caller_change_of(rest)?)),
        }
    }

    /// The caller's change. It suffices: every failed check is about the token, and the identity
    /// covers the request.
    fn caller_change(&self, failed: &[Failed<'_>]) -> Option<String> {
        self.caller_change_of(&failed.iter().collect::<Vec<_>>())
    }

    fn caller_change_of(&self, failed: &[&Failed<'_>]) -> Option<String> {
        cover(&self.refused.holdings(self.account), self.identity, self.refused.requested).ok()?;
        let is_state = |failure: &&&Failed<'_>| {
            matches!(failure.check, Check::Enabled(..) | Check::NotBefore(..) | Check::NotAfter(..))
        };
        if failed.iter().any(|failure| is_state(&failure)) {
            return None;
        }
        let is_event = |failure: &&&Failed<'_>| matches!(failure.check, Check::Event);
        let is_issuer = |failure: &&&Failed<'_>| matches!(failure.check, Check::Issuer);
        let rest: Vec<&&Failed<'_>> =
            failed.iter().filter(|failure| !is_event(failure) && !is_issuer(failure)).collect();
        let mut of_issuer = String::new();
        if failed.iter().any(|failure| is_issuer(&failure)) {
            let rule = self.identity.terms.entries.iter().find(|rule| rule.enabled)?;
            let issuer = self.refused.rules.frame.issuers.get(rule.entry)?;
            of_issuer = format!(
                " of issuer entry {} (`iss` {})",
                quoted(rule.name.as_str()),
                quoted(issuer.issuer.value.as_str())
            );
            // A token of another issuer has nothing in common with this one, so a list of claims to
            // change would not help.
            if failed.len() > 1 {
                return Some(format!("present a token{of_issuer} that meets the other conditions, too"));
            }
        }
        let wanted: Vec<String> = rest.iter().map(|failure| failure.wanted()).collect::<Option<_>>()?;
        let how: Vec<String> = rest.iter().filter_map(|failure| failure.how()).collect();
        let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join("; ")) };
        let wanted = if wanted.is_empty() { String::new() } else { format!(" {}", wanted.join(" and ")) };
        if !failed.iter().any(|failure| is_event(&failure)) {
            return Some(format!("present a token{of_issuer}{wanted}{how}"));
        }
        let other = "start the workflow by another event, such as `push` or `workflow_dispatch`";
        match rest.as_slice() {
            [] => Some(other.to_owned()),
            _ => Some(format!("{other}, for a token{wanted}{how}")),
        }
    }

    /// The owner's change of the identity. It is tried as a whole, with every lint and policy test.
    fn owner_change(&self, failed: &[Failed<'_>]) -> Option<String> {
        let changes: Vec<OwnerChange> =
            failed.iter().map(|failure| self.owner_change_of(failure)).collect::<Option<_>>()?;
        let holdings = self.refused.holdings(self.account);
        let candidate = Candidate::new(self.refused.rules, &holdings, self.identity)?;
        let changed = candidate.changed(|account| changes.iter().for_each(|change| (change.apply)(account)));
        if !changed.holds(self.refused.facts, self.refused.request_names) {
            return None;
        }
        let all: Vec<&str> = changes.iter().map(|change| change.text.as_str()).collect();
        Some(format!("write {} in {}", all.join(" and "), super::title(self.nearest)))
    }

    fn owner_change_of(&self, failed: &Failed<'_>) -> Option<OwnerChange> {
        let now = self.refused.facts.now;
        match failed.check {
            Check::Issuer | Check::Event | Check::Audience => None,
            Check::Enabled(of, _) => Some(OwnerChange::new("`enabled: true`".to_owned(), move |account| match of {
                "account" => account.enabled = true,
                _ => identity_of(account).into_iter().for_each(|identity| identity.enabled = true),
            })),
            Check::NotBefore(of, _) => {
                let text = format!("an earlier `not_before` ({} at the latest)", rfc3339(now));
                Some(OwnerChange::new(text, move |account| match of {
                    "account" => account.not_before = Some(now),
                    _ => identity_of(account).into_iter().for_each(|identity| identity.not_before = Some(now)),
                }))
            }
            Check::NotAfter(of, _) => {
                let text = format!("a later `not_after` (after {})", rfc3339(now));
                Some(OwnerChange::new(text, move |account| match of {
                    "account" => account.not_after = None,
                    _ => identity_of(account).into_iter().for_each(|identity| identity.not_after = None),
                }))
            }
            Check::Subject(pattern) => {
                let sub = self.refused.facts.claims.text("sub")?;
                let text = self.rewritten("sub", pattern, sub, failed)?;
                let shown = Value::from(text.as_str());
                Some(OwnerChange::new(format!("`subject: {shown}`"), move |account| {
                    identity_of(account)
                        .into_iter()
                        .for_each(|identity| identity.subject = Some(Located::nowhere(text.clone())));
                }))
            }
            Check::Claim(condition) => self.owner_change_of_claim(condition, failed),
        }
    }

    fn owner_change_of_claim(&self, condition: &Condition, failed: &Failed<'_>) -> Option<OwnerChange> {
        let index = self.identity.conditions.iter().position(|other| std::ptr::eq(&raw const **other, condition))?;
        let path = condition.path.to_string();
        // Another answer to a yes-or-no claim would lift the condition.
        if condition.on_variable || (condition.is_guard() && !failed.trace.is_spelling) {
            return None;
        }
        let Some(value) = self.context.claims.find(&condition.path) else {
            // The rule misnames the claim if another claim of the token has the value.
            let place = failed.elsewhere(self.context.claims)?;
            ClaimPath::parse(&place).ok()?;
            return Some(OwnerChange::new(format!("`{place}` in place of `{path}`"), move |account| {
                let claims = identity_of(account).and_then(|identity| identity.claims.get_mut(index));
                claims.into_iter().for_each(|(name, _)| name.value.clone_from(&place));
            }));
        };
        let [Test::AnyOf(any)] = condition.tests.as_slice() else { return None };
        let scalar = match (value.as_str(), any.first()?) {
            (Some(text), Matcher::Text(pattern)) => ScalarSpec::Text(self.rewritten(&path, pattern, text, failed)?),
            // The types differ: take the token's value with its type.
            _ => match value.to_value() {
                Value::String(text) => ScalarSpec::Text(Pattern::literal(&text).as_str().to_owned()),
                Value::Number(number) => ScalarSpec::Number(number),
                Value::Bool(value) => ScalarSpec::Bool(value),
                _ => return None,
            },
        };
        if !matches!((value.as_str(), any.first()?), (Some(_), Matcher::Text(_))) && !failed.trace.is_spelling {
            return None;
        }
        let shown = match &scalar {
            ScalarSpec::Text(text) => Value::from(text.as_str()).to_string(),
            ScalarSpec::Number(number) => number.to_string(),
            ScalarSpec::Bool(value) => value.to_string(),
        };
        let has_owner_list = any.len() > 1 && !failed.trace.is_spelling;
        if !has_owner_list {
            return Some(OwnerChange::new(format!("`{path}: {shown}`"), move |account| {
                let claims = identity_of(account).and_then(|identity| identity.claims.get_mut(index));
                claims
                    .into_iter()
                    .for_each(|(_, condition)| *condition = ConditionSpec::Scalar(Located::nowhere(scalar.clone())));
            }));
        }
        // Keep every value that the list accepts now.
        let mut all: Vec<_> = any.iter().map(super::candidate::scalar_spec).collect();
        all.push(Located::nowhere(scalar));
        Some(OwnerChange::new(format!("{shown} into the list of `{path}`"), move |account| {
            let claims = identity_of(account).and_then(|identity| identity.claims.get_mut(index));
            claims.into_iter().for_each(|(_, condition)| *condition = ConditionSpec::AnyOf(all.clone()));
        }))
    }

    /// The pattern to write in place of `pattern`. `None` if it could let in somebody else.
    fn rewritten(&self, claim: &str, pattern: &Pattern, text: &str, failed: &Failed<'_>) -> Option<String> {
        let rule = self.identity.nearest_rule(self.context);
        let entry = rule.and_then(|rule| self.refused.rules.frame.issuers.get(rule.entry))?;
        if pattern.widened().is_some_and(|wide| wide.matches(text)) && text.starts_with(pattern.literal_head()) {
            return pattern.widened().map(|wide| wide.as_str().to_owned());
        }
        let meant = expression::as_pattern(pattern).filter(|meant| meant.as_str() != pattern.as_str());
        if let Some(meant) = meant.filter(|meant| meant.matches(text)) {
            return Some(meant.as_str().to_owned());
        }
        let names_owner = claim == "sub" || entry.preset.is_none_or(|preset| preset.lent_claims().contains(&claim));
        let is_safe = if failed.trace.is_spelling {
            // On a shared issuer, another spelling of a name may belong to somebody else.
            !entry.shared
                || !names_owner
                || entry.preset.is_some_and(|preset| preset.is_github_grammar() && same_letters(pattern, text))
                || same_place(entry.preset, pattern, text)
        } else if claim == "sub" {
            same_place(entry.preset, pattern, text)
        } else {
            !names_owner && entry.preset.and_then(Preset::owner).is_some()
        };
        is_safe.then(|| Pattern::literal(text).as_str().to_owned())
    }
}

/// Whether only the letter case differs. GitHub's names ignore it.
fn same_letters(pattern: &Pattern, text: &str) -> bool {
    pattern.is_exact() && pattern.literal_head().eq_ignore_ascii_case(text)
}

/// Whether both subjects name the same repository or project, byte for byte.
fn same_place(preset: Option<Preset>, pattern: &Pattern, text: &str) -> bool {
    let is_placed = preset.is_some_and(|preset| preset.is_github_grammar() || preset == Preset::Gitlab);
    let place = |text: &str| -> Option<String> {
        let mut parts = text.splitn(3, ':');
        let (kind, name, _) = (parts.next()?, parts.next()?, parts.next()?);
        (!name.is_empty() && !name.contains(['*', '?', '\\'])).then(|| format!("{kind}:{name}"))
    };
    let Some((wanted, other)) = place(pattern.as_str()).zip(place(text)) else { return false };
    // A name with ids is at least as narrow as the name alone.
    let named = || difference::without_ids(&other) == wanted && !wanted.contains('@');
    is_placed && (wanted == other || named())
}

/// A change of one condition, with its text for the owner.
struct OwnerChange {
    text: String,
    apply: Box<dyn Fn(&mut AccountSpec)>,
}

impl OwnerChange {
    fn new(text: String, apply: impl Fn(&mut AccountSpec) + 'static) -> Self {
        Self { text, apply: Box::new(apply) }
    }
}
