//! `sts check`: everything that a load would say, without serving.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sts_config::{Diagnostics, Loaded, Settings};
use sts_types::Clock;

use super::{complain, fail, say};
use crate::clock::SystemClock;
use crate::engine::issuer_cache;
use crate::reload::load;
use crate::start_error::StartError;

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    config: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match load(&args.config, clock.now()) {
        Err(diagnostics) => {
            report(args, &diagnostics, None);
            ExitCode::from(diagnostics.exit_code())
        }
        Ok(Loaded { settings, warnings }) => match issuer_cache(&settings, clock, None) {
            Ok(_) => {
                report(args, &warnings, Some(&settings));
                ExitCode::SUCCESS
            }
            Err(error) => {
                if args.json {
                    let document =
                        json!({ "ok": false, "error": error.to_string(), "diagnostics": warnings.to_json() });
                    say(&document.to_string());
                } else {
                    report(args, &warnings, None);
                    fail(&error);
                }
                ExitCode::from(2)
            }
        },
    }
}

fn report(args: &CheckArgs, diagnostics: &Diagnostics, passed: Option<&Settings>) {
    if args.json {
        let mut document = json!({ "ok": passed.is_some(), "diagnostics": diagnostics.to_json() });
        if let (Some(settings), Some(members)) = (passed, document.as_object_mut()) {
            members.insert("generation".to_owned(), json!(settings.generation));
        }
        say(&document.to_string());
        return;
    }
    if !diagnostics.is_empty() {
        complain(&diagnostics.render(std::io::stderr().is_terminal()));
    }
    if let Some(settings) = passed {
        say(&summary(&args.config, settings));
    }
}

fn summary(config: &Path, settings: &Settings) -> String {
    let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let identities = settings.rules.accounts().map(|account| account.identities.len()).sum();
    format!(
        "{}: ok ({}, {}, {}, {}, {})",
        config.display(),
        count(settings.entries.len(), "issuer entry", "issuer entries"),
        count(settings.policy.apis.len(), "API", "APIs"),
        count(settings.policy.accounts.len(), "service account", "service accounts"),
        count(identities, "identity", "identities"),
        count(settings.tests.len(), "policy test passed", "policy tests passed"),
    )
}

/// The settings of `config`, for a command that needs them.
pub(super) fn settings(config: &Path, clock: &dyn Clock) -> Result<Settings, StartError> {
    load(config, clock.now()).map(|loaded| loaded.settings).map_err(StartError::Configuration)
}
