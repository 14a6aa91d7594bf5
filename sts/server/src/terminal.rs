//! What commands print for people.

use std::io::{IsTerminal as _, Write as _};

use sts_config::Diagnostics;
use sts_types::visible;

use crate::start_error::StartError;

/// Writes to standard output. A closed pipe is no error. What strangers wrote, in tokens, files and
/// answers, does not reach the terminal as it is.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", visible(text));
}

/// Writes findings to standard error, with colours if that is a terminal. They quote what they show.
pub(crate) fn show_findings(diagnostics: &Diagnostics) {
    let rendered = diagnostics.render(std::io::stderr().is_terminal());
    let _ = writeln!(std::io::stderr().lock(), "{}", rendered.trim_end());
}

/// Writes an error to standard error.
pub(crate) fn fail(error: &StartError) {
    let text = match error {
        StartError::Configuration(diagnostics) => {
            show_findings(diagnostics);
            return;
        }
        StartError::AdminUnknown(diagnostics) | StartError::StoreNotOpened { diagnostics, .. } => {
            show_findings(diagnostics);
            format!("error: {}", error.advice())
        }
        error => match error.code() {
            Some(code) => format!("error: {error}\n = rule: {code}"),
            None => format!("error: {error}"),
        },
    };
    complain(&text);
}

/// Writes to standard error, as [`say`] does.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(text.trim_end()));
}
