//! The arguments of the commands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::error::ClientError;
use crate::platform::Platform;

/// Where the ID token comes from, and what is asked for it.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenArgs {
    /// URL of the sts server: its `issuer`
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Where this runs, if that is not to be found out
    #[arg(long, value_enum)]
    pub(crate) platform: Option<Platform>,
    /// File with the ID token (`-` for standard input); without it, the token comes from the platform, see below
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Audience of the ID token, if the platform mints it on request [default: the server's URL]
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) token_audience: Option<String>,
    /// CA certificates to trust for the server (PEM), in place of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The service account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The API, by name or audience, or an account, as in a request (repeatable)
    #[arg(long)]
    pub(crate) audience: Vec<String>,
    /// The API, by its URI (repeatable)
    #[arg(long)]
    pub(crate) resource: Vec<String>,
    /// Scopes, separated by spaces
    #[arg(long)]
    pub(crate) scope: Option<String>,
    /// Lifetime of the access token in seconds; it can only shorten the configured one
    #[arg(long, value_name = "SECONDS")]
    pub(crate) expires_in: Option<u32>,
    /// Seconds for everything, further attempts included
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

impl TokenArgs {
    /// Whether the ID token comes from standard input.
    pub(crate) fn token_from_stdin(&self) -> bool {
        self.token_file.as_deref().is_some_and(|file| file.as_os_str() == "-")
    }

    /// Refuses an ID token from standard input where `what` needs another one later, or reads
    /// something else from there.
    pub(crate) fn require_token_beside_stdin(&self, what: &str) -> Result<(), ClientError> {
        if self.token_from_stdin() {
            return Err(ClientError::Usage(format!(
                "`--token-file -` does not go with {what}: give the name of a file"
            )));
        }
        Ok(())
    }

    /// The audience that a platform is asked for.
    pub(crate) fn id_token_audience(&self) -> &str {
        self.token_audience.as_deref().unwrap_or(&self.url)
    }
}

/// `exchange`.
#[derive(Args, Clone, Debug)]
pub struct ExchangeArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Token)]
    pub(crate) output: Output,
    /// Keep a fresh access token in this file until interrupted
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "operation"])]
    pub(crate) watch: Option<PathBuf>,
    /// For credential helpers: what git or Docker asks for (`get`; anything else does nothing)
    #[arg(value_name = "OPERATION", hide = true)]
    pub(crate) operation: Option<String>,
}

/// `exec`.
#[derive(Args, Clone, Debug)]
pub struct ExecArgs {
    #[command(flatten)]
    pub(crate) token: TokenArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The access token
    Token,
    /// The server's answer
    Json,
    /// A line for a shell: STS_ACCESS_TOKEN=...
    Env,
    /// STS_ACCESS_TOKEN for the later steps of a GitHub Actions job, masked in its log
    GithubEnv,
    /// An ExecCredential for Kubernetes clients
    ExecCredential,
    /// The answer of a Docker credential helper
    Docker,
    /// The answer of a git credential helper
    Git,
}
