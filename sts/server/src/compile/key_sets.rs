//! The issuer entries as the key cache judges them, so that a bad key file is found by a check and at its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntryError, EntrySpec, Environment, JwksCache, KeySource, Specs};
use sts_config::{AbsentSecrets, ConsoleProvider, KeyOrigins, KeysSpec, Report, Severity};
use sts_jose::KeySet;
use sts_token::TrustSpec;
use sts_types::{CheckCode, Clock, Entropy, EntryName};

/// Reports what is wrong with the URLs and key sets of the issuer entries, at the places where they are
/// declared. Nothing is dialled, and no state is read or written.
pub(super) fn check(
    keys: &[(KeysSpec, Option<KeyOrigins>)],
    trust: &[TrustSpec],
    absent_secrets: AbsentSecrets,
    report: &mut Report,
) {
    let sound: Vec<(&KeysSpec, &KeyOrigins)> =
        keys.iter().filter_map(|(spec, origins)| Some((spec, origins.as_ref()?))).collect();
    let mut errors = refused_by_cache(KeysSpec::specs(sound.iter().map(|(spec, _)| (*spec).clone())));
    let mut domains: BTreeMap<&str, Vec<&EntrySpec>> = BTreeMap::new();
    for spec in sound.iter().filter_map(|(spec, _)| spec.one()) {
        let domain = trust.iter().find(|own| own.entry == spec.name).and_then(|own| own.trust_domain.as_deref());
        domain.into_iter().for_each(|domain| domains.entry(domain).or_default().push(spec));
    }
    errors.extend(domains.iter().flat_map(|(domain, sharers)| shared_in_domain(domain, sharers)));
    for error in errors {
        let Some((spec, origins)) = sound.iter().find(|(spec, _)| *spec.name() == error.entry) else { continue };
        // That an entry has no keys of its own was reported where the entries were read.
        let is_told = error.code == CheckCode::IssuerWithoutKeys
            && spec.one().is_some_and(|spec| spec.source == KeySource::Discovery);
        let origin = origins.of(error.key);
        if is_told || report.has_finding_at(origin) {
            continue;
        }
        let is_absent = error.code == CheckCode::MissingSecret && absent_secrets == AbsentSecrets::Warn;
        let severity = if is_absent { Severity::Warning } else { Severity::Error };
        let message = format!("issuer entry `{}`: {}", error.entry, error.message);
        report.add(error.code, severity, origin, message, Some(error.help));
    }
}

/// Reports what is wrong with the way to the console's OpenID provider.
pub(super) fn check_console(console: &ConsoleProvider, report: &mut Report) {
    let origin = console.rules.issuer.origin;
    for error in refused_by_cache(vec![console.keys.clone()].into()) {
        if !report.has_finding_at(origin) {
            report.add(error.code, Severity::Error, origin, format!("`console`: {}", error.message), Some(error.help));
        }
    }
}

/// What the key cache says of the specs.
fn refused_by_cache(specs: Specs) -> Vec<EntryError> {
    let environment = Environment {
        clock: Arc::new(StoppedClock),
        entropy: Arc::new(StoppedClock),
        state_dir: None,
        resolver: None,
        user_agent: String::new(),
        ignored_proxies: Vec::new(),
        observer: None,
    };
    JwksCache::new(specs, environment).err().unwrap_or_default()
}

/// Keys that are in the static key sets of two of `entries`, which have the trust domain `domain`: by
/// them nothing tells whose token without `iss` it is. Entries of one issuer are judged by the cache.
fn shared_in_domain(domain: &str, entries: &[&EntrySpec]) -> Vec<EntryError> {
    let sets: Vec<(&EntrySpec, Vec<String>)> = entries.iter().map(|entry| (*entry, thumbprints(entry))).collect();
    let mut errors = Vec::new();
    for (index, (entry, entry_keys)) in sets.iter().enumerate() {
        let others = sets.iter().take(index).filter(|(other, _)| other.issuer != entry.issuer);
        let shared =
            others.filter_map(|(other, keys)| Some((&other.name, entry_keys.iter().find(|key| keys.contains(key))?)));
        for (other, thumbprint) in shared {
            errors.push(shared_key(&entry.name, other, domain, thumbprint));
        }
    }
    errors
}

fn shared_key(entry: &EntryName, other: &EntryName, domain: &str, thumbprint: &str) -> EntryError {
    EntryError {
        code: CheckCode::SharedKey,
        entry: entry.clone(),
        key: None,
        message: format!(
            "it holds a key of `{other}`, which has the same trust domain `{domain}` (thumbprint {thumbprint})"
        ),
        help: "entries of one trust domain are told apart by their keys; leave that key out of one of them".to_owned(),
    }
}

/// The thumbprints of an entry's static keys. A set that cannot be read has none, and is reported elsewhere.
fn thumbprints(entry: &EntrySpec) -> Vec<String> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let set = match &entry.source {
        KeySource::Inline(jwks) => KeySet::from_value(jwks, &entry.algorithms).ok(),
        KeySource::File(path) => read_key_file(path).and_then(|document| {
            let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&document);
            KeySet::parse(document, &entry.algorithms).ok()
        }),
        KeySource::Discovery | KeySource::Url(_) => None,
    };
    set.map(|set| set.keys.iter().map(|key| key.thumbprint().to_owned()).collect()).unwrap_or_default()
}

/// The content of a key file; `None` if the key cache would refuse the file before it reads the keys.
/// To read a device or a FIFO may never end.
fn read_key_file(path: &Path) -> Option<Vec<u8>> {
    const MAX_BYTES: u64 = 256 * 1024;
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut document = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES + 1).read_to_end(&mut document).ok()?;
    (document.len() as u64 <= MAX_BYTES).then_some(document)
}

/// Neither time nor chance has a part in a check.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now_millis(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for StoppedClock {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_and_a_file_that_is_too_large_are_no_key_files() {
        // To read it whole never ends.
        assert_eq!(read_key_file(Path::new("/dev/zero")), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        std::fs::write(&path, vec![b' '; 256 * 1024]).unwrap();
        assert_eq!(read_key_file(&path).unwrap().len(), 256 * 1024);
        std::fs::write(&path, vec![b' '; 256 * 1024 + 1]).unwrap();
        assert_eq!(read_key_file(&path), None);
    }
}
