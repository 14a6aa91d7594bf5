//! `sts audit`: the audit trail's tail, and the verification of its files.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use sts_api::AuditQuery;
use sts_types::UnixTime;

use super::admin_commands::ServerArgs;
use super::explain::time;
use super::tokens::limit;
use super::{audit_tail, audit_verify};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Verify audit files: whether any line was changed, cut, added or moved
    Verify {
        /// The files, with those that are full, in any order
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The key set that verifies the checkpoints: a file, or a URL such as
        /// `https://sts.example.com/.well-known/jwks.json` (repeatable)
        #[arg(long, value_name = "FILE|URL")]
        jwks: Vec<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the last audit events of a server, the newest last
    Tail {
        /// Only these types, separated by commas
        #[arg(long, value_name = "TYPES")]
        r#type: Option<String>,
        /// Only what this party did: a name, or a kind such as `admin_token`
        #[arg(long)]
        actor: Option<String>,
        /// Only what is about this: `service-accounts/octo`, a name, an issuer entry, a jti or a request id
        #[arg(long)]
        object: Option<String>,
        /// The earliest time: RFC 3339, or epoch seconds
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<UnixTime>,
        /// The latest time: RFC 3339, or epoch seconds
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<UnixTime>,
        /// List at most this many [default: 100]
        #[arg(long, value_name = "N", value_parser = limit)]
        limit: Option<usize>,
        /// Go on with the events that come, until Ctrl-C; with --json one line each
        #[arg(long, short, conflicts_with = "until")]
        follow: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(super) fn run(command: AuditCommand) -> ExitCode {
    match command {
        AuditCommand::Verify { files, jwks, json } => audit_verify::run(&files, &jwks, json),
        AuditCommand::Tail { r#type, actor, object, since, until, limit, follow, server } => {
            let query = AuditQuery { r#type, actor, object, since, until, after: None, limit };
            if follow { audit_tail::follow(&server, query) } else { audit_tail::list(&server, query) }
        }
    }
}
