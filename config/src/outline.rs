//! Digests of the configuration by name, so that a reload can log what changed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use sts_types::Digest256;

use crate::yaml::{Node, Value};

/// Keys that are mappings from a name to a declaration. Their changes are reported by name.
const NAMED: [&str; 3] = ["issuers", "apis", "teams"];
/// Keys that do not count here: accounts are compared after compilation
/// ([`sts_policy::AccountChanges`]), and account files by their contents.
const REPORTED_ELSEWHERE: [&str; 2] = ["service_accounts", "accounts"];

/// A digest of everything in the configuration except service accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    named: [BTreeMap<String, u64>; NAMED.len()],
    settings: BTreeMap<String, u64>,
    files: BTreeMap<PathBuf, Digest256>,
}

/// The names in which two sets differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameChanges {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, but different.
    pub changed: Vec<String>,
}

/// The differences between two configurations, without service accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Issuer entries.
    pub issuers: NameChanges,
    /// APIs.
    pub apis: NameChanges,
    /// Teams.
    pub teams: NameChanges,
    /// All other top-level keys.
    pub settings: NameChanges,
    /// Files with secrets, certificates, key sets and claims, by path.
    pub files: NameChanges,
}

impl NameChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn between<V: PartialEq>(
        old: impl Fn(&str) -> Option<V>,
        new: impl Fn(&str) -> Option<V>,
        names: &[String],
    ) -> Self {
        let mut changes = Self::default();
        for name in names {
            match (old(name), new(name)) {
                (None, Some(_)) => changes.added.push(name.clone()),
                (Some(_), None) => changes.removed.push(name.clone()),
                (old, new) if old != new => changes.changed.push(name.clone()),
                _ => {}
            }
        }
        changes
    }

    fn of_maps<V: PartialEq + Copy>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Self {
        let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
        names.sort();
        names.dedup();
        Self::between(|name| old.get(name).copied(), |name| new.get(name).copied(), &names)
    }
}

impl Outline {
    /// Adds the mapping of one file.
    pub(crate) fn add(&mut self, tree: &Node) {
        let Value::Mapping(entries) = &tree.value else { return };
        for entry in entries {
            let named = NAMED.iter().position(|name| *name == entry.key);
            match (named.and_then(|index| self.named.get_mut(index)), &entry.node.value) {
                (Some(names), Value::Mapping(members)) => {
                    members.iter().for_each(|member| add(names, &member.key, &member.node));
                }
                _ if REPORTED_ELSEWHERE.contains(&entry.key.as_str()) => {}
                _ => add(&mut self.settings, &entry.key, &entry.node),
            }
        }
    }

    /// Adds a file other than a YAML file.
    pub(crate) fn add_file(&mut self, path: &Path, digest: Digest256) {
        self.files.insert(path.to_owned(), digest);
    }

    /// Compares this configuration with `new`.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Changes {
        let [issuers, apis, teams] = &self.named;
        let [new_issuers, new_apis, new_teams] = &new.named;
        let by_text = |files: &BTreeMap<PathBuf, Digest256>| -> BTreeMap<String, Digest256> {
            files.iter().map(|(path, digest)| (path.display().to_string(), *digest)).collect()
        };
        Changes {
            issuers: NameChanges::of_maps(issuers, new_issuers),
            apis: NameChanges::of_maps(apis, new_apis),
            teams: NameChanges::of_maps(teams, new_teams),
            settings: NameChanges::of_maps(&self.settings, &new.settings),
            files: NameChanges::of_maps(&by_text(&self.files), &by_text(&new.files)),
        }
    }
}

/// Adds the digest of one declaration. `^` combines the digests of a name that occurs in several
/// files, whatever their order.
fn add(names: &mut BTreeMap<String, u64>, name: &str, node: &Node) {
    let mut hasher = DefaultHasher::new();
    digest(node, &mut hasher);
    *names.entry(name.to_owned()).or_default() ^= hasher.finish();
}

/// Hashes a value without its position.
fn digest(node: &Node, hasher: &mut DefaultHasher) {
    match &node.value {
        Value::Scalar(scalar) => (0u8, &scalar.text, scalar.plain).hash(hasher),
        Value::Sequence(items) => {
            (1u8, items.len()).hash(hasher);
            items.iter().for_each(|item| digest(item, hasher));
        }
        Value::Mapping(entries) => {
            (2u8, entries.len()).hash(hasher);
            for entry in entries {
                entry.key.hash(hasher);
                digest(&entry.node, hasher);
            }
        }
        Value::Broken => 3u8.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::Report;

    fn outline(text: &str) -> Outline {
        let mut report = Report::default();
        let text: Arc<str> = text.into();
        let file = report.sources.add(Path::new("x.yaml"), Arc::clone(&text));
        let mut outline = Outline::default();
        outline.add(&crate::yaml::parse(file, &text, &mut report).unwrap());
        outline
    }

    #[test]
    fn fld49_everything_that_differs_is_named_wherever_it_stands() {
        let old =
            outline("issuers: { a: { issuer: x }, b: { issuer: y } }\nlimits: { connections: 1 }\nteams: { t: {} }\n");
        let moved = outline(
            "# moved\nteams:\n  t: {}\n\nlimits: { connections: 1 }\nissuers:\n  b: { issuer: y }\n  a: { issuer: x }\n",
        );
        assert_eq!(old.changes_to(&moved), Changes::default());
        let new = outline(
            "issuers: { b: { issuer: z }, c: { issuer: x } }\ntokens: { ttl: 1m }\nteams: { t: {} }\nservice_accounts: { q: {} }\n",
        );
        let names = |added: &[&str], removed: &[&str], changed: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            NameChanges { added: owned(added), removed: owned(removed), changed: owned(changed) }
        };
        let changes = old.changes_to(&new);
        assert_eq!(changes.issuers, names(&["c"], &["a"], &["b"]));
        assert_eq!(changes.settings, names(&["tokens"], &["limits"], &[]));
        assert!(changes.teams.is_empty() && changes.apis.is_empty() && changes.files.is_empty());
    }
}
