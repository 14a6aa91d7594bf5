//! `signing:`: our signing keys, and where they are kept.

use std::path::{Path, PathBuf};

use sts_keyring::{KeyStoreSpec, KeyringSpec, Pkcs11Spec};
use sts_store::spec::StoreSpec;
use sts_types::{Algorithm, CheckCode, Lifetime};

use super::named_file::{FileKind, NamedFile};
use super::reader::{Fields, Reader};
use super::server::algorithms;
use crate::source::Span;
use crate::yaml::Node;

/// Values of `signing.store`.
pub(crate) const SIGNING_STORES: [&str; 2] = ["directory", "redis"];
/// Algorithms of keys on a device.
const ON_DEVICES: [Algorithm; 2] = [Algorithm::ES256, Algorithm::RS256];

/// The settings of the keyring, and the files they name with their positions.
pub(crate) struct Signing {
    pub(crate) spec: KeyringSpec,
    pub(crate) seal_key_files: Vec<(PathBuf, Span)>,
    pub(crate) pin_file: Option<(PathBuf, Span)>,
    pub(crate) module: Option<NamedFile>,
}

/// What `store` says about a place for keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Embedded,
    Redis,
    /// Its own value is wrong.
    Unknown,
}

impl StoreKind {
    pub(crate) fn of(store: &StoreSpec, is_sound: bool) -> Self {
        match store {
            _ if !is_sound => Self::Unknown,
            StoreSpec::Embedded => Self::Embedded,
            StoreSpec::Redis(_) => Self::Redis,
        }
    }
}

/// Reads `signing:`.
pub(crate) fn signing(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    data_dir: &Path,
    max_ttl: Lifetime,
    store: StoreKind,
) -> Signing {
    const DAY: u64 = 86_400;
    let spec = KeyringSpec {
        store: KeyStoreSpec::Directory(data_dir.join("keys")),
        device: None,
        algorithms: vec![Algorithm::ES256, Algorithm::RS256],
        rotate_every: Some(30 * DAY),
        max_ttl: max_ttl.as_secs(),
    };
    let mut signing = Signing { spec, seal_key_files: Vec::new(), pin_file: None, module: None };
    let Some(members) = reader.section(fields, "signing") else { return signing };
    signing_algorithms(reader, &members, &mut signing.spec);
    if let Some(every) = reader.optional(&members, "rotate_every", Reader::duration) {
        signing.spec.rotate_every = (!every.is_zero()).then_some(every.as_secs());
    }
    place(reader, &members, store, &mut signing);
    device(reader, &members, &mut signing);
    signing
}

fn signing_algorithms(reader: &mut Reader<'_>, members: &Fields<'_>, spec: &mut KeyringSpec) {
    let words = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA].map(|algorithm| (algorithm.name(), algorithm));
    let before = reader.report.errors();
    if let Some(found) = reader.optional(members, "algorithms", |reader, node| algorithms(reader, node, &words)) {
        spec.algorithms = found;
    }
    if reader.report.errors() > before || (members.has_unknown_key() && members.mentions("algorithms")) {
        // Without a readable list, accept any algorithm of an API rather than report it as well.
        spec.algorithms = Algorithm::ALL.to_vec();
    }
}

/// Reads where the keys are kept.
fn place(reader: &mut Reader<'_>, members: &Fields<'_>, store: StoreKind, signing: &mut Signing) {
    let directory = reader.optional(members, "keys_dir", Reader::path);
    let words = [(SIGNING_STORES[0], false), (SIGNING_STORES[1], true)];
    let before = reader.report.errors();
    let in_redis = reader.optional(members, "store", |reader, node| reader.one_of(node, &words)).unwrap_or(false);
    let is_sound = reader.report.errors() == before;
    let files = reader.optional(members, "seal_key_file", |reader, node| reader.one_or_more(node, seal_key_file));
    signing.seal_key_files = files.unwrap_or_default();
    if !in_redis {
        if let Some(directory) = directory {
            signing.spec.store = KeyStoreSpec::Directory(directory);
        }
        if is_sound {
            let help = "add `store: redis` to keep the signing keys in the Redis of the store, or remove it";
            refuse(
                reader,
                members,
                "seal_key_file",
                "is for signing keys in Redis, and these are in a directory",
                help,
            );
        }
        return;
    }
    if store == StoreKind::Embedded
        && let Some(node) = members.node("store")
    {
        let help = "name a Redis in `store` at the top, or remove this to keep the keys in a directory";
        let message = "the signing keys cannot be in Redis: the store is embedded";
        reader.error(CheckCode::ConflictingKeys, node.span, message, help);
    }
    if !members.mentions("seal_key_file")
        && let Some(entry) = members.entry("store")
    {
        let help = "add `seal_key_file`: a file that every server has, with a key that `openssl rand -base64 32` makes";
        let message = "signing keys in Redis are sealed, and no file has the key for that";
        reader.error(CheckCode::MissingKey, entry.key_span, message, help);
    }
    let seal_key_files = signing.seal_key_files.iter().map(|(path, _)| path.clone()).collect();
    let earlier = directory.unwrap_or_else(|| signing.spec.store.directory_or_earlier().clone());
    signing.spec.store = KeyStoreSpec::Redis { seal_key_files, earlier };
}

fn seal_key_file(reader: &mut Reader<'_>, node: &Node) -> Option<(PathBuf, Span)> {
    reader.secret_path(node).map(|path| (path, node.span))
}

/// Reads the device of the keys.
fn device(reader: &mut Reader<'_>, members: &Fields<'_>, signing: &mut Signing) {
    let Some(device) = reader.section(members, "pkcs11") else { return };
    let module = reader.required(&device, "module", Reader::path);
    let token_label = reader.required(&device, "token_label", token_label);
    let pin_file = reader.required(&device, "pin_file", Reader::secret_path);
    signing.module = module.as_ref().zip(device.node("module")).map(|(path, node)| NamedFile {
        path: path.clone(),
        span: node.span,
        kind: FileKind::Public,
    });
    signing.pin_file = pin_file.as_ref().zip(device.node("pin_file")).map(|(path, node)| (path.clone(), node.span));
    if let (Some(module), Some(token_label), Some(pin_file)) = (module, token_label, pin_file) {
        signing.spec.device = Some(Pkcs11Spec { module, token_label, pin_file });
    }
    let unfit = signing.spec.algorithms.iter().find(|algorithm| !ON_DEVICES.contains(algorithm));
    if let (Some(unfit), Some(node)) = (unfit, members.node("algorithms"))
        && signing.spec.algorithms != Algorithm::ALL
    {
        let message = format!("keys of {unfit} are not made on a PKCS#11 device");
        reader.error(CheckCode::ConflictingKeys, node.span, message, "list ES256, RS256 or both");
    }
}

/// Reads the label of a token, which PKCS#11 pads to 32 bytes.
fn token_label(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if text.value.trim().is_empty() || text.value.len() > 32 || text.value.ends_with(' ') {
        let message = format!("{} is not the label of a token", text.shown());
        let help = "write the label of 1 to 32 bytes that the token got when it was initialized";
        reader.error(CheckCode::InvalidName, text.span, message, help);
        return None;
    }
    Some(text.value)
}

fn refuse(reader: &mut Reader<'_>, members: &Fields<'_>, key: &str, why: &str, help: &str) {
    if let Some(entry) = members.entry(key) {
        reader.error(CheckCode::KeyWithoutEffect, entry.key_span, format!("`{key}` {why}"), help);
    }
}
