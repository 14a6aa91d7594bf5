//! What the directory servers of tests share: how they are talked to.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether `program` is installed.
pub(crate) fn is_installed(program: &str) -> bool {
    // Servers are where a user's search path may not lead.
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

/// Runs a program with this standard input. It must succeed.
///
/// # Panics
/// If it fails.
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    let path = format!("{}:/usr/sbin", path_variable());
    command.env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From a thread: the program may fill its output before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Applies LDIF through the server: entries are added, changes with a `changetype` made.
pub(crate) fn apply(url: &str, ca_file: &Path, (user, password): (&str, &str), ldif: &str) {
    let mut command = Command::new("ldapmodify");
    command.args(["-a", "-x", "-H", url, "-D", user, "-w", password]).env("LDAPTLS_CACERT", ca_file);
    run(&mut command, ldif);
}

#[expect(clippy::disallowed_methods, reason = "the testkit is a composition root of its own")]
fn path_variable() -> String {
    std::env::var("PATH").unwrap_or_default()
}
