//! Readers of mappings and lists. Each returns `None` after reporting the reason.

use std::collections::BTreeMap;

use sts_directory::{DirectoryKind, Dn};
use sts_policy::{FaultyNames, FaultySet};
use sts_types::{CheckCode, Located, NameError, nearest};

use crate::diagnostic::{Place, Severity};
use crate::keys::{self, Key, Section};
use crate::quote::quoted;
use crate::report::Report;
use crate::source::Span;
use crate::yaml::{Entry, Node, Value};

/// State of the decoding: the report, the environment, and what later readers need to know.
pub(crate) struct Reader<'e> {
    pub(crate) report: Report,
    pub(super) environment: &'e dyn Fn(&str) -> Option<String>,
    /// Every environment variable read so far, with its value.
    pub(crate) variables: BTreeMap<String, String>,
    /// The key of the short rule for each issuer entry, by its name.
    pub(crate) short_rules: BTreeMap<String, &'static str>,
    /// Kind and base of each directory, by its name.
    pub(crate) directories: BTreeMap<String, (DirectoryKind, Dn)>,
    /// Names whose declaration has a reported fault.
    pub(crate) faulty: FaultyNames,
    /// Whether account files may be missing because of a fault in `accounts`.
    pub(crate) misses_account_files: bool,
}

/// The members of a mapping, after unknown keys were reported.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    pub(super) section: &'static Section,
    /// Position of the mapping. Missing keys are reported there.
    pub(crate) span: Span,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of `key`, if present.
    pub(crate) fn node(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(self.section.key(key).is_some(), "`{key}` is not in the table of keys");
        self.entry(key).map(|entry| &entry.node)
    }

    /// The keys of the mapping under `key`, or of each mapping in it.
    pub(super) fn section_of(&self, key: &str) -> Option<&'static Section> {
        self.section.key(key).and_then(Key::section)
    }

    /// Whether `key` is present, or an unknown key that probably means it.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key || intended_key(&entry.key, self.section) == Some(key))
    }

    /// Whether there is an unknown key.
    pub(super) fn has_unknown_key(&self) -> bool {
        self.entries.iter().any(|entry| self.section.key(&entry.key).is_none())
    }

    /// The member with the key `key`, if present.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl<'e> Reader<'e> {
    pub(crate) fn new(environment: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            report: Report::default(),
            environment,
            variables: BTreeMap::new(),
            short_rules: BTreeMap::new(),
            directories: BTreeMap::new(),
            faulty: FaultyNames::default(),
            misses_account_files: false,
        }
    }

    pub(crate) fn error(&mut self, code: CheckCode, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report.error(code, span, message, Some(help.into()));
    }

    pub(crate) fn warning(&mut self, code: CheckCode, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let place = Place::of_span(&self.report.sources, span);
        self.report.at(code, Severity::Warning, Some(place), message.into(), Some(help.into()));
    }

    /// Attaches to `value` a handle of its position.
    pub(crate) fn located<T>(&mut self, value: T, span: Span) -> Located<T> {
        Located::new(value, self.report.sources.origin(span))
    }

    /// The members of a mapping. Reports unknown keys.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, section: &'static Section) -> Option<Fields<'n>> {
        self.fields_with(node, section, &|_| None)
    }

    /// Like [`Self::fields`]. `suggest` knows keys beyond those that look similar.
    pub(super) fn fields_with<'n>(
        &mut self,
        node: &'n Node,
        section: &'static Section,
        suggest: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Fields<'n>> {
        let entries = self.mapping(node, section.name)?;
        for entry in entries {
            let broken = entry.key.is_empty() && entry.node.is_broken();
            if section.key(&entry.key).is_none() && !broken {
                self.note_names_under(entry, section);
                self.unknown_key(entry, section, suggest(&entry.key));
            }
        }
        Some(Fields { section, span: node.span, entries })
    }

    /// Marks the names under an unknown key as faulty if the key probably means a declaration.
    /// References to these names are then not reported as well.
    fn note_names_under(&mut self, entry: &Entry, section: &'static Section) {
        let Some(key) = intended_key(&entry.key, section) else { return };
        self.misses_account_files |= key == "accounts";
        self.note_faulty_names(key, &entry.node);
    }

    /// Marks the names that `node`, the value of `key`, declares as faulty.
    fn note_faulty_names(&mut self, key: &str, node: &Node) {
        let Some(names) = self.faulty_of(key) else { return };
        match &node.value {
            Value::Mapping(entries) => entries.iter().for_each(|entry| names.insert(&entry.key)),
            Value::Scalar(_) | Value::Sequence(_) | Value::Broken => names.insert_every_name(),
        }
    }

    /// The faulty names of the kind that `key` declares.
    pub(super) fn faulty_of(&mut self, key: &str) -> Option<&mut FaultySet> {
        match key {
            "teams" => Some(&mut self.faulty.teams),
            "apis" => Some(&mut self.faulty.apis),
            "issuers" => Some(&mut self.faulty.issuers),
            "service_accounts" => Some(&mut self.faulty.accounts),
            "directories" => Some(&mut self.faulty.directories),
            _ => None,
        }
    }

    /// Marks the name of a broken entry as faulty, or every name if the entry's own is lost.
    fn note_faulty_entry(&mut self, key: &str, entry: &Entry) {
        let Some(names) = self.faulty_of(key) else { return };
        if entry.key.is_empty() { names.insert_every_name() } else { names.insert(&entry.key) }
    }

    /// The name that `entry` declares under `key`.
    pub(super) fn declared<T>(
        &mut self,
        key: &str,
        entry: &Entry,
        make: fn(&str) -> Result<T, NameError>,
    ) -> Option<Located<T>> {
        let name = self.key_name(entry, make);
        if name.is_none()
            && let Some(names) = self.faulty_of(key)
        {
            names.insert_misspelt(&entry.key);
        }
        name
    }

    /// Marks `name`, declared under `key`, as faulty if there are more than `errors` errors by now.
    pub(super) fn note_faults_since(&mut self, errors: usize, key: &str, name: &str) {
        if self.report.errors() > errors
            && let Some(names) = self.faulty_of(key)
        {
            names.insert(name);
        }
    }

    fn unknown_key(&mut self, entry: &Entry, section: &Section, meant: Option<String>) {
        let names = || section.keys.iter().map(|key| key.name);
        let message = format!("unknown key {} in {}", quoted(&entry.key), section.name);
        let joined = entry.key.split_once(':').filter(|(key, _)| section.key(key).is_some());
        let near = nearest(&entry.key, names());
        let help = match (joined, near) {
            (None, _) if meant.is_some() => meant.unwrap_or_default(),
            (Some((key, value)), _) => format!("put a space after the colon: {}", quoted(&format!("{key}: {value}"))),
            (None, Some(name)) => format!("did you mean `{name}`?"),
            (None, None) => match section.keys.iter().find(|key| is_file_of(key, &entry.key)) {
                Some(key) => format!("a secret is read from a file: write `{}`", key.name),
                None => format!("the keys of {} are {}", section.name, listed(names())),
            },
        };
        let name = entry.key.to_lowercase();
        if ["secret", "password", "passwd", "token", "credential", "key"].iter().any(|word| name.contains(word)) {
            self.report.hide_line(entry.key_span);
        }
        self.error(CheckCode::UnknownKey, entry.key_span, message, help);
    }

    /// Reads the value of `key`, if present.
    pub(crate) fn optional<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        fields.node(key).and_then(|node| read(self, node))
    }

    /// Reads the value of `key`. Reports a missing key.
    pub(crate) fn required<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        if !fields.mentions(key) {
            let doc = fields.section.key(key).map_or("", |key| key.doc);
            self.error(
                CheckCode::MissingKey,
                fields.span,
                format!("`{key}` is missing in {}", fields.section.name),
                format!("add `{key}:`: {}", sentence(doc)),
            );
        }
        self.optional(fields, key, read)
    }

    /// The entries of a mapping. Messages call it `name`.
    pub(crate) fn mapping<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Mapping(entries) => Some(entries),
            Value::Broken => None,
            Value::Scalar(_) | Value::Sequence(_) => {
                self.wrong_kind(node, &format!("{name} must be a mapping"), "write `key: value` lines under it");
                None
            }
        }
    }

    /// The items of a list. Messages call them `what`.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::Sequence(items) => Some(items),
            Value::Broken => None,
            Value::Scalar(_) | Value::Mapping(_) => {
                self.wrong_kind(node, &format!("this must be a list of {what}"), "put it in brackets: `[...]`");
                None
            }
        }
    }

    /// Reads every item of a list.
    pub(crate) fn list_of<T>(
        &mut self,
        node: &Node,
        what: &str,
        read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(node, what)?;
        Some(self.every(items, read))
    }

    /// Reads a single value, or a list of at least one. Reports an empty list.
    pub(crate) fn one_or_more<T>(
        &mut self,
        node: &Node,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        match &node.value {
            Value::Sequence(items) if items.is_empty() => {
                self.error(
                    CheckCode::EmptyList,
                    node.span,
                    "the list is empty",
                    "write at least one item, or remove the key",
                );
                None
            }
            Value::Sequence(items) => Some(self.every(items, read)),
            Value::Scalar(_) | Value::Mapping(_) => read(self, node).map(|value| vec![value]),
            Value::Broken => None,
        }
    }

    fn every<T>(&mut self, items: &[Node], mut read: impl FnMut(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        // A vector that grows by itself has room for four items at first. Most lists have one.
        let mut found = Vec::with_capacity(items.len());
        found.extend(items.iter().filter_map(|item| read(self, item)));
        found
    }

    /// Reports a value of the wrong kind. `instead_of_scalar` is the help for a single value.
    pub(super) fn wrong_kind(&mut self, node: &Node, wanted: &str, instead_of_scalar: &str) {
        let mut code = CheckCode::WrongType;
        let (found, help) = match &node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => {
                code = CheckCode::MissingValue;
                ("empty", "write a value, or remove the key".to_owned())
            }
            Value::Scalar(scalar)
                if scalar.plain && scalar.text.split_once(':').is_some_and(|(key, _)| keys::is_known(key)) =>
            {
                code = CheckCode::YamlMissingSpace;
                ("a string", "put a space after the colon: `key: value`".to_owned())
            }
            Value::Scalar(_) => ("a single value", instead_of_scalar.to_owned()),
            Value::Sequence(_) | Value::Mapping(_) if wanted == WANTED_STRING && self.is_flow(node) => {
                let found = if matches!(node.value, Value::Mapping(_)) { "a mapping" } else { "a list" };
                let source = self.report.sources.line(node.span.file, node.span.line).unwrap_or("");
                let from = usize::try_from(node.span.column - 1).unwrap_or(0);
                let length = usize::try_from(node.span.end_column.saturating_sub(node.span.column)).unwrap_or(0);
                let text: String = source.chars().skip(from).take(length).collect();
                (found, format!("for a string, write {}", quoted(&format!("'{}'", text.replace('\'', "''")))))
            }
            Value::Sequence(_) => ("a list", "write it without `- ` and `[]`".to_owned()),
            Value::Mapping(_) => ("a mapping", "write it without `key: ` and `{}`".to_owned()),
            Value::Broken => return,
        };
        self.error(code, node.span, format!("{wanted}, but it is {found}"), help);
    }

    fn is_flow(&self, node: &Node) -> bool {
        let line = self.report.sources.line(node.span.file, node.span.line).unwrap_or("");
        let first = line.chars().nth(usize::try_from(node.span.column - 1).unwrap_or(0));
        node.span.line == node.span.end_line && matches!(first, Some('{' | '['))
    }

    /// The members of the mapping under `key`, if present.
    pub(super) fn section<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<Fields<'n>> {
        let node = fields.node(key)?;
        self.fields(node, fields.section_of(key)?)
    }

    /// The members of a mapping from names to declarations. It may be empty, so that an operator
    /// can comment out everything in it.
    pub(super) fn named<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Vec<(&'n Entry, Fields<'n>)> {
        let Some(node) = fields.node(key).filter(|node| !node.is_nothing()) else { return Vec::new() };
        let Some(entries) = self.mapping(node, &format!("`{key}`")) else {
            self.note_faulty_names(key, node);
            return Vec::new();
        };
        let Some(section) = fields.section_of(key) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries {
            let before = self.report.errors();
            found.extend(self.fields(&entry.node, section).map(|members| (entry, members)));
            self.note_faults_since(before, key, &entry.key);
            if entry.key.is_empty() || entry.node.is_broken() {
                self.note_faulty_entry(key, entry);
            }
        }
        found
    }
}

/// The key of `section` that an unknown one probably means.
fn intended_key(unknown: &str, section: &'static Section) -> Option<&'static str> {
    if section.key(unknown).is_some() {
        return None;
    }
    let joined = unknown.split_once(':').and_then(|(key, _)| section.key(key)).map(|key| key.name);
    joined.or_else(|| nearest(unknown, section.keys.iter().map(|key| key.name)))
}

/// Message for a value that must be a string.
pub(super) const WANTED_STRING: &str = "this must be a string";

/// Whether `key` is the `*_file` form of the key `written`.
fn is_file_of(key: &Key, written: &str) -> bool {
    key.name.strip_suffix("_file") == Some(written)
}

/// Lists names in back-ticks, separated by commas.
pub(crate) fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Turns a sentence of the table of keys into text after a colon: lower case, no full stop.
fn sentence(doc: &str) -> String {
    let mut chars = doc.trim_end_matches('.').chars();
    let second_is_lower = doc.chars().nth(1).is_some_and(|c| c.is_lowercase() || c == ' ');
    match chars.next() {
        Some(first) if second_is_lower => first.to_lowercase().chain(chars).collect(),
        _ => doc.trim_end_matches('.').to_owned(),
    }
}
