//! `sts tokens|keys|issuers|store`: speaks to the running server's admin listener; when none runs, opens the store (the embedded one
//! under its lock) and does the same work here.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sts_config::Settings;
use sts_service::RevocationRequest;
use sts_types::{Clock, UnixTime};
use zeroize::Zeroizing;

use super::explain::{rfc3339, time};
use super::table::table;
use super::{check, complain, fail, issuers, say};
use crate::admin_token;
use crate::clock::SystemClock;
use crate::engine::{Engine, opens_store};
use crate::http::BindError;
use crate::metrics::Metrics;
use crate::operation::{Operation, OperationFailure};
use crate::start_error::StartError;
use crate::telemetry::Silent;

/// How long the running server may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Which server, and how to answer.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// The configuration file of the server
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    pub(super) config: PathBuf,
    /// The admin listener's URL, in place of the configuration's
    #[arg(long, value_name = "URL", requires = "admin_token_file")]
    admin_url: Option<String>,
    /// The file with the admin token, in place of the configuration's
    #[arg(long, value_name = "FILE", requires = "admin_url")]
    admin_token_file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

// A jti, a kid and a subject may begin with a hyphen, which no option of ours does by itself.
#[derive(Subcommand)]
pub(super) enum TokensCommand {
    /// List recorded tokens, newest first
    List {
        /// Only this account's (username or id)
        #[arg(long)]
        account: Option<String>,
        /// Go on after this jti
        #[arg(long, value_name = "JTI", allow_hyphen_values = true)]
        after: Option<String>,
        /// The most tokens to list
        #[arg(long)]
        limit: Option<usize>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one recorded token
    Show {
        /// The token's jti
        #[arg(allow_hyphen_values = true)]
        jti: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke one token, or every token that all the given fields fit
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// One token
    #[arg(long, allow_hyphen_values = true)]
    jti: Option<String>,
    /// Tokens of this account (username or id)
    #[arg(long)]
    account: Option<String>,
    /// Tokens of identities of this name
    #[arg(long)]
    identity: Option<String>,
    /// Tokens exchanged for tokens of this issuer entry
    #[arg(long, value_name = "ENTRY")]
    issuer: Option<String>,
    /// Tokens whose subject token's `sub` this pattern matches
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Tokens whose subject token this key of its issuer signed
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    issuer_kid: Option<String>,
    /// Tokens that this key of ours signed
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// Tokens granted under this snapshot
    #[arg(long)]
    generation: Option<String>,
    /// Tokens with this copied claim
    #[arg(long, value_name = "NAME=PATTERN", value_parser = claim)]
    claim: Vec<(String, String)>,
    /// Only tokens issued before: RFC 3339, or seconds since the epoch; now when left out
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<UnixTime>,
    /// Why; kept with the revocation
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, pattern) = text.split_once('=').ok_or("write NAME=PATTERN")?;
    Ok((name.to_owned(), pattern.to_owned()))
}

impl TokensCommand {
    /// Which server, and what to do; the error says what is wrong with the arguments.
    pub(super) fn into_parts(self) -> Result<(ServerArgs, Operation), String> {
        Ok(match self {
            Self::List { account, after, limit, server } => (server, Operation::ListTokens { account, after, limit }),
            Self::Show { jti, server } => (server, Operation::ShowToken { jti }),
            Self::Revoke(args) => {
                let names: BTreeSet<&str> = args.claim.iter().map(|(name, _)| name.as_str()).collect();
                if names.len() < args.claim.len() {
                    return Err(
                        "--claim names one claim twice; a pattern says more than one value with wildcards".to_owned()
                    );
                }
                let request = RevocationRequest {
                    jti: args.jti,
                    account: args.account,
                    identity: args.identity,
                    issuer: args.issuer,
                    subject: args.subject,
                    issuer_kid: args.issuer_kid,
                    kid: args.kid,
                    generation: args.generation,
                    claim: args.claim.into_iter().collect(),
                    before: args.before,
                    reason: args.reason,
                };
                (args.server, Operation::Revoke(Box::new(request)))
            }
        })
    }
}

/// Does the operation wherever it can be done, and prints what came of it.
pub(super) fn run(args: &ServerArgs, operation: Operation) -> ExitCode {
    let shown = operation.clone();
    match perform(args, operation) {
        Ok(Ok(value)) => {
            say(&if args.json { value.to_string() } else { text(&shown, &value) });
            // What is explained there is a refusal, as it is for a token that would be refused now.
            if matches!(shown, Operation::ShowDenial { .. }) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Ok(Err(failure)) => {
            refuse(args.json, &failure);
            ExitCode::FAILURE
        }
        Err(error) => {
            if args.json {
                refuse(true, &error)
            } else {
                fail(&error)
            }
            ExitCode::from(2)
        }
    }
}

/// Says what went wrong: one JSON document on standard output with `--json`, a line on standard error without.
pub(super) fn refuse(json: bool, error: &dyn std::fmt::Display) {
    if json {
        say(&json!({ "error": error.to_string() }).to_string());
    } else {
        complain(&format!("error: {error}"));
    }
}

type Done = Result<Value, OperationFailure>;

fn perform(args: &ServerArgs, operation: Operation) -> Result<Done, StartError> {
    let runtime = crate::serve::runtime()?;
    if let (Some(url), Some(file)) = (&args.admin_url, &args.admin_token_file) {
        let token = admin_token::read(file)?;
        return Ok(match runtime.block_on(ask(url, None, &token, &operation)) {
            Asked::Done(done) => done,
            Asked::NobodyThere => Err(OperationFailure::Failed(format!("nothing listens at {url}"))),
        });
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = check::settings(&args.config, &*clock)?;
    let token_file = admin_token::path(&settings.data_dir);
    if token_file.exists() {
        let token = admin_token::read(&token_file)?;
        let (url, certificate) = own_admin(&settings)?;
        if let Asked::Done(done) = runtime.block_on(ask(&url, certificate.as_deref(), &token, &operation)) {
            return Ok(done);
        }
    }
    let opens = opens_store(&settings);
    if !opens.exists() {
        return Ok(Err(OperationFailure::Failed(format!(
            "no server listens at {}, and `{}` is not there to open the store without one: start one with `sts serve`, or give --admin-url \
             and --admin-token-file",
            settings.admin.listen,
            opens.display()
        ))));
    }
    // What drives the connections to a store is this runtime.
    let _entered = runtime.enter();
    let engine = Engine::open(&settings, clock, Arc::new(Silent), Arc::new(Metrics::default()), None)?;
    Ok(runtime.block_on(operation.run(&engine.desk, "command line")))
}

enum Asked {
    Done(Done),
    NobodyThere,
}

/// Where the server of these settings is spoken to, and the certificate it shows, which is trusted because it is configured.
fn own_admin(settings: &Settings) -> Result<(String, Option<Vec<u8>>), StartError> {
    let mut address = settings.admin.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    match &settings.admin.tls {
        None => Ok((format!("http://{address}"), None)),
        Some(tls) => {
            let read = std::fs::read(&tls.cert_file);
            let certificate = read.map_err(|error| BindError::Certificate {
                what: "a certificate chain",
                path: tls.cert_file.clone(),
                why: error.to_string(),
            })?;
            Ok((format!("https://{address}"), Some(certificate)))
        }
    }
}

async fn ask(url: &str, certificate: Option<&[u8]>, token: &Zeroizing<String>, operation: &Operation) -> Asked {
    let (method, path, body) = operation.to_request();
    let failed = |error: &dyn std::fmt::Display| Asked::Done(Err(OperationFailure::Failed(error.to_string())));
    let trusted = match certificate.map(reqwest::Certificate::from_pem_bundle).transpose() {
        Ok(trusted) => trusted.unwrap_or_default(),
        Err(error) => return failed(&with_causes(&error)),
    };
    let client = match reqwest::Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_merge(trusted)
        .build()
    {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    let mut request = client.request(method, format!("{}{path}", url.trim_end_matches('/'))).bearer_auth(&**token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if is_refused(&error) => return Asked::NobodyThere,
        Err(error) => return failed(&with_causes(&error)),
    };
    let status = response.status();
    let value: Value = match response.json().await {
        Ok(value) => value,
        Err(_) => return failed(&format!("the server at {url} answered {status} without JSON: is it sts?")),
    };
    if status.is_success() {
        return Asked::Done(Ok(value));
    }
    let told = value.get("error_description").and_then(Value::as_str).unwrap_or("no description").to_owned();
    Asked::Done(Err(match status.as_u16() {
        404 => OperationFailure::NotFound(told),
        400 | 401 | 403 => OperationFailure::Refused(told),
        _ => OperationFailure::Failed(told),
    }))
}

/// Whether nobody listens there; a handshake that fails is somebody.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The whole chain of causes: a client's error alone says too little.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The answer for people.
fn text(operation: &Operation, value: &Value) -> String {
    match operation {
        Operation::ListTokens { .. } => table(
            value.get("tokens"),
            &[
                ("jti", "JTI"),
                ("account", "ACCOUNT"),
                ("identity", "IDENTITY"),
                ("api", "API"),
                ("state", "STATE"),
                ("iat", "ISSUED"),
                ("exp", "EXPIRES"),
            ],
            "no tokens are recorded",
        ),
        Operation::ListKeys | Operation::RotateKeys => table(
            value.get("keys"),
            &[
                ("kid", "KID"),
                ("algorithm", "ALGORITHM"),
                ("phase", "PHASE"),
                ("created", "CREATED"),
                ("signs_from", "SIGNS FROM"),
                ("signs_until", "SIGNS UNTIL"),
            ],
            "there are no keys",
        ),
        Operation::ListIssuers => issuers::list(value),
        Operation::ShowIssuer { .. } => issuers::show(value),
        Operation::IssuerHistory { .. } => issuers::history(value),
        Operation::AcceptEpoch if value.get("accepted") == Some(&Value::Bool(true)) => {
            "accepted: the store is the ledger from now on; what was revoked and is missing from it has come back"
                .to_owned()
        }
        Operation::AcceptEpoch => {
            "there is nothing to accept: the store is the one that is known, and nothing is missing".to_owned()
        }
        Operation::Revoke(_) => "revoked; offline verifiers accept the tokens until they expire".to_owned(),
        Operation::ShowDenial { .. } => denial(value),
        _ => format!("{value:#}"),
    }
}

fn denial(value: &Value) -> String {
    let member = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = value.get("time").and_then(Value::as_i64).map(UnixTime::from_secs).map(rfc3339).unwrap_or_default();
    format!(
        "{}\n\nissuer entry: {}\nsubject: {}\nrefused at: {time}\n\n{}",
        member("summary"),
        member("issuer_entry"),
        member("subject"),
        member("text").trim_end()
    )
}
