//! The end of a server whose test ended first.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends the server when this process ends without dropping it. Its standard input is a pipe that
/// closes with this process.
pub(crate) fn watchdog(server: &Child, directory: &Path) -> Child {
    let script = r#"read -r _; kill -9 "$1" && rm -rf "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "watchdog", &server.id().to_string()]).arg(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
