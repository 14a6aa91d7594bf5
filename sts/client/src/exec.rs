//! `exec`: a command with an access token that is fresh as long as it runs.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::arguments::ExecArgs;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::output::{complain, exit_code};
use crate::server::{AccessToken, REVOCATION_LIMIT, Server};
use crate::watch::{keep_fresh, write};

/// Longest lifetime that is counted, in seconds: a year.
const MAX_LIFETIME: u64 = 365 * 24 * 3600;

/// The signals that are passed on to the command.
const FORWARDED: [SignalKind; 6] = [
    SignalKind::hangup(),
    SignalKind::interrupt(),
    SignalKind::quit(),
    SignalKind::terminate(),
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
];

const SIGINT: i32 = SignalKind::interrupt().as_raw_value();
const SIGQUIT: i32 = SignalKind::quit().as_raw_value();

/// Runs the command, and revokes every token that it had. The exit code is the command's.
pub(crate) async fn run(args: &ExecArgs, environment: &Environment) -> Result<ExitCode, ClientError> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(ClientError::Usage("no command".to_owned()));
    };
    args.token.require_token_beside_stdin("exec, which needs a new ID token for each access token")?;
    // Before the token is there, so that no signal ends this process without its revocation.
    let mut signals = Signals::listen()?;
    let server = Server::new(&args.token, environment)?;
    let folder = tempfile::Builder::new().prefix("sts-exec-").tempdir();
    let folder = folder.map_err(|error| ClientError::failed(format!("cannot make a folder for the token: {error}")))?;
    let file = folder.path().join("access-token");
    let tokens = IssuedTokens::default();
    let work = async {
        let mut first = pin!(async {
            let access = server.access_token().await?;
            tokens.add(&access);
            Ok(access)
        });
        let access = tokio::select! {
            biased;
            kind = signals.next() => {
                answered(&server, first).await;
                return Ok(ended_by(kind));
            }
            access = &mut first => access?,
        };
        write(&file, &access)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("STS_ACCESS_TOKEN", &*access.token)
            .env("STS_ACCESS_TOKEN_FILE", &file)
            .spawn()
            .map_err(|error| not_started(Path::new(program), &error))?;
        let mut refresh = pin!(keep_fresh(&server, access, |access| {
            tokens.add(access);
            write(&file, access)
        }));
        tokio::select! {
            ended = signals.wait_for(&mut child) => {
                answered(&server, refresh).await;
                ended
            }
            never = &mut refresh => match never {},
        }
    };
    let ended = work.await;
    tokens.revoke(&server).await;
    ended
}

/// Waits for the answer to a request that is on its way: its token must be known to be revoked.
async fn answered<F: Future>(server: &Server<'_>, mut exchange: Pin<&mut F>) {
    let answer = std::future::poll_fn(|context| {
        if server.is_exchanging() && exchange.as_mut().poll(context).is_pending() && server.is_exchanging() {
            return Poll::Pending;
        }
        Poll::Ready(())
    });
    if tokio::time::timeout(REVOCATION_LIMIT, answer).await.is_err() {
        complain("warning: an access token that was asked for may have been issued, and lives until it expires");
    }
}

/// The access tokens that the command got, or was to get.
#[derive(Default)]
struct IssuedTokens(RefCell<Vec<(Zeroizing<String>, Instant)>>);

impl IssuedTokens {
    fn add(&self, access: &AccessToken) {
        let now = Instant::now();
        let mut tokens = self.0.borrow_mut();
        // A command may run for weeks. What has expired needs no revocation.
        tokens.retain(|(_, end)| *end > now);
        tokens.push((access.token.clone(), now + Duration::from_secs(access.expires_in.min(MAX_LIFETIME))));
    }

    /// Ends them, the one that lives longest first. A failure is told and does not change the
    /// command's exit code: its work is done, and a token expires by itself.
    async fn revoke(self, server: &Server<'_>) {
        let deadline = Instant::now() + REVOCATION_LIMIT;
        for (token, end) in self.0.into_inner().into_iter().rev() {
            let now = Instant::now();
            if end <= now {
                continue;
            }
            if let Err(error) = server.revoke(&token, deadline.saturating_duration_since(now)).await {
                complain(&format!("warning: an access token was not revoked and lives until it expires: {error}"));
            }
        }
    }
}

/// The exit code of a command that a signal ended before it began.
fn ended_by(kind: SignalKind) -> ExitCode {
    ExitCode::from(u8::try_from(128 + kind.as_raw_value()).unwrap_or(1))
}

fn not_started(program: &Path, error: &std::io::Error) -> ClientError {
    let text = format!("cannot run `{}`: {error}", program.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => ClientError::Usage(text),
        _ => ClientError::failed(text),
    }
}

struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    fn listen() -> Result<Self, ClientError> {
        let listen = |kind: SignalKind| Ok((kind, signal(kind)?));
        let signals: std::io::Result<Vec<_>> = FORWARDED.into_iter().map(listen).collect();
        signals.map(Self).map_err(|error| ClientError::failed(format!("cannot wait for signals: {error}")))
    }

    /// Passes signals on until the command has ended.
    async fn wait_for(&mut self, child: &mut Child) -> Result<ExitCode, ClientError> {
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status.map_err(|error| ClientError::failed(format!("lost the command: {error}")))?;
                    return Ok(exit_code(status));
                }
                kind = self.next() => pass_on(child, kind),
            }
        }
    }

    async fn next(&mut self) -> SignalKind {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*kind);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

fn pass_on(child: &Child, kind: SignalKind) {
    // A terminal sends these to the command as well. Many commands take a second one as "at once".
    let is_of_terminal = matches!(kind.as_raw_value(), SIGINT | SIGQUIT) && std::io::stdin().is_terminal();
    if is_of_terminal {
        return;
    }
    let process = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let signal = rustix::process::Signal::from_named_raw(kind.as_raw_value());
    if let Some((process, signal)) = process.zip(signal) {
        // The command may have ended in this moment.
        let _ = rustix::process::kill_process(process, signal);
    }
}
