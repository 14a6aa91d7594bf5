//! The caller's side: finds the platform's ID token, exchanges it at a server, and hands the access
//! token on.
//!
//! `sts exchange` and `sts exec` are these commands, and so is the small binary `sts-client`, which
//! has nothing else in it.

mod arguments;
mod credential_helper;
mod environment;
mod error;
mod exec;
mod http;
mod output;
mod platform;
mod retry;
mod server;
mod signals;
mod source;
mod watch;

use std::process::ExitCode;

pub use arguments::{ExchangeArgs, ExecArgs};
pub use environment::Environment;
use error::ClientError;
pub use platform::FINDING_THE_TOKEN;

/// Runs `exchange`.
#[must_use]
pub fn exchange(args: &ExchangeArgs, environment: &Environment) -> ExitCode {
    finish(block_on(async {
        if let Some(file) = &args.watch {
            return watch::run(args, file, environment).await;
        }
        output::run(args, environment).await.map(|()| ExitCode::SUCCESS)
    }))
}

/// Runs `exec`. The exit code is the command's own.
#[must_use]
pub fn exec(args: &ExecArgs, environment: &Environment) -> ExitCode {
    finish(block_on(exec::run(args, environment)))
}

fn block_on(run: impl Future<Output = Result<ExitCode, ClientError>>) -> Result<ExitCode, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| ClientError::failed(format!("cannot start: {error}")))?.block_on(run)
}

fn finish(result: Result<ExitCode, ClientError>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("error: {error}"));
            error.exit_code()
        }
    }
}
