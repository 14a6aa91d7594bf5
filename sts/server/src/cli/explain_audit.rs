//! `sts explain --audit`: judges an old decision again, from its audit event, under a configuration.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use sts_policy::{ConditionTrace, Facts, IdentityTrace, NoDirectory, Outcome, Refusal, RequestedNames, RuleSet};
use sts_service::{ExplainError, Explanation};
use sts_types::{Clock as _, EntryName, UnixTime, one_line, shown_path};

use super::admin_commands::{ServerArgs, refuse, refuse_start};
use super::compare::Recorded;
use super::denials::escaped;
use super::explain::{Input, Question, explain, json_of, not_in_force, text};
use crate::clock::SystemClock;
use crate::compile::Loaded;
use crate::reload::load_to_explain;
use crate::start_error::StartError;
use crate::terminal::say;

/// The file of a configuration folder.
const IN_FOLDER: &str = "sts.yaml";
/// The members that say what the decision was, in the order in which they are shown.
const SHOWN: [&str; 15] = [
    "time",
    "request_id",
    "outcome",
    "reason",
    "cause",
    "grant",
    "proof",
    "issuer_entry",
    "subject",
    "account",
    "identity",
    "audience",
    "scope",
    "jti",
    "generation",
];
/// Conditions that the configuration alone decides. That on the subject is known from the event.
const WITHOUT_CLAIMS: [&str; 4] = ["issuer", "enabled", "not_before", "not_after"];
/// The most identities in a trace of the rules.
const WHOLE_TRACE: usize = 50;
/// The most conditions that a text lists.
const MOST_OPEN: usize = 10;

/// Judges the event `id` of the file, or its only decision.
pub(super) fn run(path: &Path, id: Option<&str>, at: Option<UnixTime>, server: &ServerArgs) -> ExitCode {
    let old = match read(path).and_then(|events| select(events, id, path)) {
        Ok(old) => old,
        Err(message) => {
            refuse(server.json, &message);
            return ExitCode::from(2);
        }
    };
    let loaded = match load_to_explain(&configuration(&server.config), SystemClock::new().now()) {
        Ok(loaded) => loaded,
        Err(diagnostics) => return refuse_start(server.json, &StartError::Configuration(diagnostics)),
    };
    let judged = match judge(&loaded, &old, at) {
        Ok(judged) => judged,
        Err(error) => return refuse_start(server.json, &error),
    };
    let report = Report { old: &old, judged: &judged, loaded: &loaded, not_in_force: not_in_force(&loaded) };
    say(&if server.json { report.json().to_string() } else { report.text() });
    report.exit_code()
}

/// The configuration file: a folder stands for the one in it.
fn configuration(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(IN_FOLDER) } else { path.to_owned() }
}

/// An old decision.
struct OldDecision {
    recorded: Recorded,
    event: Map<String, Value>,
}

impl OldDecision {
    fn text(&self, name: &str) -> Option<&str> {
        self.event.get(name).and_then(Value::as_str)
    }

    /// What the request named, as far as the event tells: the account and the API count as named.
    fn audience(&self) -> Vec<String> {
        self.recorded.account.iter().chain(&self.recorded.audience).cloned().collect()
    }
}

/// The decisions of a file: lines of events, or one document, also the one that the admin API answers.
fn read(path: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let input: Box<dyn std::io::Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| format!("cannot read {}: {error}", shown_path(path)))?)
    };
    let mut decisions = Vec::new();
    for document in serde_json::Deserializer::from_reader(BufReader::new(input)).into_iter::<Value>() {
        let document = match document {
            Ok(document) => document,
            // A file that is being written may end within a line.
            Err(error) if error.is_eof() && !decisions.is_empty() => break,
            // The text may hold a token, so no part of it is shown.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return Err(format!("{} is no JSON at line {line}, column {column}", shown_path(path)));
            }
        };
        let Value::Object(mut document) = document else { continue };
        match document.remove("items") {
            Some(Value::Array(items)) => {
                decisions.extend(items.into_iter().filter_map(|item| item.as_object().cloned()).filter(is_decision));
            }
            _ if is_decision(&document) => decisions.push(document),
            _ => {}
        }
    }
    Ok(decisions)
}

fn is_decision(event: &Map<String, Value>) -> bool {
    event.get("event").is_some_and(|event| event == "decision")
}

/// The decision with this request id or `jti`, or the only one.
fn select(decisions: Vec<Map<String, Value>>, id: Option<&str>, path: &Path) -> Result<OldDecision, String> {
    let has_id = |event: &Map<String, Value>| {
        id.is_none_or(|id| ["request_id", "jti"].iter().any(|name| event.get(*name).is_some_and(|own| own == id)))
    };
    let mut found = decisions.into_iter().filter(has_id);
    let path = shown_path(path);
    let event = match (found.next(), found.count(), id) {
        (Some(event), 0, _) => event,
        (Some(event), _, Some(_)) => event,
        (Some(_), more, None) => {
            return Err(format!(
                "{path} has {} decisions: name one by its request id or `jti`, with --event",
                more + 1
            ));
        }
        (None, _, None) => return Err(format!("{path} has no decision event")),
        (None, _, Some(_)) => {
            return Err(format!("{path} has no decision event with the request id or `jti` of --event"));
        }
    };
    let recorded = Recorded::of(Value::Object(event.clone()));
    let recorded = recorded.ok_or_else(|| format!("the event in {path} has no `request_id` or no `outcome`"))?;
    Ok(OldDecision { recorded, event })
}

/// What the decision would be.
enum Judged {
    /// The rules decided on the claims.
    Known(Box<Explanation>),
    /// It would be refused, whatever the claims are. The text is the verdict.
    Refused(String),
    /// It depends on what the event does not tell.
    Unknown(Vec<String>),
}

fn judge(loaded: &Loaded, old: &OldDecision, at: Option<UnixTime>) -> Result<Judged, StartError> {
    let rules = &loaded.compiled.rules;
    let now = at.or(old.recorded.time).unwrap_or_else(|| SystemClock::new().now());
    if matches!(old.text("proof"), Some("api_key" | "own")) {
        return Ok(without_identity(rules, old));
    }
    let Some(claims) = old.recorded.claims.clone() else { return Ok(without_claims(loaded, old, now)) };
    let input = Input::Claims(claims);
    let mut question = Question {
        entry: old.recorded.entry.as_ref().map(EntryName::as_str),
        audience: old.audience(),
        resource: &[],
        scope: old.recorded.scope.as_deref(),
        at: Some(now),
    };
    let mut explained = explain(&loaded.compiled, &input, &question, None)?;
    if matches!(explained, Err(ExplainError::UnknownEntry { .. })) {
        // The entry has another name now, or is gone. The token names its issuer.
        question.entry = None;
        explained = explain(&loaded.compiled, &input, &question, None)?;
    }
    if old.recorded.granted && is_of_scope(&explained) {
        // The event tells the scope that was granted, and not whether it was asked for.
        question.scope = None;
        let whole = explain(&loaded.compiled, &input, &question, None)?;
        if matches!(&whole, Ok(whole) if whole.is_granted()) {
            explained = whole;
        }
    }
    Ok(match explained {
        Ok(explanation) => match by_directory(rules, old, &explanation, now) {
            Some(open) => Judged::Unknown(vec![open]),
            None => Judged::Known(Box::new(explanation)),
        },
        Err(error) => Judged::Unknown(vec![error.to_string()]),
    })
}

fn is_of_scope(explained: &Result<Explanation, ExplainError>) -> bool {
    explained.as_ref().is_ok_and(|explanation| refusal(explanation) == Some(Refusal::ScopeNotGranted))
}

fn refusal(explanation: &Explanation) -> Option<Refusal> {
    match &explanation.decision.as_ref()?.outcome {
        Outcome::Refused(refusal) => Some(*refusal),
        Outcome::Granted(_) => None,
    }
}

/// Why a directory may change a refusal. An event does not tell what it said.
fn by_directory(rules: &RuleSet, old: &OldDecision, explanation: &Explanation, now: UnixTime) -> Option<String> {
    use Refusal::{ScopeNotGranted, TargetNotGranted, TargetRequired};
    if !matches!(refusal(explanation), Some(ScopeNotGranted | TargetNotGranted | TargetRequired)) {
        return None;
    }
    let account = old.recorded.account.as_deref()?;
    let directory = rules.directory_teams(&NoDirectory, now).find(|own| own.account.as_str() == account)?.directory;
    let may_have = may_be_granted(rules, account, old);
    may_have.then(|| format!("whether the directory `{directory}` gives `{account}` a team that grants this"))
}

/// Whether the account could be granted the scopes, by its own grants or a group.
fn may_be_granted(rules: &RuleSet, account: &str, old: &OldDecision) -> bool {
    let possible = rules.possible_scopes(account);
    let scope = old.recorded.scope.as_deref().unwrap_or_default();
    scope.split_whitespace().all(|scope| possible.contains(scope))
}

/// A decision on an API key or a token of ours. The store has those, and no configuration.
fn without_identity(rules: &RuleSet, old: &OldDecision) -> Judged {
    let Some(name) = old.recorded.account.as_deref() else {
        return Judged::Unknown(vec!["which account it was for".to_owned()]);
    };
    match rules.account(name) {
        None => Judged::Refused(format!("refused: not_authorized: there is no account `{name}`")),
        Some(account) if !account.enabled => {
            Judged::Refused(format!("refused: not_authorized: the account `{name}` is disabled"))
        }
        Some(_) if !may_be_granted(rules, name, old) => Judged::Refused(format!(
            "refused: scope_not_granted: the account `{name}` is not granted the scopes of the event"
        )),
        Some(_) => Judged::Unknown(vec![
            "whether the API key or the token of ours, which the store has, still counts".to_owned(),
        ]),
    }
}

/// A decision whose event lacks the claims: what is certain without them.
fn without_claims(loaded: &Loaded, old: &OldDecision, now: UnixTime) -> Judged {
    let rules = &loaded.compiled.rules;
    let presented = |name: &str| old.event.get("presented").and_then(|own| own.get(name)).and_then(Value::as_str);
    let is_entry = |name: &EntryName| rules.issuer_entries().any(|entry| entry.enabled && entry.name == name);
    let Some(entry) = old.recorded.entry.as_ref().filter(|name| is_entry(name)) else {
        let iss = presented("iss");
        let covering = iss.and_then(|iss| loaded.compiled.trust.iter().find(|entry| entry.issuers.covers(iss)));
        return match (iss, covering) {
            (Some(_), None) => {
                Judged::Refused("refused: issuer_unknown: no issuer entry has the `iss` of the token".to_owned())
            }
            _ => Judged::Unknown(vec!["the claims of the token, and so its issuer entry".to_owned()]),
        };
    };
    let members = [("sub", old.text("subject")), ("iss", presented("iss"))];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    let claims = members.collect::<Map<String, Value>>().into();
    let audience = old.audience();
    let asked = RequestedNames {
        audience: &audience,
        resource: &[],
        scope: old.recorded.scope.as_deref(),
        client_id: None,
        client_is_account: false,
        lifetime: None,
    };
    let Ok(requested) = rules.resolve(&asked) else {
        return Judged::Refused(
            "refused: request_malformed: the request names more than one service account".to_owned(),
        );
    };
    let facts = Facts { entry, claims: &claims, now, memberships: &NoDirectory };
    let decision = rules.explain(facts, &requested);
    let is_known = |condition: &ConditionTrace| {
        WITHOUT_CLAIMS.contains(&&*condition.on) || (condition.on == "subject" && old.text("subject").is_some())
    };
    let may_match =
        |identity: &&IdentityTrace| identity.conditions.iter().all(|condition| condition.holds || !is_known(condition));
    let open: Vec<&IdentityTrace> = decision.trace.iter().filter(may_match).collect();
    let is_certain = match &decision.outcome {
        Outcome::Refused(Refusal::NoSuchAccount | Refusal::AccountDisabled) => true,
        _ => open.is_empty() && decision.trace.len() < WHOLE_TRACE,
    };
    if is_certain {
        return Judged::Refused(sts_policy::summary(rules, facts, &asked, &decision));
    }
    let unknown = open.iter().flat_map(|identity| {
        let conditions = identity.conditions.iter().filter(|condition| !is_known(condition));
        conditions.map(|condition| {
            format!("`{}/{}`: {} must be {}", identity.account, identity.identity, condition.on, condition.expected)
        })
    });
    let unknown: Vec<String> = unknown.take(MOST_OPEN).collect();
    Judged::Unknown(if unknown.is_empty() { vec!["the claims of the token".to_owned()] } else { unknown })
}

/// What was, what would be, and what is not known.
struct Report<'a> {
    old: &'a OldDecision,
    judged: &'a Judged,
    loaded: &'a Loaded,
    not_in_force: Option<String>,
}

impl Report<'_> {
    fn exit_code(&self) -> ExitCode {
        match self.judged {
            Judged::Known(explanation) if explanation.is_granted() && self.not_in_force.is_none() => ExitCode::SUCCESS,
            Judged::Known(explanation) if !explanation.is_granted() => ExitCode::FAILURE,
            Judged::Refused(_) => ExitCode::FAILURE,
            // No server grants anything with a configuration that does not load.
            Judged::Known(_) | Judged::Unknown(_) => ExitCode::from(2),
        }
    }

    /// `unchanged`, `newly_allowed`, `newly_denied`, `changed` or `unknown`.
    fn change(&self) -> &'static str {
        let was = self.old.recorded.granted;
        match self.judged {
            Judged::Unknown(_) => "unknown",
            Judged::Refused(_) if was => "newly_denied",
            Judged::Refused(_) => "unchanged",
            Judged::Known(explanation) => match (was, &explanation.grant) {
                (true, None) => "newly_denied",
                (false, Some(_)) => "newly_allowed",
                (false, None) => "unchanged",
                (true, Some(grant)) => {
                    let is_same = [
                        ("account", &grant.account),
                        ("identity", &grant.identity),
                        ("audience", &grant.aud),
                        ("scope", &grant.scope),
                    ]
                    .into_iter()
                    .all(|(name, value)| self.old.text(name).unwrap_or_default() == value);
                    if is_same { "unchanged" } else { "changed" }
                }
            },
        }
    }

    /// What a reader must know to trust the verdict.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let old = self.old;
        if old.text("generation") == Some(&*self.loaded.compiled.generation) {
            notes.push("this is the configuration that the decision was made under".to_owned());
        } else {
            notes.push(
                "the decision was made under another configuration, or with objects of the store, which are not judged here"
                    .to_owned(),
            );
        }
        if old.recorded.claims.is_none() && old.text("proof").is_none_or(|proof| proof == "federated") {
            notes
                .push("the event has no claims, because `log.claims` was off or the token was not verified".to_owned());
        } else {
            notes.push(
                "the account and the API count as named in the request, which the event does not tell".to_owned(),
            );
        }
        if let Some("token_replayed" | "proof_invalid" | "rate_limited") = old.text("reason") {
            notes.push("the reason of the refusal is no rule of a configuration, and is not judged again".to_owned());
        }
        if old.text("actor").is_some() {
            notes.push("the account that acted for another is not judged again".to_owned());
        }
        notes.extend(self.not_in_force.clone());
        notes
    }

    fn was(&self) -> Map<String, Value> {
        let members = SHOWN.into_iter().filter_map(|name| Some((name.to_owned(), self.old.event.get(name)?.clone())));
        members.collect()
    }

    fn json(&self) -> Value {
        let now = match self.judged {
            Judged::Known(explanation) => json_of(explanation, self.loaded, self.not_in_force.as_deref()),
            Judged::Refused(summary) => json!({ "verdict": "refused", "summary": summary }),
            Judged::Unknown(unknown) => json!({ "verdict": "unknown", "unknown": unknown }),
        };
        json!({ "was": self.was(), "now": now, "change": self.change(), "notes": self.notes() })
    }

    fn text(&self) -> String {
        let member = |name: &str| self.old.text(name).unwrap_or("-");
        let mut text = format!("was: {}", one_line(member("outcome")));
        for name in ["reason", "account", "identity", "audience", "scope"] {
            if let Some(value) = self.old.text(name) {
                text.push_str(&format!(", {name} {}", one_line(value)));
            }
        }
        let (request_id, time) = (one_line(&self.old.recorded.request_id), one_line(member("time")));
        text.push_str(&format!(" (request {request_id}, {time})"));
        if let Some(cause) = self.old.text("cause") {
            text.push_str(&format!("\nbecause: {}", one_line(cause)));
        }
        // What strangers wrote must not reach the terminal as it is.
        let mut text = escaped(&text);
        match self.judged {
            Judged::Known(explanation) => {
                text.push_str(&format!("\nnow: {}", self::text(explanation, self.not_in_force.as_deref())));
            }
            Judged::Refused(summary) => text.push_str(&format!("\nnow: {summary}")),
            Judged::Unknown(unknown) => {
                text.push_str("\nnow: cannot be judged. It depends on:");
                unknown.iter().for_each(|unknown| text.push_str(&format!("\n  {}", escaped(unknown))));
            }
        }
        text.push_str(&format!("\nchange: {}", self.change()));
        for note in self.notes() {
            text.push_str(&format!("\nnote: {note}"));
        }
        text
    }
}
