//! `sts-client`: `sts exchange` and `sts exec` in a small binary, for CI images.

use std::process::ExitCode;

use clap::Parser;
use sts_client::{Environment, ExchangeArgs, ExecArgs, FINDING_THE_TOKEN};

/// Exchange a platform's ID token for an access token
#[derive(Parser)]
#[command(name = "sts-client", version)]
enum Command {
    /// Exchange the platform's ID token for an access token, and print it
    #[command(after_help = FINDING_THE_TOKEN)]
    Exchange(ExchangeArgs),
    /// Run a command with an access token that is kept fresh, and revoke it at the end
    #[command(after_help = FINDING_THE_TOKEN)]
    Exec(ExecArgs),
}

fn main() -> ExitCode {
    // All TLS connections in this process use this provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment = Environment::of_process();
    match Command::parse() {
        Command::Exchange(args) => sts_client::exchange(&args, &environment),
        Command::Exec(args) => sts_client::exec(&args, &environment),
    }
}
