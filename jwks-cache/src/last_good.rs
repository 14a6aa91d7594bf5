//! The last good key set of an entry, kept on disk for a restart while the issuer is down.
//!
//! Each entry has one file. Its name is a digest of the entry's name and issuer, so neither becomes
//! part of a path. The content names its entry and carries a digest, so a torn or foreign file is
//! never used. The digest is no signature: a process that can write the state directory can plant
//! keys, as it could in the configuration.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sts_jose::digest_of_parts;
use sts_types::{Clock, Digest256, Durability, UnixTime, create_folder, replace_file};

use crate::entry_keys::{IndexedSet, Validity};
use crate::http::MAX_DOCUMENT_BYTES;
use crate::monotonic_time::MonotonicTime;
use crate::{EntryKeys, EntrySpec, KeySource};

/// The version of the file's format.
const VERSION: u32 = 1;
/// Room for a document of maximum size with every byte escaped, plus the other members.
const MAX_FILE_BYTES: u64 = 6 * MAX_DOCUMENT_BYTES as u64 + 8192;

#[derive(Serialize, Deserialize)]
struct StoredKeySet {
    version: u32,
    entry: String,
    issuer: String,
    /// `discovery`, or the configured URL.
    source: String,
    fetched_at: UnixTime,
    document: String,
    digest: Digest256,
}

impl StoredKeySet {
    /// Digest of all other members.
    fn digest(&self) -> Digest256 {
        digest_of_parts(&[
            &self.version.to_be_bytes(),
            self.entry.as_bytes(),
            self.issuer.as_bytes(),
            self.source.as_bytes(),
            &self.fetched_at.as_secs().to_be_bytes(),
            self.document.as_bytes(),
        ])
    }
}

/// Writes the set of `spec` atomically, readable by its owner only. Blocks. There is no sync: a
/// crash may leave a torn file, and its digest shows that.
pub(crate) fn keep(dir: &Path, spec: &EntrySpec, set: &IndexedSet, fetched_at: UnixTime) -> io::Result<()> {
    let document = std::str::from_utf8(&set.document).map_err(io::Error::other)?.to_owned();
    let mut kept = StoredKeySet {
        version: VERSION,
        entry: spec.name.to_string(),
        issuer: spec.issuer.to_string(),
        source: source_text(spec),
        fetched_at,
        document,
        digest: Digest256([0; 32]),
    };
    kept.digest = kept.digest();
    let content = serde_json::to_vec(&kept).map_err(io::Error::other)?;

    create_folder(dir)?;
    replace_file(&file_path(dir, spec), &content, Durability::Volatile)
}

/// The kept set of `spec`, if it is intact, belongs to this spec and is younger than `max_stale`.
/// It is stale from the start, so a refresh is due at once. Blocks.
pub(crate) fn load(dir: &Path, spec: &EntrySpec, clock: &dyn Clock) -> Option<EntryKeys> {
    let mut content = Vec::new();
    File::open(file_path(dir, spec)).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut content).ok()?;
    let kept: StoredKeySet = serde_json::from_slice(&content).ok()?;
    let belongs_to_spec = kept.version == VERSION
        && kept.entry == spec.name.as_str()
        && kept.issuer == spec.issuer.as_str()
        && kept.source == source_text(spec)
        && kept.digest == kept.digest();
    // A set from the future has no age that can be trusted.
    let age = u64::try_from(clock.now().since(kept.fetched_at)).ok().map(Duration::from_secs)?;
    if !belongs_to_spec || age >= spec.max_stale {
        return None;
    }
    // The algorithms of the entry may have changed since.
    let set = IndexedSet::parse(kept.document.into(), &spec.algorithms).ok()?;
    let life = Validity::new(MonotonicTime::now(clock).minus(age), Duration::ZERO, spec.max_stale);
    Some(EntryKeys::new(set.into(), kept.fetched_at, Some(life)))
}

/// Deletes copies and leftover temporary files that nobody wrote for `idle`. An entry that is
/// removed from the configuration and restored within that time still finds its copy. Blocks.
pub(crate) fn sweep(dir: &Path, now: UnixTime, idle: Duration) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let metadata = file.metadata()?;
        let is_idle =
            now.since(UnixTime::from_secs(metadata.mtime())) > i64::try_from(idle.as_secs()).unwrap_or(i64::MAX);
        if is_idle && metadata.is_file() && is_ours(Path::new(&file.file_name())) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Whether [`file_path`] made this name, or the writer made it for a temporary file.
fn is_ours(name: &Path) -> bool {
    let stem = name.to_str().and_then(|name| name.split_once('.'));
    stem.is_some_and(|(digest, rest)| {
        digest.len() == 64
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (rest == "json" || rest.ends_with(".tmp"))
    })
}

/// File name of the copy of `spec`, without the extension.
pub(crate) fn name(spec: &EntrySpec) -> String {
    digest_of_parts(&[spec.name.as_str().as_bytes(), spec.issuer.as_str().as_bytes()]).to_hex()
}

/// Names of the copies in `dir`. Blocks.
pub(crate) fn names(dir: &Path) -> io::Result<HashSet<String>> {
    let mut names = HashSet::new();
    for file in fs::read_dir(dir)? {
        let name = file?.file_name();
        if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".json"))
            && is_ours(Path::new(&name))
        {
            names.insert(stem.to_owned());
        }
    }
    Ok(names)
}

fn file_path(dir: &Path, spec: &EntrySpec) -> PathBuf {
    dir.join(format!("{}.json", name(spec)))
}

fn source_text(spec: &EntrySpec) -> String {
    match &spec.source {
        KeySource::Url(url) => url.clone(),
        KeySource::Discovery | KeySource::File(_) | KeySource::Inline(_) => "discovery".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_nobody_came_back_for_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1000);
        let put = |name: &str, time| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        };
        let digest = "0f".repeat(32);
        let (fresh, gone) = (format!("{digest}.json"), format!("{}.json", "1e".repeat(32)));
        let kept = ["notes.json", &digest, "history.jsonl", &fresh];
        for name in ["notes.json", &digest, "history.jsonl", &gone, &format!("{digest}.0000000000000001.tmp")] {
            put(name, old);
        }
        put(&fresh, old + Duration::from_secs(60));
        fs::create_dir(dir.path().join("history")).unwrap();
        sweep(dir.path(), UnixTime::from_secs(1160), Duration::from_secs(100)).unwrap();
        for name in kept {
            assert!(dir.path().join(name).exists(), "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), kept.len() + 1);
        // A clock that was set back deletes nothing.
        sweep(dir.path(), UnixTime::from_secs(0), Duration::ZERO).unwrap();
        assert!(dir.path().join(fresh).exists());
    }
}
