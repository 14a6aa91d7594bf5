//! Files and standard input.

use std::io::Read as _;
use std::path::Path;

use sts_types::shown_path;
use zeroize::Zeroizing;

use crate::error::ClientError;

/// Size limit of what is read.
const MAX_INPUT: u64 = 1024 * 1024;

/// The text of a file, or of standard input for `-`.
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<String>, ClientError> {
    let mut text = Zeroizing::new(String::new());
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
    };
    // The path may be the token itself, given by mistake: `shown_path` hides that.
    read.map_err(|error| {
        let shown = shown_path(path);
        let help = if shown.starts_with('`') { "" } else { "; give the name of a file, or `-` for standard input" };
        ClientError::Usage(format!("cannot read {shown}: {error}{help}"))
    })?;
    Ok(text)
}
