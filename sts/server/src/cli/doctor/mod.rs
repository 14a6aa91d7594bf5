//! `sts doctor`: one table of everything that a server needs, with the cure of each fault. It
//! changes nothing.

mod certificates;
mod configuration;
mod device;
mod files;
mod issuers;
mod listeners;
mod row;
mod running;
mod store;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sts_directory::{Probe, probe};
use sts_types::{Clock, UnixTime};

use self::configuration::Known;
use self::row::{Row, Status};
use super::table::table;
use crate::clock::SystemClock;
use crate::compile::Compiled;
use crate::directories;
use crate::terminal::{fail, say};

/// Deadline of each check that has none of its own.
const DEADLINE: Duration = Duration::from_secs(10);
/// What to do about a file system that does not answer.
const DISK: &str = "check the disk or the mount that does not answer";

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "sts.yaml")]
    config: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> ExitCode {
    let runtime = match crate::serve::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(&error);
            return ExitCode::FAILURE;
        }
    };
    let rows = runtime.block_on(rows(&args.config));
    // A system call that hangs must not hold up the answer.
    runtime.shutdown_background();
    let is_well = rows.iter().all(|row| row.ok);
    if args.json {
        say(&json!({ "ok": is_well, "checks": rows }).to_string());
    } else {
        say(&shown(&rows));
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn rows(config: &Path) -> Vec<Row> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now();
    let (known, mut rows) = configuration::read(config, now);
    let settings = known.settings().cloned();
    let running = running::ask(known.admin()).await;
    let (issuers, store, directories) = tokio::join!(
        issuers::rows(known.compiled(), &clock),
        store::rows(settings.as_ref(), &running, &clock),
        directories(known.compiled(), now),
    );
    rows.extend(running.rows());
    rows.extend(issuers);
    if let Known::Whole(loaded) = &known {
        rows.extend(certificates::rows(&loaded.compiled, now));
    }
    rows.extend(store);
    rows.extend(device::rows(settings.as_ref(), &running).await);
    rows.extend(directories);
    if let Some(settings) = settings {
        rows.extend(bounded("files", DISK, move || files::rows(&settings)).await);
    }
    rows.extend(listeners::rows(&known, &running));
    rows
}

/// Certificate, bind and base of each server, then each group and login that the files name.
async fn directories(compiled: Option<&Compiled>, now: UnixTime) -> Vec<Row> {
    let Some(compiled) = compiled else { return Vec::new() };
    let spec = directories::spec(&compiled.settings, &compiled.rules);
    let row = |Probe { directory, subject, outcome }: Probe| {
        let check = format!("directory {directory}");
        match outcome {
            Ok(found) => Row::ok(check, subject, found),
            Err(fault) => Row::fault(check, subject, fault.what, fault.cure),
        }
    };
    probe(&spec, now).await.into_iter().map(row).collect()
}

/// Runs `work`, which blocks, and gives up after [`DEADLINE`]. `cure` is what to do then.
async fn bounded(check: &str, cure: &str, work: impl FnOnce() -> Vec<Row> + Send + 'static) -> Vec<Row> {
    match tokio::time::timeout(DEADLINE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(_)) => vec![Row::fault(check, "-", "the check broke off", "report this: it is a fault of sts")],
        Err(_) => {
            let found = format!("no answer within {} s", DEADLINE.as_secs());
            vec![Row::fault(check, "-", found, cure)]
        }
    }
}

fn shown(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let found = row.cure.as_ref().map_or_else(|| row.found.clone(), |cure| format!("{}; {cure}", row.found));
        let status = match row.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Fault => "FAULT",
        };
        vec![status.to_owned(), row.check.clone(), row.subject.clone(), found]
    };
    table(&["", "CHECK", "SUBJECT", "FOUND"], rows.iter().map(cells).collect(), "nothing to look at")
}
