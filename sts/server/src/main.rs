//! The `sts` binary; see the library for what it does.

use std::process::ExitCode;

/// The commit that the binary is built from, and its date. The Makefile says so. A build script would
/// have the whole library built anew with each commit.
const COMMIT: Option<&str> = option_env!("STS_COMMIT");

fn main() -> ExitCode {
    sts::run(COMMIT)
}
