//! `sts check`: everything that a load would say, without serving.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};
use sts_config::{AbsentSecrets, Diagnostics, Settings, Severity};
use sts_types::{CheckCode, Clock, UnixTime};

use super::compare::{Comparison, compare};
use crate::certificate::public_host;
use crate::clock::SystemClock;
use crate::compile::{self, Compiled, Loaded};
use crate::components::issuer_cache;
use crate::file_permissions;
use crate::http::{leaf_problems, read_certificate};
use crate::reload::{load_to_check, load_untested};
use crate::start_error::StartError;
use crate::terminal::{say, show_findings};

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    config: PathBuf,
    /// Compare with another configuration: list the tokens of the policy tests that it judges differently (exit code 1 if there
    /// are any)
    #[arg(long, value_name = "OLD_CONFIG")]
    against: Option<PathBuf>,
    /// With `--against`: also judge the decision events in this file again (one per line, with claims)
    #[arg(long, value_name = "FILE", requires = "against")]
    replay: Option<PathBuf>,
    /// Report missing secret files as warnings, to check rules where the secrets are not available
    #[arg(long)]
    without_secrets: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now();
    let absent_secrets = if args.without_secrets { AbsentSecrets::Warn } else { AbsentSecrets::Refuse };
    let loaded = match load_to_check(&args.config, now, absent_secrets) {
        Ok(loaded) => loaded,
        Err(findings) => return refused(args, &findings),
    };
    let Loaded { compiled, written, warnings, .. } = &loaded;
    let settings = &compiled.settings;
    let mut findings = warnings.clone();
    check_permissions(settings, &mut findings);
    check_certificates(settings, now, &mut findings);
    check_issuers(compiled, clock, args.without_secrets, &mut findings);
    if findings.is_fatal() {
        return refused(args, &findings);
    }
    let comparison = match args.against.as_deref().map(|old| against(old, &loaded, args.replay.as_deref(), now)) {
        None => None,
        Some(Ok(comparison)) => Some(comparison),
        Some(Err(Failure::Diagnostics(diagnostics))) => {
            report(args, &diagnostics, Map::new());
            return ExitCode::from(2);
        }
        Some(Err(Failure::Unreadable(message))) => {
            let help = "correct the path given to `--replay`, or let this user read the file".to_owned();
            findings.add(CheckCode::UnreadableFile, Severity::Error, message, Some(help));
            return refused(args, &findings);
        }
    };
    let overlaps = compiled.rules.overlaps(&written.policy);
    findings.extend(compile::describe_overlaps(written, &overlaps));
    if exit_code(args, &findings) != 0 {
        return refused(args, &findings);
    }
    let mut members = Map::new();
    members.insert("generation".to_owned(), json!(compiled.generation));
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

fn exit_code(args: &CheckArgs, findings: &Diagnostics) -> u8 {
    if args.strict { findings.strict_exit_code() } else { findings.exit_code() }
}

fn refused(args: &CheckArgs, findings: &Diagnostics) -> ExitCode {
    report(args, findings, Map::new());
    ExitCode::from(exit_code(args, findings))
}

/// Checks who can read the files that a server keeps.
fn check_permissions(settings: &Settings, findings: &mut Diagnostics) {
    match file_permissions::check_everything(settings) {
        Ok(open_to_groups) => {
            for access in open_to_groups {
                let code = CheckCode::GroupReadableSecret;
                findings.add(code, Severity::Warning, access.to_string(), Some(access.help()));
            }
        }
        Err(StartError::Secret(error) | StartError::Folder { error, .. }) if error.is_denied() => {
            let help = Some("run the check as the user that runs sts".to_owned());
            let message = format!("{}, so it was not checked", error.message());
            findings.add(error.code(), Severity::Warning, message, help);
        }
        Err(StartError::Secret(error)) => {
            findings.add(error.code(), Severity::Error, error.message(), Some(error.help()));
        }
        Err(StartError::Folder { key, error }) => {
            let message = format!("`{key}`: {}", error.message());
            findings.add(error.code(), Severity::Error, message, Some(error.help()));
        }
        Err(error) => {
            let code = error.code().unwrap_or(CheckCode::UnusableSigningKeys);
            findings.add(code, Severity::Error, error.to_string(), None);
        }
    }
}

/// Whether clients of each listener with TLS will accept its certificate.
fn check_certificates(settings: &Settings, now: UnixTime, findings: &mut Diagnostics) {
    let host = public_host(settings);
    let listeners = [("tls", &settings.tls, host.as_deref()), ("admin.tls", &settings.admin.tls, None)];
    for (key, files, host) in listeners {
        // Where secrets may be absent, it was told already that they are.
        let Some(files) = files.as_ref().filter(|files| files.cert_file.exists() && files.key_file.exists()) else {
            continue;
        };
        match read_certificate(files) {
            Ok(certificate) => {
                for problem in leaf_problems(&certificate, now, host) {
                    let message = format!("the certificate `{}` of `{key}` {problem}", files.cert_file.display());
                    findings.add(problem.code(), Severity::Error, message, Some(problem.help().to_owned()));
                }
            }
            Err(error) => {
                let code = error.code().unwrap_or(CheckCode::InvalidCertificate);
                findings.add(code, Severity::Error, error.to_string(), None);
            }
        }
    }
}

/// Checks that the issuer entries make a key cache.
fn check_issuers(compiled: &Compiled, clock: Arc<dyn Clock>, without_secrets: bool, findings: &mut Diagnostics) {
    match issuer_cache(compiled, clock) {
        Ok(_) => {}
        Err(StartError::Configuration(own)) => {
            // The load told which secrets are absent.
            let is_told = |code| without_secrets && code == CheckCode::MissingSecret;
            own.iter().filter(|finding| !is_told(finding.code)).for_each(|finding| {
                findings.add(finding.code, finding.severity, finding.message.clone(), finding.help.clone());
            });
        }
        Err(error) => {
            let code = error.code().unwrap_or(CheckCode::InvalidKeySet);
            findings.add(code, Severity::Error, error.to_string(), None);
        }
    }
}

/// Why there is no comparison.
enum Failure {
    /// The old configuration does not load.
    Diagnostics(Diagnostics),
    /// The recorded decisions cannot be read.
    Unreadable(String),
}

fn against(old: &Path, new: &Loaded, replay: Option<&Path>, now: UnixTime) -> Result<Comparison, Failure> {
    // That its policy tests fail, or its rules warn, is no longer of interest.
    let old = load_untested(old).map_err(Failure::Diagnostics)?;
    compare(&old, new, replay, now).map_err(Failure::Unreadable)
}

/// Prints the findings. `members` are the other members of the JSON document if there is no error.
fn report(args: &CheckArgs, diagnostics: &Diagnostics, members: Map<String, Value>) {
    if args.json {
        let mut document = json!({ "ok": !members.is_empty(), "diagnostics": diagnostics.to_json() });
        document.as_object_mut().into_iter().for_each(|all| all.extend(members.clone()));
        say(&document.to_string());
    } else if !diagnostics.is_empty() {
        show_findings(diagnostics);
    }
}

pub(super) fn summary(config: &Path, Loaded { compiled, written, .. }: &Loaded) -> String {
    let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let identities = compiled.rules.accounts().map(|account| account.identities.len()).sum();
    format!(
        "{}: ok ({}, {}, {}, {}, {})",
        config.display(),
        count(compiled.trust.len(), "issuer entry", "issuer entries"),
        count(written.policy.apis.len(), "API", "APIs"),
        count(written.policy.accounts.len(), "service account", "service accounts"),
        count(identities, "identity", "identities"),
        count(written.tests.len(), "policy test passed", "policy tests passed"),
    )
}
