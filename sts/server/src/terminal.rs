//! What commands print for people.

use std::io::{IsTerminal as _, Write as _};

use crate::start_error::StartError;

/// Writes to standard output. A closed pipe is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes an error to standard error.
pub(crate) fn fail(error: &StartError) {
    let text = match error {
        StartError::Configuration(diagnostics) => diagnostics.render(std::io::stderr().is_terminal()),
        StartError::AdminUnknown(diagnostics) | StartError::StoreNotOpened { diagnostics, .. } => {
            complain(&diagnostics.render(std::io::stderr().is_terminal()));
            format!("error: {}", error.advice())
        }
        error => match error.code() {
            Some(code) => format!("error: {error}\n = rule: {code}"),
            None => format!("error: {error}"),
        },
    };
    complain(&text);
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}
