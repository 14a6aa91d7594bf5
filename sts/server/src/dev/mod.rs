//! `sts dev`: a local issuer, a server, and one exchange shown step by step. The server loads its
//! configuration from files in a temporary directory, so the demo shows what `sts serve` does.

mod demo;
mod files;
mod issuer;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use sts_console::Sessions;
use sts_types::Clock;
use tokio::sync::oneshot;

use crate::clock::SystemClock;
use crate::http::{BindError, ListenerSpec};
use crate::reload::load;
use crate::start_error::StartError;
use crate::terminal::{complain, fail, say};
use crate::{serve, telemetry};
use demo::Demo;
use files::Files;
use issuer::LocalIssuer;

#[derive(Args)]
pub(crate) struct DevArgs {
    /// Exit after the worked exchange
    #[arg(long)]
    once: bool,
    /// The server's port on 127.0.0.1 [default: 8080, or a free one when that is taken]
    #[arg(long)]
    port: Option<u16>,
}

/// The server's default port.
const PORT: u16 = 8080;

pub(crate) fn run(args: &DevArgs) -> ExitCode {
    match run_dev(args) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(step)) => {
            complain(&format!("error: {step}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            fail(&error);
            error.exit_code()
        }
    }
}

/// The inner error is the text of the demo step that failed.
fn run_dev(args: &DevArgs) -> Result<Result<(), String>, StartError> {
    let directory = tempfile::Builder::new().prefix("sts-dev-").tempdir().map_err(StartError::Runtime)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    serve::runtime()?.block_on(async {
        let public = bind_public(args)?;
        let admin = ListenerSpec::bind("admin.listen", local(0), None)?;
        let issuer = LocalIssuer::start(Arc::clone(&clock))?;
        let addresses = (public.address().unwrap_or(local(PORT)), admin.address().unwrap_or(local(0)));
        let files = Files::write(directory.path(), addresses, issuer.address())?;
        let loaded = load(&files.config, clock.now()).map_err(StartError::Configuration)?;
        let log = telemetry::install(loaded.compiled.settings.log);
        let sockets = serve::Sockets { public, admin, metrics: None };
        let running = serve::start_on(files.config.clone(), loaded, clock, None, &log, sockets).await?;

        let service = Arc::clone(&running.engine.state.service);
        let (sessions, admin) = (running.engine.state.sessions.clone(), running.admin);
        let demo = Demo::new(running.public, &files, &issuer, service, Arc::clone(&running.engine.state.audit));
        let (stop, stop_requested) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stop_requested.await;
        };
        let serving = tokio::spawn(running.until(shutdown, std::future::pending()));
        let outcome = demo.show().await;
        if outcome.is_ok() && !args.once {
            if let Err(error) = demo.send_samples().await {
                complain(&format!("warning: the console has few requests to show: {error}"));
            }
            say(&demo.by_hand());
            if let Some(sessions) = sessions {
                show_console(&demo, &sessions, admin).await;
            }
            say("\nServing until Ctrl-C. A changed file is loaded at once.");
            serve::Termination::listen()?.received().await;
        }
        drop(stop);
        let _ = serving.await;
        issuer.stop().await;
        Ok(outcome)
    })
}

/// Prints a link into the console.
async fn show_console(demo: &Demo, sessions: &Sessions, admin: SocketAddr) {
    match sessions.create_link().await {
        Ok(link) => say(&demo.console(&format!("http://{admin}{}", link.path))),
        Err(error) => complain(&format!("warning: there is no link into the console: {error}")),
    }
}

fn bind_public(args: &DevArgs) -> Result<ListenerSpec, BindError> {
    let bind = |port| ListenerSpec::bind("--port", local(port), None);
    match args.port {
        Some(port) => bind(port),
        None => bind(PORT).or_else(|_| bind(0)),
    }
}

/// A port of the loopback address. Other machines must not reach the demo.
const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
