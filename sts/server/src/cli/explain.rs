//! `sts explain`: why is this token refused, or granted. The first line is the verdict with its cause.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sts_policy::Asked;
use sts_service::{Explanation, Presented};
use sts_types::{ClaimSet, Clock, Json, UnixTime};

use super::operate::{self, ServerArgs};
use super::{RequestArgs, check, complain, fail, say};
use crate::clock::{ClockAt, SystemClock};
use crate::engine::{issuer_cache, snapshot};
use crate::operation::Operation;
use crate::start_error::StartError;

#[derive(Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["token", "claims", "denial"])))]
pub(super) struct ExplainArgs {
    /// A file with a token (`-` for standard input), which is verified as an exchange verifies it
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A JSON file with claims (`-` for standard input); nothing is verified, only the rules are asked
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The request id of a refusal by a running server
    #[arg(long, value_name = "REQUEST_ID")]
    denial: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
    /// Judge as of then: RFC 3339, or seconds since the epoch. Claims are judged as of their `iat` without it
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<UnixTime>,
    #[command(flatten)]
    server: ServerArgs,
}

/// The longest token or claims file, in bytes.
const MAX_INPUT: u64 = 1024 * 1024;

pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    if let Some(request_id) = &args.denial {
        return operate::run(&args.server, Operation::ShowDenial { request_id: request_id.clone() });
    }
    let input = match (&args.token, &args.claims) {
        (Some(path), _) => read(path).map(Input::Token),
        (None, Some(path)) => read(path).and_then(|text| claims(path, &text)).map(Input::Claims),
        (None, None) => Err("give --token, --claims or --denial".to_owned()),
    };
    let input = match input {
        Ok(input) => input,
        Err(message) => {
            complain(&format!("error: {message}"));
            return ExitCode::from(2);
        }
    };
    match explain(args, input) {
        Ok(explanation) => {
            let granted = explanation.reason.is_none();
            if args.server.json {
                say(&json!(explanation).to_string());
            } else {
                say(&text(&explanation));
            }
            if granted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            fail(&error);
            ExitCode::from(2)
        }
    }
}

enum Input {
    Token(String),
    Claims(ClaimSet),
}

fn explain(args: &ExplainArgs, input: Input) -> Result<Explanation, StartError> {
    let system = SystemClock::new();
    let settings = check::settings(&args.server.config, &system)?;
    let issued = match &input {
        Input::Claims(claims) => claims.get("iat").and_then(Json::as_i64).map(UnixTime::from_secs),
        Input::Token(_) => None,
    };
    let clock: Arc<dyn Clock> = match args.at.or(issued) {
        Some(wall) => Arc::new(ClockAt { wall, system }),
        None => Arc::new(system),
    };
    let snapshot = snapshot(&settings, issuer_cache(&settings, Arc::clone(&clock), None)?);
    let audience: Vec<String> = args.request.audiences().map(str::to_owned).collect();
    let asked = Asked {
        audience: &audience,
        resource: &args.request.resource,
        scope: args.request.scope.as_deref(),
        client_id: None,
        lifetime: None,
    };
    let presented = match &input {
        Input::Token(token) => Presented::Token(token.trim()),
        Input::Claims(claims) => Presented::Claims(claims.clone()),
    };
    Ok(crate::serve::runtime()?.block_on(sts_service::explain(&snapshot, &*clock, presented, &asked)))
}

fn text(explanation: &Explanation) -> String {
    let mut text = explanation.summary.clone();
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
    }
    if let Some(decision) = &explanation.decision {
        text.push_str("\n\n");
        text.push_str(sts_policy::render(decision).trim_end());
    }
    text
}

/// A moment for people.
pub(super) fn rfc3339(time: UnixTime) -> String {
    chrono::DateTime::from_timestamp(time.as_secs(), 0)
        .map_or_else(|| time.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// RFC 3339, or seconds since the epoch.
pub(super) fn time(text: &str) -> Result<UnixTime, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime::from_secs(seconds));
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| UnixTime::from_secs(time.timestamp()))
        .map_err(|_| "write RFC 3339 (2026-09-21T12:00:00Z) or seconds since the epoch".to_owned())
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
    result.map(|_| text).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn claims(path: &Path, text: &str) -> Result<ClaimSet, String> {
    ClaimSet::parse(text.as_bytes()).map_err(|error| format!("`{}` does not hold claims: {error}", path.display()))
}
