//! `sts check`: everything that a load would say, without serving.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};
use sts_config::{Diagnostics, Loaded};
use sts_types::{Clock, UnixTime};

use super::against::{Comparison, compare};
use super::{complain, say};
use crate::clock::SystemClock;
use crate::engine::issuer_cache;
use crate::reload::{load, load_untested};

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    config: PathBuf,
    /// Tell what the configuration does to the tokens of its policy tests that OLD_CONFIG does not: exit code 1 when a verdict
    /// changes
    #[arg(long, value_name = "OLD_CONFIG")]
    against: Option<PathBuf>,
    /// With `--against`: judge the decisions of a file again, one decision event with claims in each line
    #[arg(long, value_name = "FILE", requires = "against")]
    replay: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now();
    let loaded = match load(&args.config, now) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            report(args, &diagnostics, Map::new());
            return ExitCode::from(diagnostics.exit_code());
        }
    };
    let Loaded { settings, written, warnings } = &loaded;
    if let Err(error) = issuer_cache(settings, clock, None) {
        return failed(args, warnings, &error.to_string());
    }
    let comparison = match args.against.as_deref().map(|old| against(old, &loaded, args.replay.as_deref(), now)) {
        None => None,
        Some(Ok(comparison)) => Some(comparison),
        Some(Err(Failure::Diagnostics(diagnostics))) => {
            report(args, &diagnostics, Map::new());
            return ExitCode::from(2);
        }
        Some(Err(Failure::Message(message))) => return failed(args, warnings, &message),
    };
    let overlaps = settings.rules.overlaps(&written.policy);
    let mut findings = warnings.clone();
    findings.extend(sts_config::describe_overlaps(written, &overlaps));
    let mut members = Map::new();
    members.insert("generation".to_owned(), json!(settings.generation));
    members.insert("overlaps".to_owned(), json!(overlaps));
    if let Some(comparison) = &comparison {
        members.insert("against".to_owned(), json!(comparison));
    }
    report(args, &findings, members);
    if !args.json {
        say(&summary(&args.config, &loaded));
        comparison.iter().for_each(|comparison| say(&comparison.text()));
    }
    if comparison.is_none_or(|comparison| comparison.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why there is no comparison.
enum Failure {
    /// The old configuration does not load.
    Diagnostics(Diagnostics),
    /// The recorded decisions cannot be read.
    Message(String),
}

fn against(old: &Path, new: &Loaded, replay: Option<&Path>, now: UnixTime) -> Result<Comparison, Failure> {
    // That its policy tests fail, or its rules warn, is no longer of interest.
    let old = load_untested(old).map_err(Failure::Diagnostics)?;
    compare(&old, new, replay, now).map_err(Failure::Message)
}

/// Says what stopped the check though nothing is wrong with the text of the configuration.
fn failed(args: &CheckArgs, warnings: &Diagnostics, message: &str) -> ExitCode {
    if args.json {
        say(&json!({ "ok": false, "error": message, "diagnostics": warnings.to_json() }).to_string());
    } else {
        report(args, warnings, Map::new());
        complain(&format!("error: {message}"));
    }
    ExitCode::from(2)
}

/// The findings, and what else the JSON document holds when all is well.
fn report(args: &CheckArgs, diagnostics: &Diagnostics, members: Map<String, Value>) {
    if args.json {
        let mut document = json!({ "ok": !members.is_empty(), "diagnostics": diagnostics.to_json() });
        document.as_object_mut().into_iter().for_each(|all| all.extend(members.clone()));
        say(&document.to_string());
    } else if !diagnostics.is_empty() {
        complain(&diagnostics.render(std::io::stderr().is_terminal()));
    }
}

fn summary(config: &Path, Loaded { settings, written, .. }: &Loaded) -> String {
    let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let identities = settings.rules.accounts().map(|account| account.identities.len()).sum();
    format!(
        "{}: ok ({}, {}, {}, {}, {})",
        config.display(),
        count(settings.trust.len(), "issuer entry", "issuer entries"),
        count(written.policy.apis.len(), "API", "APIs"),
        count(written.policy.accounts.len(), "service account", "service accounts"),
        count(identities, "identity", "identities"),
        count(written.tests.len(), "policy test passed", "policy tests passed"),
    )
}
