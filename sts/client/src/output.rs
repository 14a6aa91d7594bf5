//! What `exchange` prints.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};
use sts_jose::OsEntropy;
use sts_types::{Clock, Entropy as _, UnixTime, visible};
use zeroize::Zeroizing;

use crate::arguments::{ExchangeArgs, Output};
use crate::credential_helper;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::server::{AccessToken, Server};

/// Exchanges and prints.
pub(crate) async fn run(args: &ExchangeArgs, environment: &Environment) -> Result<(), ClientError> {
    if let Some(operation) = &args.operation {
        if !matches!(args.output, Output::Docker | Output::Git) {
            return Err(ClientError::Usage(format!("unexpected argument `{operation}`")));
        }
        // The token is kept nowhere, so there is nothing to store and nothing to erase.
        if operation != "get" {
            return Ok(());
        }
    }
    if matches!(args.output, Output::Docker | Output::Git) {
        args.token.require_token_beside_stdin("a credential helper, whose question comes from there")?;
    }
    let asked = credential_helper::Asked::read(args.output)?;
    let server = Server::new(&args.token, environment)?;
    let access = server.access_token().await?;
    let expires_at = UnixTime::from_secs(now().as_secs().saturating_add_unsigned(access.expires_in));
    let text = match args.output {
        Output::Token => access.token.to_string(),
        Output::Json => access.answer.to_string(),
        Output::Env => format!("STS_ACCESS_TOKEN={}", *access.token),
        Output::GithubEnv => return github_env(&access, environment),
        Output::ExecCredential => exec_credential(&access, expires_at).to_string(),
        Output::Docker => asked.docker(&args.token, &access).to_string(),
        Output::Git => asked.git(&args.token, &access, expires_at),
    };
    match print(&Zeroizing::new(text)) {
        // Who reads it has heard enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| ClientError::failed(format!("cannot write to standard output: {error}"))),
    }
}

fn exec_credential(access: &AccessToken, expires_at: UnixTime) -> Value {
    json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": { "token": *access.token, "expirationTimestamp": expires_at.to_rfc3339() },
    })
}

/// Masks the token in the job's log before anything else, then sets it for later steps.
fn github_env(access: &AccessToken, environment: &Environment) -> Result<(), ClientError> {
    let file = environment.get("GITHUB_ENV").ok_or_else(|| {
        ClientError::Usage(
            "GITHUB_ENV is not set: `--output github-env` is for a step of a GitHub Actions job".to_owned(),
        )
    })?;
    print(&Zeroizing::new(format!("::add-mask::{}", *access.token))).map_err(|error| {
        ClientError::failed(format!("cannot mask the token in the job's log, so it is not set: {error}"))
    })?;
    // A random delimiter, so that no value can end itself and set another variable.
    let mut random = [0; 16];
    OsEntropy.fill(&mut random);
    let delimiter = sts_jose::base64url(&random);
    let lines = Zeroizing::new(format!("STS_ACCESS_TOKEN<<{delimiter}\n{}\n{delimiter}\n", *access.token));
    let appended = OpenOptions::new().append(true).create(true).open(file);
    appended
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| ClientError::failed(format!("cannot write the file that GITHUB_ENV names: {error}")))
}

/// The system's clock.
pub(crate) fn now() -> UnixTime {
    jwks_cache::Environment::system("sts-client").clock.now()
}

/// Writes a line to standard output.
fn print(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Writes to standard error. What a server answered does not reach the terminal as it is.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(text.trim_end()));
}

/// The exit code of a command that ended by itself or by a signal, as a shell has it.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
