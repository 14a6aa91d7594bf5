//! The commands that speak to a server: through the running one's admin listener, or when none runs by opening its store
//! (the embedded one under its lock) and doing the same work here.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use sts_config::{AdminAccess, Diagnostics};
use sts_types::{CheckCode, Clock, shown_path};
use zeroize::Zeroizing;

use super::client::{AdminAnswer, AdminClient, OperationRequest, admin_url};
use super::findings::diagnostics;
use crate::admin::{self, Caller, Download, Operation, OperationError};
use crate::admin_token;
use crate::audit::{self, TrailOwner};
use crate::clock::SystemClock;
use crate::compile::{Compiled, Loaded, names_alone};
use crate::components::{Components, missing_to_open};
use crate::http::BindError;
use crate::managed;
use crate::metrics::Metrics;
use crate::reload::{environment, load_untested};
use crate::rule_base::{Certificates, RuleBase};
use crate::start_error::StartError;
use crate::terminal::{complain, fail, say, show_findings};

/// The server to use, and the form of the output.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// The server's configuration file; if the server runs, only `admin` and `data_dir` are read
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    pub(super) config: PathBuf,
    /// URL of the admin listener, instead of the one in the configuration
    #[arg(long, value_name = "URL", requires = "admin_token_file")]
    admin_url: Option<String>,
    /// File with the admin token (`-` for standard input), instead of the one in `data_dir`
    #[arg(long, value_name = "FILE", requires = "admin_url")]
    admin_token_file: Option<PathBuf>,
    /// A PEM file of CA certificates to trust at --admin-url, in addition to the system's
    #[arg(long, value_name = "FILE", requires = "admin_url")]
    ca_file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// The answer to an operation, or the error of the server.
pub(super) type Done<T> = Result<T, OperationError>;

/// Performs the operation at the running server or in this process, and prints its answer. `text`
/// formats it for people.
pub(super) fn run<O: Operation>(args: &ServerArgs, operation: O, text: impl FnOnce(&O::Answer) -> String) -> ExitCode {
    run_with(args, operation.not_done(), |session| session.perform(operation), text)
}

/// Runs `work` in a session and prints its answer. If the session cannot be opened, the error ends
/// with `not_done`.
pub(super) fn run_with<T: Serialize>(
    args: &ServerArgs,
    not_done: &str,
    work: impl FnOnce(&mut Session<'_>) -> Result<Done<T>, StartError>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    finish(args, not_done, Session::open(args).and_then(|mut session| work(&mut session)), text)
}

/// Prints what came of work.
pub(super) fn finish<T: Serialize>(
    args: &ServerArgs,
    not_done: &str,
    done: Result<Done<T>, StartError>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match done {
        Ok(Ok(answer)) => {
            say(&if args.json { json!(answer).to_string() } else { text(&answer) });
            ExitCode::SUCCESS
        }
        Ok(Err(failure)) => {
            failed(args.json, &failure);
            ExitCode::FAILURE
        }
        Err(error) => not_begun(args.json, &error, not_done),
    }
}

/// Says why work did not begin.
pub(super) fn not_begun(json: bool, error: &StartError, not_done: &str) -> ExitCode {
    if json {
        refuse(true, &format!("{error}; {not_done}"));
    } else {
        fail(error);
        complain(not_done);
    }
    error.exit_code()
}

/// Says why an operation did not happen, with the findings that refuse it.
pub(super) fn failed(json: bool, failure: &OperationError) {
    let OperationError::Invalid { detail, findings } = failure else {
        refuse(json, failure);
        return;
    };
    let findings = diagnostics(findings, |_| None);
    if json {
        say(&json!({ "error": detail, "findings": findings.to_json() }).to_string());
    } else {
        show_findings(&findings);
        complain(&format!("error: {detail}"));
    }
}

/// Formats an answer as indented JSON.
pub(super) fn document(answer: &impl Serialize) -> String {
    format!("{:#}", json!(answer))
}

/// Prints the error that kept a command from its work, and returns its exit code.
pub(super) fn refuse_start(json: bool, error: &StartError) -> ExitCode {
    if json {
        refuse(true, error)
    } else {
        fail(error)
    }
    error.exit_code()
}

/// Prints an error: with `--json` as a JSON document on standard output, else as a line on standard
/// error.
pub(super) fn refuse(json: bool, error: &dyn std::fmt::Display) {
    if json {
        say(&json!({ "error": error.to_string() }).to_string());
    } else {
        complain(&format!("error: {error}"));
    }
}

/// Performs operations at a server, or in this process if no server runs.
pub(super) struct Session<'a> {
    args: &'a ServerArgs,
    runtime: tokio::runtime::Runtime,
    place: Backend,
}

enum Backend {
    /// The server at this address. If it does not run and `may_open` is set, the command opens the
    /// store itself.
    Server { client: AdminClient, may_open: bool },
    /// No server can be reached. The text says why.
    Nowhere(String),
    /// In this process.
    Here(Box<Components>),
}

impl<'a> Session<'a> {
    pub(super) fn open(args: &'a ServerArgs) -> Result<Self, StartError> {
        Ok(Self { args, runtime: crate::serve::runtime()?, place: place(args)? })
    }

    /// The URL of the server's admin listener, unless the work is done in this process.
    pub(super) fn server_url(&self) -> Option<&str> {
        match &self.place {
            Backend::Server { client, .. } => Some(client.url()),
            Backend::Nowhere(_) | Backend::Here(_) => None,
        }
    }

    /// Performs the operation at the running server, and never in this process.
    ///
    /// # Errors
    /// No server can be reached.
    pub(super) fn ask_server<O: Operation>(&self, operation: &O) -> Result<Done<O::Answer>, String> {
        match &self.place {
            Backend::Server { client, .. } => {
                match self.runtime.block_on(client.send(&OperationRequest::of(operation))) {
                    AdminAnswer::Done(done) => Ok(done.and_then(|answer| client.read(&answer))),
                    AdminAnswer::NobodyThere(text) => Err(text),
                }
            }
            Backend::Nowhere(text) => Err(text.clone()),
            Backend::Here(_) => Err("this process has the store open".to_owned()),
        }
    }

    /// Performs the operation at the running server, or in this process if no server runs.
    pub(super) fn perform<O: Operation>(&mut self, operation: O) -> Result<Done<O::Answer>, StartError> {
        let missing = match &self.place {
            Backend::Server { client, may_open } => {
                match self.runtime.block_on(client.send(&OperationRequest::of(&operation))) {
                    AdminAnswer::Done(done) => return Ok(done.and_then(|answer| client.read(&answer))),
                    AdminAnswer::NobodyThere(text) if *may_open => text,
                    AdminAnswer::NobodyThere(text) => {
                        return Ok(Err(OperationError::Failed(format!("{text}; {}", operation.not_done()))));
                    }
                }
            }
            Backend::Nowhere(text) => text.clone(),
            Backend::Here(engine) => return Ok(self.perform_here(engine, operation)),
        };
        let engine = match self.open_store(missing, O::ENDPOINT.needs_rules, operation.not_done())? {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let done = self.perform_here(&engine, operation);
        self.place = Backend::Here(Box::new(engine));
        Ok(done)
    }

    /// Performs the operation in this process. Its answer is written as JSON and read again, as a server's is,
    /// so that both share their code.
    fn perform_here<O: Operation>(&self, engine: &Components, operation: O) -> Done<O::Answer> {
        let performing = admin::begin(operation, Caller::command_line(), Arc::clone(&engine.state));
        let answer = self.runtime.block_on(performing)?;
        serde_json::from_slice(answer.body.as_bytes())
            .map_err(|error| OperationError::Failed(format!("the answer cannot be read again: {error}")))
    }

    /// Fetches the file of `D` into `target`, from the running server or from the store itself.
    pub(super) fn fetch<D: Download>(&mut self, target: &mut File) -> Result<Done<()>, StartError> {
        let missing = match &self.place {
            Backend::Server { client, may_open } => match self.runtime.block_on(client.fetch::<D>(target)) {
                AdminAnswer::Done(done) => return Ok(done),
                AdminAnswer::NobodyThere(text) if *may_open => text,
                AdminAnswer::NobodyThere(text) => {
                    return Ok(Err(OperationError::Failed(format!("{text}; {}", D::NOT_DONE))));
                }
            },
            Backend::Nowhere(text) => text.clone(),
            Backend::Here(engine) => return Ok(self.runtime.block_on(copy_file::<D>(engine, target))),
        };
        let engine = match self.open_store(missing, D::ENDPOINT.needs_rules, D::NOT_DONE)? {
            Ok(engine) => engine,
            Err(error) => return Ok(Err(error)),
        };
        let done = self.runtime.block_on(copy_file::<D>(&engine, target));
        self.place = Backend::Here(Box::new(engine));
        Ok(done)
    }

    /// Opens the store in this process, because no server runs. `missing` says so.
    fn open_store(&self, missing: String, needs_rules: bool, not_done: &str) -> Result<Done<Components>, StartError> {
        let opened = match rules_to_open(&self.args.config, needs_rules) {
            Ok(opened) => opened,
            Err(diagnostics) => return Err(StartError::StoreNotOpened { missing, diagnostics }),
        };
        if let Some(file) = missing_to_open(&opened.compiled().settings) {
            return Ok(Err(OperationError::Failed(format!(
                "{missing}; and `{}` is not there to open the store without one: start a server with `sts serve`, or give \
                 --admin-url and --admin-token-file; {not_done}",
                file.display(),
            ))));
        }
        // The store spawns its connection tasks on the runtime that is entered.
        let entered = self.runtime.enter();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let engine =
            Components::open(opened.compiled(), clock, TrailOwner::CommandLine, Arc::new(Metrics::default()), None)?;
        drop(entered);
        if let RulesToOpen::Loaded(loaded) = opened {
            let certificates = Certificates { public: None, admin: None };
            let base = RuleBase::new(self.args.config.clone(), *loaded, Arc::clone(&engine.state), certificates);
            self.runtime.block_on(managed::start(&engine, &Arc::new(base), &Arc::default()));
        }
        Ok(Ok(engine))
    }
}

/// Copies the file of `D` into `target`.
async fn copy_file<D: Download>(engine: &Components, target: &mut File) -> Done<()> {
    let (mut file, _held) = D::run(&engine.state, &Caller::command_line()).await?;
    let copied = std::io::copy(&mut file, target);
    copied
        .map(drop)
        .map_err(|error| OperationError::Failed(format!("the file cannot be written: {error}; {}", D::NOT_DONE)))
}

/// The audit trail of a command that worked on the store itself. If there is a file for it, either the
/// file has the events, or the operator is told that it has not.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Backend::Here(engine) = &self.place else { return };
        audit::close(&engine.state.audit);
        for sink in engine.state.audit.sinks().iter().map(|sink| sink.status()).filter(|sink| sink.lost > 0) {
            let why = sink.fault.unwrap_or_else(|| "its queue is full".to_owned());
            complain(&format!("warning: the audit trail has no event of this command ({}: {why})", sink.name));
        }
    }
}

/// What the store is opened by.
enum RulesToOpen {
    /// The configuration.
    Loaded(Box<Loaded>),
    /// As much of a configuration that does not load as can be read.
    NamesAlone(Box<Compiled>),
}

impl RulesToOpen {
    fn compiled(&self) -> &Compiled {
        match self {
            Self::Loaded(loaded) => &loaded.compiled,
            Self::NamesAlone(compiled) => compiled,
        }
    }
}

/// The settings of the store. If the configuration does not load, only its store settings are read,
/// unless the operation needs the rules.
fn rules_to_open(config: &Path, needs_rules: bool) -> Result<RulesToOpen, Diagnostics> {
    match load_untested(config) {
        Ok(loaded) => Ok(RulesToOpen::Loaded(Box::new(loaded))),
        Err(diagnostics) if needs_rules => Err(diagnostics),
        Err(_) => {
            let access = sts_config::store_access(config, &environment)?;
            let compiled = names_alone(access).ok_or_else(Diagnostics::default)?;
            complain(&format!(
                "warning: {} does not load, `sts check` shows why; its store is opened by `data_dir`, `store` and `signing` alone, \
                 and no audit trail gets an event of this command",
                shown_path(config)
            ));
            Ok(RulesToOpen::NamesAlone(Box::new(compiled)))
        }
    }
}

/// Finds the server by the arguments or the configuration.
fn place(args: &ServerArgs) -> Result<Backend, StartError> {
    if let (Some(url), Some(file)) = (&args.admin_url, &args.admin_token_file) {
        let url = admin_url(url).map_err(StartError::Usage)?;
        let token = given_token(file)?;
        let authorities = args.ca_file.as_deref().map(certificates).transpose()?;
        let client = AdminClient::new(&url, authorities.as_deref(), token, "--admin-token-file".to_owned());
        return Ok(Backend::Server { client: client.map_err(StartError::Usage)?, may_open: false });
    }
    let access = sts_config::admin_access(&args.config, &environment).map_err(StartError::AdminUnknown)?;
    let token_file = admin_token::path(&access.data_dir);
    let (url, certificate) = own_admin(&access)?;
    match token_file.try_exists() {
        Ok(true) => {}
        Ok(false) => {
            return Ok(Backend::Nowhere(format!(
                "no server has run here yet: {} is not there",
                shown_path(&token_file)
            )));
        }
        Err(error) => {
            let why = format!(
                "{error}; run the command as the user of the server, or give --admin-url and --admin-token-file"
            );
            return Err(StartError::AdminToken { doing: "read", path: token_file, why });
        }
    }
    let token = admin_token::read(&token_file)?;
    let client = AdminClient::new(&url, certificate.as_deref(), token, shown_path(&token_file));
    Ok(Backend::Server { client: client.map_err(StartError::Usage)?, may_open: true })
}

/// The admin token of `--admin-token-file`.
fn given_token(file: &Path) -> Result<Zeroizing<String>, StartError> {
    const MAX: u64 = 4096;
    let failed = |error: &dyn std::fmt::Display| {
        StartError::Usage(format!(
            "{error}; --admin-token-file takes the name of a file with the admin token, or `-` for standard input"
        ))
    };
    if file.as_os_str() != "-" {
        return admin_token::read_given(file).map_err(|error| failed(&error));
    }
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(MAX).read_to_string(&mut text);
    read.map_err(|error| failed(&format!("cannot read standard input: {error}")))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// The URL of the configured admin listener, and its certificate. The configuration names the
/// certificate, so the client trusts it.
pub(super) fn own_admin(access: &AdminAccess) -> Result<(String, Option<Vec<u8>>), StartError> {
    let mut address = access.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    match &access.cert_file {
        None => Ok((format!("http://{address}"), None)),
        Some(file) => Ok((format!("https://{address}"), Some(certificates(file)?))),
    }
}

fn certificates(file: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(file).map_err(|error| {
        let (what, path) = ("a certificate chain", file.to_owned());
        BindError::Certificate { code: CheckCode::InvalidCertificate, what, path, why: error.to_string() }.into()
    })
}
