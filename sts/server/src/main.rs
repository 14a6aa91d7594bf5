//! The `sts` binary; see the library for what it does.

use std::process::ExitCode;

/// An exchange allocates some two hundred times, small and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sts::run()
}
