//! Runs the built binary to its end.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// The built `sts` binary: `Sts(env!("CARGO_BIN_EXE_sts"))` in a test.
#[derive(Clone, Copy, Debug)]
pub struct Sts(pub &'static str);

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code. `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Sts {
    /// The command in that directory, with an empty environment so that it picks up no settings.
    #[must_use]
    pub fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(self.0);
        command.current_dir(directory).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs it with these arguments.
    #[must_use]
    pub fn run(&self, directory: &Path, arguments: &[&str]) -> Finished {
        self.run_in(directory, arguments, &[])
    }

    /// Runs it with these arguments and environment variables.
    #[must_use]
    pub fn run_in(&self, directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
        let output = self.command(directory).args(arguments).envs(environment.iter().copied()).output().unwrap();
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    /// Both outputs.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Standard output as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The first line of standard output.
    #[must_use]
    pub fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// If it is another one.
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text());
        self
    }
}
