//! Builds the tokens that a policy test may mean: one for each identity that it may be near to.

use serde_json::{Map, Value};
use sts_claims::{ClaimPath, ClaimSet};
use sts_types::{EntryName, Located, Origin};

use crate::account::Account;
use crate::condition::Condition;
use crate::finding::{name_help, quoted};
use crate::identity::{EntryRule, Identity};
use crate::pattern::Pattern;
use crate::ruleset::RuleSet;
use crate::{Expectation, IssuerSpec, Preset, Spec, TestSpec};

/// A token that the test may mean.
pub(super) struct Candidate<'a> {
    pub(super) entry: EntryName,
    pub(super) claims: ClaimSet,
    /// The account and identity that the token was built for.
    pub(super) near: Option<(&'a Account, &'a Identity)>,
    /// Whether `sub` was derived from the other claims.
    pub(super) derived_subject: bool,
}

/// No token could be built.
pub(super) struct TokenError {
    pub(super) origin: Origin,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Builds every token that the test may mean.
pub(super) fn candidates<'a>(
    rules: &'a RuleSet,
    spec: &Spec,
    test: &TestSpec,
) -> Result<Vec<Candidate<'a>>, TokenError> {
    let signer = signer(spec, test)?;
    let found = match &test.token.preset {
        Some(name) => of_preset(rules, spec, test, name, signer)?,
        None => vec![plain(spec, test, signer)?],
    };
    match signer {
        Some(_) => Ok(found),
        None => refuse_ambiguous(spec, test, found),
    }
}

/// The issuer entry that the test names.
fn signer<'a>(spec: &'a Spec, test: &TestSpec) -> Result<Option<&'a IssuerSpec>, TokenError> {
    let Some(name) = &test.issuer else { return Ok(None) };
    let wrong = |message: String, help: Option<String>| TokenError { origin: name.origin, message, help };
    let Some(entry) = spec.issuers.iter().find(|entry| entry.name.value.as_str() == name.value) else {
        let help = name_help(&name.value, spec.issuers.iter().map(|entry| entry.name.value.as_str()));
        return Err(wrong(format!("there is no issuer entry {}", quoted(&name.value)), help));
    };
    match test.token.claims.get("iss").and_then(Value::as_str) {
        Some(iss) if !entry.issuer.value.covers(iss) => {
            let issuer = quoted(entry.issuer.value.as_str());
            let message = format!(
                "the token's `iss` is {}, and that of issuer entry {} is {issuer}",
                quoted(iss),
                quoted(&name.value)
            );
            Err(wrong(message, Some("leave `iss` out: it is the entry's".to_owned())))
        }
        _ => Ok(Some(entry)),
    }
}

/// Refuses a test without `issuer` if several entries share the token's `iss`. Only a signature
/// could tell them apart.
fn refuse_ambiguous<'a>(
    spec: &Spec,
    test: &TestSpec,
    found: Vec<Candidate<'a>>,
) -> Result<Vec<Candidate<'a>>, TokenError> {
    for candidate in &found {
        let Some(iss) = candidate.claims.text("iss") else { continue };
        let sharing = entries_of(spec, iss);
        if sharing.len() > 1 {
            let names = sharing.iter().map(|entry| quoted(entry.name.value.as_str())).collect::<Vec<_>>();
            let message = format!("the issuer entries {} share the `iss` {}", names.join(", "), quoted(iss));
            let first = sharing.first().map_or("ENTRY", |entry| entry.name.value.as_str());
            let help = format!("name the entry whose key signed the token: `issuer: {first}`, for instance");
            return Err(TokenError { origin: test.origin, message, help: Some(help) });
        }
    }
    Ok(found)
}

/// The entries that a token with this `iss` may belong to. Enabled entries come before disabled
/// ones, and entries that name the issuer before families.
fn entries_of<'a>(spec: &'a Spec, iss: &str) -> Vec<&'a IssuerSpec> {
    let mut of_issuer: Vec<&IssuerSpec> = spec.issuers.iter().filter(|entry| entry.issuer.value.covers(iss)).collect();
    for is_better in [|entry: &IssuerSpec| entry.enabled, |entry: &IssuerSpec| entry.issuer.value.template().is_none()]
    {
        if of_issuer.iter().any(|entry| is_better(entry)) {
            of_issuer.retain(|entry| is_better(entry));
        }
    }
    of_issuer
}

/// Builds tokens from the preset's sample.
fn of_preset<'a>(
    rules: &'a RuleSet,
    spec: &Spec,
    test: &TestSpec,
    name: &Located<String>,
    signer: Option<&IssuerSpec>,
) -> Result<Vec<Candidate<'a>>, TokenError> {
    let wrong = |message: String, help: Option<String>| TokenError { origin: name.origin, message, help };
    let Some(preset) = Preset::from_name(&name.value) else {
        let help = name_help(&name.value, Preset::ALL.into_iter().map(Preset::name));
        return Err(wrong(format!("there is no preset {}", quoted(&name.value)), help));
    };
    if let Some(entry) = signer.filter(|entry| entry.preset != Some(preset)) {
        let has = entry.preset.map_or("no preset".to_owned(), |other| format!("the preset `{}`", other.name()));
        let message = format!("issuer entry {} has {has}, not `{}`", quoted(entry.name.value.as_str()), name.value);
        let help = entry.preset.map(|other| format!("write `preset: {}`", other.name()));
        return Err(wrong(message, help));
    }
    let fitting = |issuer: &&IssuerSpec| match signer {
        Some(entry) => entry.name.value == issuer.name.value,
        None => fits(issuer, preset, test),
    };
    let mut found = Vec::new();
    for (account, identity) in identities(rules, test) {
        // If the identity does not accept the named entry, build the token like one of an entry
        // that it accepts. It then differs only in who signed it.
        let rules_of_identity =
            identity.terms.entries.iter().filter_map(|rule| Some((rule, spec.issuers.get(rule.entry)?)));
        let (mut accepted, others): (Vec<_>, Vec<_>) = rules_of_identity.partition(|(_, issuer)| fitting(issuer));
        if let (Some(entry), true, Some((rule, _))) = (signer, accepted.is_empty(), others.first()) {
            accepted.push((rule, entry));
        }
        for (rule, issuer) in accepted {
            let sample = sample(preset, issuer, Some((identity, rule)), spec, test);
            found.push(Candidate { near: Some((account, identity)), ..sample });
        }
    }
    if found.is_empty() {
        let issuers = spec.issuers.iter().filter(fitting);
        found.extend(issuers.map(|issuer| sample(preset, issuer, None, spec, test)));
    }
    Ok(found)
}

/// Builds a token from the written claims alone. Its `iss`, or the named entry, decides the issuer.
fn plain<'a>(spec: &Spec, test: &TestSpec, signer: Option<&IssuerSpec>) -> Result<Candidate<'a>, TokenError> {
    let mut claims = test.token.claims.clone();
    let wrong = |message: String, help: Option<String>| TokenError { origin: test.origin, message, help };
    let iss = claims.get("iss").and_then(Value::as_str).map(str::to_owned);
    let issuer = match (signer, iss) {
        (Some(entry), Some(_)) => entry,
        (Some(entry), None) => {
            if entry.issuer.value.template().is_none() {
                claims.insert("iss".to_owned(), entry.issuer.value.as_str().into());
            }
            entry
        }
        (None, None) => {
            let help = "write `iss` or `issuer`, or start from a platform's typical token with `preset`".to_owned();
            return Err(wrong("the token has no `iss`".to_owned(), Some(help)));
        }
        (None, Some(iss)) => *entries_of(spec, &iss).first().ok_or_else(|| {
            let help = name_help(&iss, spec.issuers.iter().map(|issuer| issuer.issuer.value.as_str()));
            wrong(format!("no issuer entry has the `iss` {}", quoted(&iss)), help)
        })?,
    };
    Ok(Candidate { entry: issuer.name.value.clone(), claims: claims.into(), near: None, derived_subject: false })
}

/// The identities that a test may be near to: those of the named account, or all.
fn identities<'a>(rules: &'a RuleSet, test: &TestSpec) -> impl Iterator<Item = (&'a Account, &'a Identity)> {
    let expected = match &test.expect {
        Expectation::Grant { account, .. } => account.as_ref(),
        Expectation::Deny => None,
    };
    let asked = test.account.as_ref().or(expected).map(|name: &Located<String>| name.value.as_str());
    let named = asked
        .and_then(|name| rules.account_by_name.get(name))
        .or_else(|| test.audience.iter().find_map(|name| rules.account_by_name.get(name.as_str())))
        .copied();
    let accounts =
        rules.accounts.iter().enumerate().filter(move |(index, _)| named.is_none_or(|named| named == *index));
    accounts.flat_map(|(_, account)| account.identities.iter().map(move |identity| (account, identity)))
}

/// Whether the entry has this preset, and the `iss` of the test, if it has one.
fn fits(issuer: &IssuerSpec, preset: Preset, test: &TestSpec) -> bool {
    let iss = test.token.claims.get("iss").and_then(Value::as_str);
    issuer.preset == Some(preset) && iss.is_none_or(|iss| issuer.issuer.value.covers(iss))
}

/// Builds the token that the identity's platform would send us, with the claims of the test on top.
fn sample<'a>(
    preset: Preset,
    issuer: &IssuerSpec,
    near: Option<(&Identity, &EntryRule)>,
    spec: &Spec,
    test: &TestSpec,
) -> Candidate<'a> {
    let mut claims = preset.sample();
    // A family needs a member: the one that the identity names, or else any.
    let value = |name: &str| {
        let mut conditions = near.into_iter().flat_map(|(identity, _)| identity.conditions.iter());
        conditions.find(|condition| condition.on_variable && condition.path.as_str() == name)?.example()
    };
    let member = issuer.issuer.value.member(value);
    let iss = member.as_ref().map_or(issuer.issuer.value.as_str(), |member| member.as_str());
    claims.insert("iss".to_owned(), iss.into());
    let audience =
        near.and_then(|(_, rule)| rule.audiences.first()).map_or(spec.issuer.as_str(), |audience| audience.as_str());
    let audience = match claims.get("aud") {
        Some(Value::Array(_)) => Value::from(vec![audience]),
        _ => Value::from(audience),
    };
    claims.insert("aud".to_owned(), audience);
    let pattern = near.and_then(|(identity, _)| identity.subject.as_ref());
    if let Some(pattern) = pattern {
        preset.adopt_subject(&pattern.example(), &mut claims);
    }
    for condition in near.into_iter().flat_map(|(identity, _)| identity.conditions.iter()) {
        lend(preset, condition, &mut claims);
    }
    let before = preset.subject_of(&claims);
    for (name, value) in &test.token.claims {
        write(name, value, &mut claims);
    }
    let after = preset.subject_of(&claims);
    let mut derived_subject = false;
    if !test.token.claims.contains_key("sub") {
        // If the written claims change the subject, it follows them. Otherwise it is one that the
        // identity accepts.
        derived_subject = before != after;
        let accepted =
            pattern.filter(|accepted| !derived_subject && !after.as_ref().is_some_and(|after| accepted.matches(after)));
        if let Some(subject) = accepted.map(Pattern::example).or(after) {
            claims.insert("sub".to_owned(), subject.into());
        }
    }
    Candidate { entry: issuer.name.value.clone(), claims: claims.into(), near: None, derived_subject }
}

/// Writes a claim of the test over the sample's. Objects are merged, so that the members that the
/// test leaves out stay typical.
fn write(name: &str, value: &Value, claims: &mut Map<String, Value>) {
    match (claims.get_mut(name), value) {
        (Some(Value::Object(object)), Value::Object(members)) => {
            members.iter().for_each(|(name, value)| write(name, value, object));
        }
        _ => {
            claims.insert(name.to_owned(), value.clone());
        }
    }
}

/// Sets a claim that names the owner to a value that `condition` accepts.
fn lend(preset: Preset, condition: &Condition, claims: &mut Map<String, Value>) {
    let path = &condition.path;
    let lent = !condition.on_variable && preset.lent_claims().iter().any(|claim| *claim == path.as_str());
    let Some(value) = condition.example().filter(|_| lent) else { return };
    set(path, &value, claims);
    // The name of a repository contains its owner's.
    if path.as_str() == "repository"
        && let Some((owner, _)) = value.split_once('/')
    {
        claims.insert("repository_owner".to_owned(), owner.into());
    }
    if path.as_str() == "project_path"
        && let Some((namespace, _)) = value.rsplit_once('/')
    {
        claims.insert("namespace_path".to_owned(), namespace.into());
    }
}

/// Sets the claim at `path`. Creates no missing objects on the way.
pub(crate) fn set(path: &ClaimPath, value: &str, claims: &mut Map<String, Value>) {
    if !path.as_str().starts_with('/') {
        claims.insert(path.as_str().to_owned(), value.into());
        return;
    }
    let mut parts = path.as_str().split('/').skip(1).peekable();
    let mut members = claims;
    while let Some(part) = parts.next() {
        let name = part.replace("~1", "/").replace("~0", "~");
        if parts.peek().is_none() {
            members.insert(name, value.into());
            return;
        }
        match members.get_mut(&name) {
            Some(Value::Object(inner)) => members = inner,
            _ => return,
        }
    }
}
