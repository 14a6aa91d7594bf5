//! Directories and their memberships.

use sts_directory::DirectoryStatus;
use sts_types::UnixTime;

use super::exposition::Exposition;
use super::families;

pub(super) fn render(directories: &[DirectoryStatus], now: UnixTime, out: &mut Exposition) {
    if directories.is_empty() {
        return;
    }
    out.family(families::DIRECTORY_AGE);
    for directory in directories {
        if let Some(at) = directory.last_success {
            out.sample(&[("directory", directory.name.as_str())], now.since(at).max(0));
        }
    }
    out.family(families::DIRECTORY_FAILURES);
    for directory in directories {
        for (cause, count) in &directory.failures {
            out.sample(&[("directory", directory.name.as_str()), ("cause", cause.name())], count);
        }
    }
    out.family(families::DIRECTORY_SEARCHES);
    for directory in directories {
        out.sample(&[("directory", directory.name.as_str())], directory.searches);
    }
}
