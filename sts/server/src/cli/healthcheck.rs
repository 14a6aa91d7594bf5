//! `sts healthcheck`: the health check of a container, which has no other program to ask with.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::StatusCode;
use sts_api::Readiness;

use super::ConfigArgs;
use super::admin_commands::{own_admin, refuse_start};
use super::client::{http_client, unreachable};
use crate::reload::environment;
use crate::serve::runtime;
use crate::start_error::StartError;
use crate::terminal::{complain, say};

/// Shorter than the time that container engines give a check.
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exits with 0 if the server is ready, with 1 if it is not or does not answer.
pub(super) fn run(args: &HealthcheckArgs) -> ExitCode {
    match check(args) {
        Ok(Ok(())) => {
            say("ready");
            ExitCode::SUCCESS
        }
        Ok(Err(why)) => {
            complain(&format!("error: {why}"));
            ExitCode::FAILURE
        }
        Err(error) => refuse_start(false, &error),
    }
}

/// The inner error says why the server is not ready.
fn check(args: &HealthcheckArgs) -> Result<Result<(), String>, StartError> {
    let access = sts_config::admin_access(&args.config.config, &environment).map_err(StartError::AdminUnknown)?;
    let (url, certificate) = own_admin(&access)?;
    let client = http_client(certificate.as_deref(), DEADLINE).map_err(StartError::Usage)?;
    Ok(runtime()?.block_on(ask(&client, &url)))
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let answer =
        client.get(format!("{url}/readyz")).send().await.map_err(|error| unreachable(url, &error, DEADLINE))?;
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let detail = answer.json::<Readiness>().await.map(|readiness| causes(&readiness)).unwrap_or_default();
    Err(format!("{url}/readyz answered {status}; expected 200 OK{detail}"))
}

/// The parts that are not well, as the end of a sentence.
fn causes(readiness: &Readiness) -> String {
    let parts = [
        ("store", &readiness.store),
        ("managed objects", &readiness.managed_objects),
        ("signing", &readiness.signing),
        ("audit", &readiness.audit),
    ];
    parts.into_iter().filter(|(_, told)| *told != "ok").map(|(part, told)| format!("; {part}: {told}")).collect()
}
