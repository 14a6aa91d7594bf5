//! How fast the server is: the built binary beside a bare handler of the same HTTP stack, in one run, as ratios.
//!
//! `make bench` runs it and writes `tests/benches/RESULTS.md`. `SECTIONS=exchange,refusals` runs those alone and prints them, `ROUNDS`
//! and `SECONDS` set how often and how long each scenario is loaded, `PROFILES=DIR` keeps what callgrind counted by function,
//! `SERVER=PATH` measures that binary instead of the one built with the benches. `--train` measures nothing: it has the binary do what
//! it usually does, for who profiles it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a bench measures real time, prints it, and has nobody to report a failure to"
)]

mod bare;
mod instructions;
mod load;
mod no_store;
mod process;
mod report;
mod sections;
mod subject;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use no_store::NoStore;
use report::Report;
use world::World;

/// Where the tables are kept.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/benches/RESULTS.md");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bare", bare, jwk, redis @ ..] => {
            bare::serve(bare, jwk, redis.first().copied()).unwrap();
            ExitCode::SUCCESS
        }
        ["--no-store", config] => sts::serve_on(Path::new(config), Arc::new(NoStore)),
        ["--train", ..] => {
            sections::train(&World::new());
            ExitCode::SUCCESS
        }
        _ => {
            measure();
            ExitCode::SUCCESS
        }
    }
}

/// A setting of this run.
pub(crate) fn option(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn measure() {
    let world = World::new();
    let wanted = option("SECTIONS");
    let mut report = Report::default();
    for (name, section) in sections::ALL {
        if wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|own| own == name)) {
            eprintln!("{name} ...");
            section(&world, &mut report);
        }
    }
    println!("{}", report.text());
    if wanted.is_none() {
        std::fs::write(RESULTS, report.text()).unwrap();
    }
}
