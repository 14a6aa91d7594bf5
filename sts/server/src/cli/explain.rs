//! `sts explain`: why a token is refused or granted. The first line is the verdict with its cause.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sts_claims::{ClaimSet, Json};
use sts_policy::RequestedNames;
use sts_service::{ExplainError, Explanation, Presented};
use sts_store::{EarlierUse, TakenClaim};
use sts_types::{Clock, Digest256, UnixTime, shown_path};

use super::admin_commands::{ServerArgs, Session, refuse, refuse_start};
use super::{RequestArgs, denials, explain_audit};
use crate::admin::FindReplayClaim;
use crate::clock::{ClockAt, SystemClock};
use crate::compile::{Compiled, Loaded};
use crate::components::{issuer_cache, snapshot};
use crate::reload::load_to_explain;
use crate::start_error::StartError;
use crate::terminal::{complain, say};

#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["token", "claims", "denial", "audit"])))]
pub(super) struct ExplainArgs {
    /// File with a token (`-` for standard input); it is verified as in an exchange
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// JSON file with claims (`-` for standard input); nothing is verified, only the rules decide
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The request id of a refusal by a running server
    #[arg(long, value_name = "REQUEST_ID")]
    denial: Option<String>,
    /// File with an audit event, or with many, such as an audit file (`-` for standard input): the old decision is judged
    /// again under --config, which may be a folder with a `sts.yaml`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["account", "audience", "resource", "scope"])]
    audit: Option<PathBuf>,
    /// The request id or the `jti` of the event, if the file of --audit has several decisions
    #[arg(long, value_name = "ID", requires = "audit", allow_hyphen_values = true)]
    event: Option<String>,
    /// Issuer entry of the claims, if several entries have their `iss`
    #[arg(long, value_name = "ENTRY", conflicts_with_all = ["token", "denial", "audit"])]
    issuer: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
    /// Time of the decision (RFC 3339, or seconds since the epoch) [default: now; for claims, their `iat`; for an event, its time]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<UnixTime>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Longest token or claims file, in bytes.
const MAX_INPUT: u64 = 1024 * 1024;

pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    if let Some(request_id) = &args.denial {
        let shown = denials::show(&args.server, request_id.clone());
        // The explained request was refused, so the exit code is that of a refusal.
        return if shown == ExitCode::SUCCESS { ExitCode::FAILURE } else { shown };
    }
    if let Some(path) = &args.audit {
        return explain_audit::run(path, args.event.as_deref(), args.at, &args.server);
    }
    let input = match (&args.token, &args.claims) {
        (Some(path), _) => read(path).map(Input::Token),
        (None, Some(path)) => read(path).and_then(|text| claims(path, &text)).map(Input::Claims),
        (None, None) => Err("give --token, --claims, --denial or --audit".to_owned()),
    };
    let input = match input {
        Ok(input) => input,
        Err(message) => {
            refuse(args.server.json, &message);
            return ExitCode::from(2);
        }
    };
    let loaded = match load_to_explain(&args.server.config, SystemClock::new().now()) {
        Ok(loaded) => loaded,
        Err(diagnostics) => return refuse_start(args.server.json, &StartError::Configuration(diagnostics)),
    };
    let not_in_force = not_in_force(&loaded);
    if let Some(note) = &not_in_force {
        complain(&format!("note: {note}; `sts check` lists them"));
    }
    let question = Question {
        entry: args.issuer.as_deref(),
        audience: args.request.audiences().map(str::to_owned).collect(),
        resource: &args.request.resource,
        scope: args.request.scope.as_deref(),
        at: args.at,
    };
    let explained = match explain(&loaded.compiled, &input, &question, None) {
        Ok(Ok(Explanation { replay_claim: Some(key), .. })) => {
            explain(&loaded.compiled, &input, &question, find_use(&args.server, key).as_ref())
        }
        explained => explained,
    };
    match explained {
        Ok(Ok(explanation)) => {
            if args.server.json {
                say(&json_of(&explanation, &loaded, not_in_force.as_deref()).to_string());
            } else {
                say(&text(&explanation, not_in_force.as_deref()));
            }
            match (explanation.is_granted(), not_in_force) {
                (true, None) => ExitCode::SUCCESS,
                // No server grants anything with a configuration that does not load.
                (true, Some(_)) => ExitCode::from(2),
                (false, _) => ExitCode::FAILURE,
            }
        }
        Ok(Err(error)) => {
            refuse(args.server.json, &error);
            ExitCode::from(2)
        }
        Err(error) => refuse_start(args.server.json, &error),
    }
}

/// The warning that no server would run this configuration.
pub(super) fn not_in_force(loaded: &Loaded) -> Option<String> {
    let refused = loaded.warnings.iter().filter(|finding| finding.severity.refuses());
    let what = match refused.count() {
        0 => return None,
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    Some(format!("`sts serve` refuses this configuration ({what}: policy tests that fail, rules that are unsafe)"))
}

/// The first line for a configuration that does not load.
fn first_line(explanation: &Explanation, not_in_force: &str) -> String {
    // A reader who stops here must not take a grant by the rules alone for a real one.
    let end = if explanation.is_granted() { ".\nIts rules alone say: " } else { "; its rules alone say: " };
    format!("not in force: {not_in_force}{end}{}", explanation.summary)
}

/// The explanation, with the findings that refuse the configuration.
pub(super) fn json_of(explanation: &Explanation, loaded: &Loaded, not_in_force: Option<&str>) -> serde_json::Value {
    let mut shown = json!(explanation);
    let findings = loaded.warnings.to_json();
    let shown_findings = loaded.warnings.iter().zip(findings.as_array().into_iter().flatten());
    let refused_by: Vec<_> =
        shown_findings.filter(|(own, _)| own.severity.refuses()).map(|(_, finding)| finding).collect();
    if let Some(members) = shown.as_object_mut() {
        members
            .insert("configuration".to_owned(), json!({ "loads": not_in_force.is_none(), "refused_by": refused_by }));
        if let Some(note) = not_in_force {
            members.insert("verdict".to_owned(), json!("not_in_force"));
            members.insert("verdict_of_rules_alone".to_owned(), json!(explanation.verdict));
            members.insert("summary".to_owned(), json!(first_line(explanation, note).replace('\n', " ")));
        }
    }
    shown
}

pub(super) enum Input {
    Token(String),
    Claims(ClaimSet),
}

/// What is asked about a token or claims.
pub(super) struct Question<'a> {
    /// The issuer entry of the claims.
    pub(super) entry: Option<&'a str>,
    pub(super) audience: Vec<String>,
    pub(super) resource: &'a [String],
    pub(super) scope: Option<&'a str>,
    /// The time of the decision.
    pub(super) at: Option<UnixTime>,
}

pub(super) fn explain(
    compiled: &Compiled,
    input: &Input,
    question: &Question<'_>,
    taken: Option<&TakenClaim>,
) -> Result<Result<Explanation, ExplainError>, StartError> {
    let system = SystemClock::new();
    let issued = match input {
        Input::Claims(claims) => claims.get("iat").and_then(Json::as_i64).map(UnixTime::from_secs),
        Input::Token(_) => None,
    };
    let clock: Arc<dyn Clock> = match question.at.or(issued) {
        Some(wall) => Arc::new(ClockAt { wall, system }),
        None => Arc::new(system),
    };
    let snapshot = snapshot(compiled, issuer_cache(compiled, Arc::clone(&clock))?, None);
    let asked = RequestedNames {
        audience: &question.audience,
        resource: question.resource,
        scope: question.scope,
        client_id: None,
        client_is_account: false,
        lifetime: None,
    };
    let presented = match input {
        Input::Token(token) => Presented::Token(unfiled(token)),
        Input::Claims(claims) => Presented::Claims { claims: claims.clone(), entry: question.entry },
    };
    Ok(crate::serve::runtime()?.block_on(sts_service::explain(&snapshot, &*clock, presented, &asked, taken)))
}

/// The replay claim under `key`, if the store has it.
fn find_use(server: &ServerArgs, key: Digest256) -> Option<TakenClaim> {
    let unknown = |why: &dyn std::fmt::Display| {
        complain(&format!("note: the token may be used once, and whether it was used is not known: {why}"));
        None
    };
    let mut session = match Session::open(server) {
        Ok(session) => session,
        Err(error) => return unknown(&error),
    };
    match session.perform(FindReplayClaim { key: key.to_hex() }) {
        Ok(Ok(claim)) => claim.taken.then(|| TakenClaim { key, earlier_use: claim.earlier_use.map(earlier_use) }),
        Ok(Err(error)) => unknown(&error),
        Err(error) => unknown(&error),
    }
}

fn earlier_use(told: sts_api::EarlierUse) -> EarlierUse {
    EarlierUse { at_millis: told.at_millis, request_id: told.request_id }
}

pub(super) fn text(explanation: &Explanation, not_in_force: Option<&str>) -> String {
    let mut text = not_in_force.map_or_else(|| explanation.summary.clone(), |note| first_line(explanation, note));
    if let Some(entry) = &explanation.issuer_entry {
        text.push_str(&format!("\n\nissuer entry: {entry}"));
    }
    text.push_str(&format!("\njudged as of: {}", rfc3339(explanation.judged_at)));
    if let Some(grant) = &explanation.grant {
        text.push_str(&format!(
            "\nwould mint: sub {}, aud {}, scope {}, for {} s",
            grant.sub,
            grant.aud,
            if grant.scope.is_empty() { "(none)" } else { &grant.scope },
            grant.expires_in
        ));
        for given in &grant.given_teams {
            text.push_str(&format!("\nteam {}: {}", given.team, given.source));
        }
    }
    if let Some(decision) = &explanation.decision {
        text.push_str("\n\n");
        text.push_str(sts_policy::render(decision).trim_end());
    }
    text
}

/// The token in a file, without the line break that editors and shells append.
fn unfiled(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// A time for people.
pub(super) fn rfc3339(time: UnixTime) -> String {
    time.to_rfc3339().unwrap_or_else(|| time.to_string())
}

/// RFC 3339, or seconds since the epoch.
pub(super) fn time(text: &str) -> Result<UnixTime, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime::from_secs(seconds));
    }
    UnixTime::from_rfc3339(text)
        .ok_or_else(|| "write RFC 3339 (2026-09-21T12:00:00Z) or seconds since the epoch".to_owned())
}

/// The text of a file, or of standard input for `-`.
pub(super) fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
    };
    // The value may be the token itself, which must not appear on a terminal or in a log.
    result.map(|_| text).map_err(|error| {
        let shown = shown_path(path);
        let help = if shown.starts_with('`') { "" } else { "; give the name of a file, or `-` for standard input" };
        format!("cannot read {shown}: {error}{help}")
    })
}

fn claims(path: &Path, text: &str) -> Result<ClaimSet, String> {
    ClaimSet::parse(text.as_bytes()).map_err(|error| format!("{} does not hold claims: {error}", shown_path(path)))
}
