//! Reads the settings that open the store without a server. The configuration need not load.
//!
//! Only `data_dir`, `store` and `signing` must be readable. The first two name the store, and the
//! key of its seal is among the signing keys. Readable usernames are kept, so that a command can
//! name an account. The rules are not read, so these settings grant nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_audit::AuditSpec;
use sts_keyring::KeyringSpec;
use sts_policy::{AccountSpec, TokensSpec};
use sts_store::spec::StoreSpec;
use sts_types::{AccountId, AccountName, Located};

use crate::admin_access::{DATA_DIR, data_dir, keep_findings_on, only, sound, text_of, tree_with};
use crate::decode::{
    DEFAULT_ADMIN, DEFAULT_DRAIN, DEFAULT_LIMITS, DEFAULT_LISTEN, DEFAULT_LOG, DEFAULT_MANAGED, Reader, StoreKind,
    account_files, default_tokens, signing, stand_in, store,
};
use crate::diagnostic::{Diagnostics, Severity};
use crate::files::{FileError, Files, expand};
use crate::keys;
use crate::settings::{AdminSettings, ApiKeySettings, Settings};
use crate::yaml::{Entry, Node, Value};

const STORE: &str = "store";
const SIGNING: &str = "signing";
const ACCOUNTS: &str = "accounts";
const SERVICE_ACCOUNTS: &str = "service_accounts";

/// The settings that open the store.
#[derive(Debug)]
pub struct StoreAccess {
    /// The settings. All but those of the store and the keys are defaults.
    pub settings: Settings,
    /// The defaults of `tokens:`.
    pub tokens: TokensSpec,
    /// The readable accounts, with name and id only.
    pub accounts: Vec<AccountSpec>,
}

/// Reads the store settings of the configuration at `path`. `environment` returns the value of an
/// environment variable.
///
/// # Errors
/// If the file cannot be read, or is ambiguous about the store. A guess could open another store.
pub fn store_access(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<StoreAccess, Diagnostics> {
    let mut reader = Reader::new(environment);
    let found = read(&mut reader, path);
    let (findings, _) = reader.report.finish();
    let (data_dir, store, keyring) = found.ok_or(findings)?;
    let accounts = accounts(path, environment).into_iter().map(bare_account).collect();
    Ok(StoreAccess { settings: settings(data_dir, store, keyring), tokens: default_tokens(), accounts })
}

fn read(reader: &mut Reader<'_>, path: &Path) -> Option<(PathBuf, StoreSpec, KeyringSpec)> {
    const WANTED: &[&str] = &[DATA_DIR, STORE, SIGNING];
    let text = text_of(path).map_err(|FileError { code, message, help, .. }| {
        reader.report.at(code, Severity::Error, None, message, Some(help));
    });
    let tree = tree_with(reader, path, &text.ok()?, WANTED)?;
    let fields = reader.fields(&tree, &keys::ROOT)?;
    keep_findings_on(reader, &tree, WANTED);
    let Value::Mapping(members) = &tree.value else { return None };
    for name in [STORE, SIGNING] {
        if let Some(entry) = only(reader, members, name)? {
            sound(reader, entry)?;
        }
    }
    let data_dir = data_dir(reader, members)?;
    let before = reader.report.errors();
    let store = store(reader, &fields).spec;
    let kind = StoreKind::of(&store, reader.report.errors() == before);
    let keyring = signing(reader, &fields, &data_dir, default_tokens().max_ttl.value, kind).spec;
    let found = (data_dir, store, keyring);
    (!reader.report.findings.is_fatal()).then_some(found)
}

/// The readable accounts by username, with their ids. An account with an unreadable id or a
/// duplicate name is left out: a command on one account must not reach another.
fn accounts(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<AccountName, Option<Located<AccountId>>> {
    let mut reader = Reader::new(environment);
    let (mut found, mut duplicates) = (BTreeMap::new(), Vec::new());
    let main = mapping_of(&mut reader, path, &[ACCOUNTS, SERVICE_ACCOUNTS]);
    let files = main.iter().flatten().find(|entry| entry.key == ACCOUNTS);
    let files = files.and_then(|entry| reader.one_or_more(&entry.node, account_files)).unwrap_or_default();
    let mut all: Vec<Vec<Entry>> = main.into_iter().collect();
    for file in files {
        let path = reader.beside(file.span, &file.path);
        let listed = if file.is_pattern { expand(&path).unwrap_or_default() } else { vec![path] };
        all.extend(listed.iter().filter_map(|path| mapping_of(&mut reader, path, &[SERVICE_ACCOUNTS])));
    }
    for (name, id) in all.iter().flat_map(|members| named_accounts(&mut reader, members)).collect::<Vec<_>>() {
        if found.insert(name.clone(), id).is_some() {
            duplicates.push(name);
        }
    }
    let known = found.into_iter().filter(|(name, _)| !duplicates.contains(name));
    known.filter_map(|(name, id)| Some((name, id?))).collect()
}

/// The accounts of one file. The outer `None` means that the id cannot be read.
type NamedAccount = (AccountName, Option<Option<Located<AccountId>>>);

fn named_accounts(reader: &mut Reader<'_>, members: &[Entry]) -> Vec<NamedAccount> {
    let accounts =
        members.iter().filter(|entry| entry.key == SERVICE_ACCOUNTS).filter_map(|entry| match &entry.node.value {
            Value::Mapping(accounts) => Some(accounts),
            Value::Scalar(_) | Value::Sequence(_) | Value::Broken => None,
        });
    let one = |entry: &Entry| Some((AccountName::new(&entry.key).ok()?, id_of(reader, &entry.node)));
    accounts.flatten().filter_map(one).collect()
}

/// The id of an account. `Some(None)` if it sets none.
fn id_of(reader: &mut Reader<'_>, account: &Node) -> Option<Option<Located<AccountId>>> {
    let Value::Mapping(members) = &account.value else { return None };
    let mut ids = members.iter().filter(|entry| entry.key == "id");
    let id = ids.next().map(|entry| reader.name(&entry.node, AccountId::new));
    match (id, ids.next()) {
        (_, Some(_)) | (Some(None), _) => None,
        (id, None) => Some(id.flatten()),
    }
}

/// Parses a file, or at least its members `wanted`.
fn mapping_of(reader: &mut Reader<'_>, path: &Path, wanted: &[&str]) -> Option<Vec<Entry>> {
    let text: Arc<str> = Files::default().text(path).ok()?.into();
    match tree_with(reader, path, &text, wanted)?.value {
        Value::Mapping(members) => Some(members),
        Value::Scalar(_) | Value::Sequence(_) | Value::Broken => None,
    }
}

/// An account without grants.
fn bare_account((name, id): (AccountName, Option<Located<AccountId>>)) -> AccountSpec {
    AccountSpec {
        name: Located::nowhere(name),
        id,
        display_name: None,
        enabled: false,
        teams: Vec::new(),
        grants: Vec::new(),
        default_api: None,
        ttl: None,
        not_before: None,
        not_after: None,
        require_proof: false,
        actors: Vec::new(),
        external_login: None,
        identities: Vec::new(),
    }
}

fn settings(data_dir: PathBuf, store: StoreSpec, keyring: KeyringSpec) -> Settings {
    Settings {
        issuer: stand_in(),
        listen: DEFAULT_LISTEN,
        tls: None,
        behind_tls_proxy: Vec::new(),
        admin: AdminSettings { listen: DEFAULT_ADMIN, hosts: Vec::new(), tls: None },
        data_dir,
        store,
        keyring,
        status_list: false,
        cap_to_subject: false,
        limits: DEFAULT_LIMITS,
        drain: DEFAULT_DRAIN,
        log: DEFAULT_LOG,
        audit: AuditSpec::default(),
        metrics_listen: None,
        otlp: None,
        api_keys: ApiKeySettings::default(),
        managed_kinds: DEFAULT_MANAGED.to_vec(),
        directories: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11";

    fn access(text: &str, accounts: &str) -> Result<(StoreAccess, PathBuf), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts.yaml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("a.yaml"), accounts).unwrap();
        let access = store_access(&path, &|_| None).map_err(|findings| findings.render(false))?;
        Ok((access, folder.path().to_owned()))
    }

    fn id(access: &StoreAccess, name: &str) -> Option<String> {
        let account = access.accounts.iter().find(|account| account.name.value.as_str() == name)?;
        Some(account.id.as_ref().map_or_else(|| name.to_owned(), |id| id.value.to_string()))
    }

    #[test]
    fn fld22_the_store_is_found_and_accounts_are_known_by_name_whatever_else_is_wrong() {
        let accounts = format!("service_accounts:\n  one:\n    id: {ID}\n    teams: 7\n  two: {{}}\n");
        for text in [
            "data_dir: d\naccounts: a.yaml\nnonsense: 1\n",
            "data_dir: d\naccounts: [a.yaml]\nissuers: { a: [\n",
            "{ \"data_dir\": \"d\", \"accounts\": \"*.yaml\", \"tokens\": { \"ttl\": [ } }",
        ] {
            let (found, folder) = access(text, &accounts).unwrap();
            assert_eq!(found.settings.data_dir, folder.join("d"), "{text}");
            assert_eq!(found.settings.store, StoreSpec::Embedded, "{text}");
            assert_eq!(id(&found, "one").as_deref(), Some(ID), "{text}");
            assert_eq!(id(&found, "two").as_deref(), Some("two"), "{text}");
        }
        let redis = "data_dir: d\nstore: { url: 'redis://127.0.0.1:7', timeout: 2s }\nsigning: { keys_dir: k }\nx: [";
        let (found, folder) = access(redis, "").unwrap();
        assert!(matches!(found.settings.store, StoreSpec::Redis(_)));
        assert_eq!(found.settings.keyring.store.directory(), Some(&folder.join("k")));
    }

    #[test]
    fn fld22_an_account_that_cannot_be_read_for_certain_is_left_out_alone() {
        let left_out = [
            "service_accounts:\n  one: { id: [x] }\n  two: {}\n",
            "service_accounts:\n  one: { id: 'NO GOOD' }\n  two: {}\n",
            "service_accounts:\n  one: 7\n  two: {}\n",
            "service_accounts:\n  one: { id: ${NOT_SET} }\n  two: {}\n",
        ];
        for accounts in left_out {
            let (found, _) = access("accounts: a.yaml\nx: 1\n", accounts).unwrap();
            assert_eq!((id(&found, "one"), id(&found, "two").as_deref()), (None, Some("two")), "{accounts}");
        }
        let twice = "service_accounts:\n  one: {}\n";
        let (found, _) = access(&format!("accounts: a.yaml\n{twice}"), twice).unwrap();
        assert_eq!(id(&found, "one"), None);
        let (found, _) = access("accounts: a.yaml\n", "service_accounts: [\n").unwrap();
        assert_eq!(found.accounts.len(), 0);
    }

    #[test]
    fn fld22_which_store_it_is_is_never_guessed() {
        for text in [
            "data_dir: d\nstore: { url: [ }\n",
            "data_dir: d\nstore: ${NOT_SET}\n",
            "data_dir: d\nstore: nowhere\n",
            "data_dir: d\nstore: embedded\nstore: embedded\n",
            "data_dir: d\nsigning: { keys_dir: ${NOT_SET} }\n",
            "data_dir: d\nsigning: { keysdir: k }\n",
            "data_dir: d\nsigning: { store: redis, seal_key_file: k }\n",
            "data_dir: d\nstore: redis://h\nsigning: { store: redis }\n",
            "data_dir: d\n store: redis://h\nx: [\n",
            "data_dir: ${NOT_SET}\n",
        ] {
            assert!(access(text, "").is_err(), "{text}");
        }
    }
}
