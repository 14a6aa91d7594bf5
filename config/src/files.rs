//! Reads the files of a configuration, with bounds on their size, and records their digests.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sts_jose::{digest_of_parts, sha256};
use sts_types::{
    CheckCode, Digest256, GroupAccess, SecretFileError, SecretOwner, looks_like_path, read_secret_file, shown_path,
};
use zeroize::Zeroizing;

use crate::quote::quoted;
use crate::settings::Secret;

/// Largest file, in bytes.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// Largest secret file, in bytes.
const MAX_SECRET: u64 = 64 * 1024;
/// Shortest secret without a warning, in characters.
pub(crate) const STRONG_SECRET: usize = 16;
/// Help for a missing or weak secret.
pub(crate) const NEW_SECRET: &str = "make a new one: `(umask 077; openssl rand -base64 32 > FILE)`";

/// Every file read so far, with the digest of its bytes.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<(PathBuf, Digest256)>);

/// The reason why a file cannot be used, and what to do.
#[derive(Debug)]
pub(crate) struct FileError {
    pub(crate) code: CheckCode,
    pub(crate) message: String,
    pub(crate) help: String,
    /// Whether the file is a secret that is missing, or that this user may not read.
    pub(crate) is_absent_secret: bool,
}

impl FileError {
    /// Adapts the help to the main file, whose path comes from the command line.
    pub(crate) fn of_main(self, path: &Path) -> Self {
        let is_missing = matches!(path.try_exists(), Ok(false));
        let help = if path.is_dir() {
            let inside = path.join("sts.yaml");
            let name = if inside.is_file() { shown(&inside) } else { "the configuration file in it".to_owned() };
            format!("it is a directory: give {name} to `--config`")
        } else if is_missing {
            "correct the path given to `--config`, or create the file; a relative path is relative to the directory that \
             the command runs in"
                .to_owned()
        } else {
            return self;
        };
        Self { help, ..self }
    }

    pub(crate) fn new(code: CheckCode, message: String, help: impl Into<String>) -> Self {
        Self { code, message, help: help.into(), is_absent_secret: false }
    }
}

impl From<SecretFileError> for FileError {
    fn from(error: SecretFileError) -> Self {
        let is_absent_secret = error.is_missing() || error.is_denied();
        Self { code: error.code(), message: error.message(), help: error.help(), is_absent_secret }
    }
}

impl Files {
    /// Reads a text file. Removes a byte order mark, and converts line breaks to LF.
    pub(crate) fn text(&mut self, path: &Path) -> Result<String, FileError> {
        let bytes = self.bytes(path, MAX_FILE)?;
        let not_text =
            |help: &str| FileError::new(CheckCode::FileNotUtf8, format!("{} is not UTF-8 text", shown(path)), help);
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(not_text("it looks like UTF-16: save it as UTF-8"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| not_text("save it as UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // YAML does the same (section 5.4). It also makes all readers agree on line numbers.
        Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
    }

    /// Records a file that another crate reads.
    pub(crate) fn note(&mut self, path: &Path) -> Result<(), FileError> {
        self.bytes(path, MAX_FILE).map(drop)
    }

    /// Checks and records a secret file that another crate reads.
    pub(crate) fn note_secret(&mut self, path: &Path) -> Result<Option<GroupAccess>, FileError> {
        self.secret_bytes(path).map(|(_, group)| group)
    }

    /// Reads a secret: the text of the file without one line break (LF or CRLF) at the end. Refuses
    /// a byte order mark, other control characters and an empty file. Also returns the group that
    /// can read the file, if any.
    pub(crate) fn secret(&mut self, path: &Path) -> Result<(Secret, Option<GroupAccess>), FileError> {
        let unfit = |what: &str, help: &str| {
            FileError::new(CheckCode::InvalidSecret, format!("the secret in {} {what}", shown(path)), help)
        };
        let (bytes, group) = self.secret_bytes(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| unfit("is not UTF-8 text", "write printable characters"))?;
        if text.starts_with('\u{feff}') {
            return Err(unfit("begins with a byte order mark", "save it as UTF-8 without a byte order mark"));
        }
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.chars().any(char::is_control) {
            return Err(unfit(
                "has a control character or a second line",
                "write one line; the line break at its end is not part of the secret",
            ));
        }
        if text.is_empty() {
            return Err(unfit("is empty", NEW_SECRET));
        }
        Ok((Secret::new(Zeroizing::new(text.to_owned())), group))
    }

    fn secret_bytes(&mut self, path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<GroupAccess>), FileError> {
        let file = read_secret_file(path, SecretOwner::Configured, MAX_SECRET);
        // Record an unusable file, too: it is then watched, and a reload notices the repair.
        let digest = file.as_ref().map_or(Digest256([0; 32]), |file| sha256(&file.bytes));
        self.0.push((path.to_owned(), digest));
        let file = file?;
        Ok((file.bytes, file.group))
    }

    /// Digest of all files, and of the environment variables with their values.
    pub(crate) fn digest<'v>(&self, variables: impl Iterator<Item = (&'v String, &'v String)>) -> Digest256 {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        // Paths do not count: the same files in another directory are the same configuration.
        for (_, digest) in &self.0 {
            parts.extend([b"file".to_vec(), digest.0.to_vec()]);
        }
        for (name, value) in variables {
            parts.extend([b"variable".to_vec(), name.clone().into_bytes(), value.clone().into_bytes()]);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        digest_of_parts(&parts)
    }

    /// Every file with its digest.
    pub(crate) fn digests(&self) -> impl Iterator<Item = (&Path, Digest256)> {
        self.0.iter().map(|(path, digest)| (path.as_path(), *digest))
    }

    /// The paths in the order of reading, without duplicates.
    pub(crate) fn into_paths(self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for (path, _) in self.0 {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    fn bytes(&mut self, path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let failed = |error: std::io::Error| {
            let help = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "create it, or correct the path; a relative path is relative to the file that names it"
                }
                std::io::ErrorKind::PermissionDenied => "let the user that runs sts read it",
                _ => "correct the path",
            };
            FileError::new(
                CheckCode::UnreadableFile,
                format!("{} cannot be read: {}", shown(path), reason(&error)),
                help,
            )
        };
        // Check before opening, because opening a FIFO blocks until there is a writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(FileError::new(
                CheckCode::UnreadableFile,
                format!("{} is not a regular file", shown(path)),
                "write the path of a file",
            ));
        }
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            let message = format!("{} is larger than {} KiB", shown(path), most / 1024);
            return Err(FileError::new(CheckCode::FileTooLarge, message, "split it, or correct the path"));
        }
        self.0.push((path.to_owned(), sha256(&bytes)));
        Ok(bytes)
    }
}

/// The operating system's message, without the error number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if looks_like_path(&text) { quoted(&text) } else { shown_path(path) }
}

/// The files that match `pattern`, sorted. `*` is a wildcard in the last part of the path; it does
/// not match a leading dot.
///
/// # Errors
/// If another part contains `*`, the folder cannot be read, or nothing matches.
pub(crate) fn expand(pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
    let last = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.to_string_lossy().contains('*') {
        let message = format!("{} has a `*` before its last part", shown(pattern));
        return Err(FileError::new(
            CheckCode::InvalidFilePattern,
            message,
            "write one pattern for each folder: `accounts: [a/*.yaml, b/*.yaml]`",
        ));
    }
    if !last.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let failed = |error: std::io::Error| {
        FileError::new(
            CheckCode::UnreadableFile,
            format!("the folder {} cannot be read: {}", shown(folder), reason(&error)),
            "create it, or correct the path; a relative path is relative to the file that names it",
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_hidden = name.starts_with('.') && !last.starts_with('.');
        if !is_hidden && matches_name(&last, &name) && entry.path().is_file() {
            found.push(pattern.with_file_name(entry.file_name()));
        }
    }
    if found.is_empty() {
        let message = format!("no file matches {}", shown(pattern));
        return Err(FileError::new(CheckCode::NoMatchingFile, message, "create one, or correct the pattern"));
    }
    found.sort();
    Ok(found)
}

/// Whether `name` matches `pattern`, where `*` matches any characters.
fn matches_name(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Files::default().secret(&path).map(|(secret, _)| secret.expose().to_owned()).map_err(|error| error.message)
    }

    #[test]
    fn c149_a_secret_loses_one_line_break_and_nothing_else() {
        let text = "correct horse battery";
        for end in ["", "\n", "\r\n"] {
            assert_eq!(secret(format!("{text}{end}").as_bytes()).as_deref(), Ok(text), "{end:?}");
        }
        assert_eq!(secret(b" spaces stay part ").as_deref(), Ok(" spaces stay part "));
    }

    #[test]
    fn c149_a_secret_with_a_mark_a_second_line_or_no_character_is_refused() {
        for (bytes, what) in [
            (b"\xef\xbb\xbfcorrect horse battery".as_slice(), "byte order mark"),
            (b"correct horse battery\n\n", "second line"),
            (b"correct horse\nbattery staple", "second line"),
            (b"correct horse battery\r", "control character"),
            (b"", "empty"),
            (b"\n", "empty"),
            (b"correct horse battery\xff", "UTF-8"),
        ] {
            let error = secret(bytes).unwrap_err();
            assert!(error.contains(what), "{error}");
            assert!(!error.contains("correct horse"), "{error}");
        }
    }

    #[test]
    fn c147_a_file_of_100_mb_is_refused_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.yaml");
        File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
        assert!(Files::default().text(&path).unwrap_err().message.ends_with("is larger than 10240 KiB"));
    }

    #[test]
    fn a_star_matches_within_the_last_part_only() {
        for (pattern, name, fits) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "x", true),
        ] {
            assert_eq!(matches_name(pattern, name), fits, "{pattern} {name}");
        }
        assert!(expand(Path::new("a*/b.yaml")).is_err());
    }

    #[test]
    fn the_digest_changes_with_any_byte_and_any_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let digest = |content: &str, value: &str| {
            std::fs::write(&path, content).unwrap();
            let mut files = Files::default();
            files.note(&path).unwrap();
            files.digest([("A".to_owned(), value.to_owned())].iter().map(|(name, value)| (name, value)))
        };
        let first = digest("x", "1");
        assert_eq!(first, digest("x", "1"));
        assert_ne!(first, digest("y", "1"));
        assert_ne!(first, digest("x", "2"));
    }

    #[test]
    fn a_wrong_path_of_the_configuration_says_what_to_give() {
        let folder = tempfile::tempdir().unwrap();
        let help = |path: &Path| Files::default().text(path).unwrap_err().of_main(path).help;
        assert!(help(folder.path()).contains("the configuration file in it"));
        std::fs::write(folder.path().join("sts.yaml"), "").unwrap();
        assert!(help(folder.path()).contains("sts.yaml` to `--config`"));
        assert!(help(&folder.path().join("sts.yml")).contains("`--config`"));
    }
}
