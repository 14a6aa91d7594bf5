//! The last good set of an entry on disk, for a restart while its issuer is down.
//!
//! One file per entry, named by a digest of the entry's name and issuer: neither becomes part of a path. The content names what
//! it is for and carries a digest, so that a torn or foreign file is not taken for keys. It is not a seal: whoever can write the
//! state directory can put keys there, as they could in the configuration.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sts_jose::digest_of_parts;
use sts_types::{Clock, Digest256, Entropy, UnixTime, create_folder, give_to_owner_of};

use crate::entry_keys::{IndexedSet, Life};
use crate::fetch::parse_kept;
use crate::http::MAX_DOCUMENT_BYTES;
use crate::moment::Moment;
use crate::{EntryKeys, EntrySpec, KeySource};

/// The version of the file's format.
const VERSION: u32 = 1;
/// A document of the largest size with every byte escaped, and the members around it.
const MAX_FILE_BYTES: u64 = 6 * MAX_DOCUMENT_BYTES as u64 + 8192;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    entry: String,
    issuer: String,
    /// `discovery`, or the configured URL.
    source: String,
    fetched_at: UnixTime,
    document: String,
    digest: Digest256,
}

impl Kept {
    /// The digest over every other member.
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

/// Writes the set of `spec`, in one step and readable by its owner only. Blocks. A crash may leave a torn file behind: its digest
/// tells, so nothing is synced.
pub(crate) fn keep(
    dir: &Path,
    spec: &EntrySpec,
    set: &IndexedSet,
    fetched_at: UnixTime,
    entropy: &dyn Entropy,
) -> io::Result<()> {
    let document = std::str::from_utf8(&set.document).map_err(io::Error::other)?.to_owned();
    let mut kept = Kept {
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
    let mut random = [0; 8];
    entropy.fill(&mut random);
    let path = file_path(dir, spec);
    let temporary = path.with_extension(format!("{:016x}.tmp", u64::from_be_bytes(random)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            give_to_owner_of(dir, &file)?;
            file.write_all(&content)
        })
        .and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The kept set of `spec`, if there is one that is whole, meant for this spec and younger than its `max_stale`. It counts as
/// stale from the start, so that a refresh is due at once. Blocks.
pub(crate) fn load(dir: &Path, spec: &EntrySpec, clock: &dyn Clock) -> Option<EntryKeys> {
    let mut content = Vec::new();
    File::open(file_path(dir, spec)).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut content).ok()?;
    let kept: Kept = serde_json::from_slice(&content).ok()?;
    let meant = kept.version == VERSION
        && kept.entry == spec.name.as_str()
        && kept.issuer == spec.issuer.as_str()
        && kept.source == source_text(spec)
        && kept.digest == kept.digest();
    // A set from the future has a fetch time that nothing can be told from.
    let age = u64::try_from(clock.now().since(kept.fetched_at)).ok().map(Duration::from_secs)?;
    if !meant || age >= spec.max_stale {
        return None;
    }
    let set = parse_kept(kept.document.into(), spec)?;
    let life = Life::new(Moment::now(clock).minus(age), Duration::ZERO, spec.max_stale);
    Some(EntryKeys::new(set.into(), kept.fetched_at, Some(life)))
}

/// Removes copies, and what crashes left of some, that are of no use to anybody: untouched for `idle` before `now`. An entry that is
/// taken out of the configuration and put back within that time finds its copy. Blocks.
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

/// Whether a file was named by [`file_path`], or while it was written.
fn is_ours(name: &Path) -> bool {
    let stem = name.to_str().and_then(|name| name.split_once('.'));
    stem.is_some_and(|(digest, rest)| {
        digest.len() == 64
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (rest == "json" || rest.ends_with(".tmp"))
    })
}

/// The name of the copy of `spec`, without its extension.
pub(crate) fn name(spec: &EntrySpec) -> String {
    digest_of_parts(&[spec.name.as_str().as_bytes(), spec.issuer.as_str().as_bytes()]).to_hex()
}

/// The names of the copies in `dir`. Blocks.
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
        // A clock that went back removes nothing.
        sweep(dir.path(), UnixTime::from_secs(0), Duration::ZERO).unwrap();
        assert!(dir.path().join(fresh).exists());
    }
}
