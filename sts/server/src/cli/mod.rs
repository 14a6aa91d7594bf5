//! The command line. Exit codes: 0 done, 1 refused or failed, 2 usage or configuration.

mod admin_commands;
mod api_keys;
mod apply;
mod audit;
mod audit_tail;
mod audit_verify;
mod check;
mod client;
mod compare;
mod completions;
mod console;
mod delete;
mod denials;
mod doctor;
mod enable;
mod explain;
mod explain_audit;
mod findings;
mod get;
mod healthcheck;
mod init;
mod issuers;
mod keys;
mod man;
mod object_kind;
mod schema;
mod store;
mod table;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use sts_store::Ledger;

use crate::terminal::{complain, fail};
use crate::{dev, serve};

/// A security token service: a platform's ID token in, a short-lived signed access token out.
#[derive(Parser)]
#[command(name = "sts", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(ConfigArgs),
    /// Exit with 0 if the server is ready: the health check of a container
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Run a server and a local issuer, show one exchange step by step, and serve until Ctrl-C;
    /// needs no configuration
    Dev(dev::DevArgs),
    /// Write a configuration to start from: asks where the workload runs and what it may do
    Init(init::InitArgs),
    /// Check a configuration: errors, lints, policy tests
    Check(check::CheckArgs),
    /// Look at everything that a server needs from outside, and say how to cure what is wrong
    Doctor(doctor::DoctorArgs),
    /// Explain why a token is granted or refused
    Explain(explain::ExplainArgs),
    /// Exchange the platform's ID token for an access token, and print it
    #[command(after_help = sts_client::FINDING_THE_TOKEN)]
    Exchange(sts_client::ExchangeArgs),
    /// Run a command with an access token that is kept fresh, and revoke it at the end
    #[command(after_help = sts_client::FINDING_THE_TOKEN)]
    Exec(sts_client::ExecArgs),
    /// List, rotate or withdraw our signing keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// List the refused requests of the last 24 hours, or show why one was refused
    #[command(subcommand)]
    Denials(denials::DenialsCommand),
    /// Verify audit files, or list the last audit events
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List, show or revoke minted tokens
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
    /// Put the objects of account files into the server's store, all or none
    Apply(apply::ApplyArgs),
    /// Show service accounts, teams, APIs or issuer entries, from files and from the store
    Get(get::GetArgs),
    /// Delete an object from the store
    Delete(delete::DeleteArgs),
    /// Let a service account get tokens
    Enable(enable::EnableArgs),
    /// Let a service account get no tokens, and end those that it has
    Disable(enable::EnableArgs),
    /// Create, list or revoke API keys of service accounts
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeysCommand),
    /// Show the issuer entries and their keys, or fetch the keys again
    #[command(subcommand)]
    Issuers(issuers::IssuersCommand),
    /// Back up the store, or accept it after it was emptied or restored
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Open the web console
    #[command(subcommand)]
    Console(console::ConsoleCommand),
    /// Print the JSON Schema of the configuration, or another document
    Schema(schema::SchemaArgs),
    /// Print a script that completes commands in a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a folder
    Man(man::ManArgs),
}

#[derive(Args)]
struct ConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    config: PathBuf,
}

/// Account, target and scope, as a request names them.
#[derive(Args)]
struct RequestArgs {
    /// The service account
    #[arg(long)]
    account: Option<String>,
    /// The API, by name or audience, or an account, as in a request (repeatable)
    #[arg(long)]
    audience: Vec<String>,
    /// The API, by its URI (repeatable)
    #[arg(long)]
    resource: Vec<String>,
    /// Scopes, separated by spaces
    #[arg(long)]
    scope: Option<String>,
}

impl RequestArgs {
    /// The values of `audience`, with the account as one of them.
    fn audiences(&self) -> impl Iterator<Item = &str> {
        self.account.iter().chain(&self.audience).map(String::as_str)
    }
}

/// Runs `sts serve` with another ledger than the configured one. Benchmarks measure the server
/// without a store that way.
#[must_use]
pub fn serve_on(config: &Path, ledger: Arc<dyn Ledger>) -> ExitCode {
    exit_of_start(serve::run(config, Some(ledger)))
}

/// The command line's description of itself.
fn command(commit: Option<&str>) -> clap::Command {
    let version = env!("CARGO_PKG_VERSION");
    let version = commit.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"));
    Cli::command().version(version)
}

/// Runs the command line. `commit` is the one that the binary is built from, for `--version`.
#[must_use]
pub fn run(commit: Option<&'static str>) -> ExitCode {
    crate::build::set_commit(commit);
    // All TLS connections in this process use this provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let parsed = command(commit).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            usage_error(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.command {
        Command::Serve(ConfigArgs { config }) => exit_of_start(serve::run(&config, None)),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Exchange(args) => sts_client::exchange(&args, &sts_client::Environment::of_process()),
        Command::Exec(args) => sts_client::exec(&args, &sts_client::Environment::of_process()),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, commit),
        Command::Denials(command) => denials::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Tokens(command) => tokens::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Store(command) => store::run(&command),
        Command::Console(command) => console::run(&command),
        Command::Issuers(command) => issuers::run(command),
        Command::Apply(args) => apply::run(&args),
        Command::Get(args) => get::run(args),
        Command::Delete(args) => delete::run(&args),
        Command::Enable(args) => enable::run(&args, true),
        Command::Disable(args) => enable::run(&args, false),
        Command::ApiKeys(command) => api_keys::run(command),
    }
}

/// Prints the errors in the arguments, or the requested help. Somebody may have pasted a token or
/// secret into the wrong place, so a value that looks like one is not repeated.
fn usage_error(error: &clap::Error) {
    let rendered = error.render().to_string();
    let values = || {
        std::env::args().skip(1).flat_map(|argument| {
            let value = argument.split_once('=').map(|(_, value)| value.to_owned());
            [Some(argument), value].into_iter().flatten()
        })
    };
    let secrets: Vec<String> =
        values().filter(|value| looks_like_secret(value) && rendered.contains(value.as_str())).collect();
    if !error.use_stderr() || secrets.is_empty() {
        let _ = error.print();
        return;
    }
    complain(&secrets.iter().fold(rendered, |text, secret| text.replace(secret.as_str(), "[not shown]")));
}

/// Whether a value on the command line may be a token or secret: it is long, and neither a word, a
/// path nor a URL.
fn looks_like_secret(value: &str) -> bool {
    const SHORTEST: usize = 16;
    let is_word = value.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    value.len() >= SHORTEST && !is_word && !value.contains("://") && !sts_types::looks_like_path(value)
}

/// Says what kept the server from starting. Its exit code says whose fault it is.
pub(crate) fn exit_of_start(result: Result<(), crate::start_error::StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            error.exit_code()
        }
    }
}
