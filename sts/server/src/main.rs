//! The `sts` binary; see the library for what it does.

use std::process::ExitCode;

/// A load needs several times the memory that its rules keep. This allocator returns the rest to the system
/// within seconds, from a thread of its own; that of the C library keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The commit that the binary is built from, and its date. The Makefile says so. A build script would
/// have the whole library built anew with each commit.
const COMMIT: Option<&str> = option_env!("STS_COMMIT");

fn main() -> ExitCode {
    sts::run(COMMIT)
}
