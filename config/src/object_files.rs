//! Files of objects that are sent to a server to be kept in its store. They are read as documents:
//! whether the objects are sound is for the server to judge, which knows all the others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use sts_types::{CheckCode, ObjectKind};

use crate::decode::Reader;
use crate::diagnostic::{Diagnostics, Place, Severity};
use crate::files::{FileError, Files};
use crate::json::value_of;
use crate::keys::APPLIED_FILE;
use crate::quote::quoted;
use crate::source::{FileId, Sources, Span};
use crate::yaml::{self, Entry, Node, Value};

/// The objects of some files, each with the place of every value in it.
#[derive(Debug)]
pub struct ObjectFiles {
    /// The objects in the order of the files.
    pub objects: Vec<ObjectDocument>,
    /// The files with policy tests. A server keeps no policy tests.
    pub with_tests: Vec<PathBuf>,
    sources: Sources,
}

/// One object as it is written.
#[derive(Debug)]
pub struct ObjectDocument {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name. Its form is not checked.
    pub name: String,
    /// What stands under the name, as JSON.
    pub spec: Map<String, Json>,
    entry: Entry,
}

/// A file to read.
#[derive(Clone, Debug)]
pub enum ObjectFile {
    /// The file at a path.
    At(PathBuf),
    /// A text that was read already, with the name to show for it.
    Text(PathBuf, String),
}

impl ObjectFiles {
    /// The place of the member of an object that a JSON pointer into its `spec` names, or of the
    /// nearest one around it that is written. `on_key`: of the member's key and not of its value.
    #[must_use]
    pub fn place(&self, object: usize, pointer: &str, on_key: bool) -> Option<Place> {
        let entry = &self.objects.get(object)?.entry;
        let mut span = entry.key_span;
        let mut node = &entry.node;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let Some((key_span, next)) = child(node, &segment) else { break };
            span = if on_key { key_span } else { next.span };
            node = next;
        }
        Some(Place::of_span(&self.sources, span))
    }

    /// The place of the name of an object.
    #[must_use]
    pub fn place_of_name(&self, object: usize) -> Option<Place> {
        self.objects.get(object).map(|object| Place::of_span(&self.sources, object.entry.key_span))
    }
}

/// The member or element of `node` that one segment of a pointer names, with the place of its key.
fn child<'n>(node: &'n Node, segment: &str) -> Option<(Span, &'n Node)> {
    match &node.value {
        Value::Mapping(entries) => {
            entries.iter().find(|entry| entry.key == segment).map(|entry| (entry.key_span, &entry.node))
        }
        Value::Sequence(items) => items.get(segment.parse::<usize>().ok()?).map(|item| (item.span, item)),
        Value::Scalar(_) | Value::Broken => None,
    }
}

/// Reads files of objects: `issuers`, `apis`, `teams` and `service_accounts` of an account file or of
/// a configuration. `environment` gives the value of a variable.
///
/// # Errors
/// Every mistake of form, in the order of the files.
pub fn object_files(
    files: &[ObjectFile],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ObjectFiles, Diagnostics> {
    let mut reading = Reading {
        reader: Reader::new(environment),
        objects: Vec::new(),
        with_tests: Vec::new(),
        taken: HashMap::new(),
    };
    for file in files {
        match file {
            ObjectFile::At(path) => match Files::default().text(path) {
                Ok(text) => reading.file(path, text),
                Err(error) => reading.unusable(error),
            },
            ObjectFile::Text(name, text) => reading.file(name, text.clone()),
        }
    }
    let Reading { reader, objects, with_tests, .. } = reading;
    let (findings, sources) = reader.report.finish();
    if findings.is_fatal() { Err(findings) } else { Ok(ObjectFiles { objects, with_tests, sources }) }
}

struct Reading<'e> {
    reader: Reader<'e>,
    objects: Vec<ObjectDocument>,
    with_tests: Vec<PathBuf>,
    /// The place of each name read so far.
    taken: HashMap<(ObjectKind, String), Span>,
}

impl Reading<'_> {
    fn unusable(&mut self, FileError { code, message, help, .. }: FileError) {
        self.reader.report.at(code, Severity::Error, None, message, Some(help));
    }

    fn file(&mut self, path: &Path, text: String) {
        let text: Arc<str> = text.into();
        let file: FileId = self.reader.report.sources.add(path, Arc::clone(&text));
        let Some(tree) = yaml::parse(file, &text, &mut self.reader.report) else { return };
        let Some(fields) = self.reader.fields(&tree, &APPLIED_FILE) else { return };
        if fields.node("tests").is_some_and(|tests| !tests.is_nothing() && !tests.is_empty_list()) {
            self.with_tests.push(path.to_owned());
        }
        for kind in ObjectKind::ALL {
            let key = kind.key();
            let Some(node) = fields.node(key).filter(|node| !node.is_nothing()) else { continue };
            let Some(entries) = self.reader.mapping(node, &format!("`{key}`")) else { continue };
            entries.iter().for_each(|entry| self.object(kind, entry));
        }
    }

    fn object(&mut self, kind: ObjectKind, entry: &Entry) {
        let key = (kind, entry.key.clone());
        if let Some(first) = self.taken.get(&key) {
            let message = format!("the {} {} is defined twice", kind.noun(), quoted(&entry.key));
            let file = self.reader.report.sources.path(first.file).display();
            let help = format!("keep one; the first is at {file}:{}:{}", first.line, first.column);
            self.reader.error(CheckCode::DuplicateName, entry.key_span, message, help);
            return;
        }
        self.taken.insert(key, entry.key_span);
        let what = format!("the {} {}", kind.noun(), quoted(&entry.key));
        if self.reader.mapping(&entry.node, &what).is_none() {
            return;
        }
        if let Some(Json::Object(spec)) = value_of(&mut self.reader, &entry.node) {
            self.objects.push(ObjectDocument { kind, name: entry.key.clone(), spec, entry: entry.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "\
teams:
  deployers:
    grants: { deploy: [\"deployments:create\"] }
service_accounts:
  octo:
    teams: [deployers]
    identities:
      - name: main
        issuer: github
        subject: repo:o/r:*
        claims: { a/b: 7 }
tests:
  - { name: x }
";

    fn read(texts: &[&str]) -> Result<ObjectFiles, Diagnostics> {
        let files: Vec<ObjectFile> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| ObjectFile::Text(format!("{index}.yaml").into(), (*text).to_owned()))
            .collect();
        object_files(&files, &|name| (name == "WHO").then(|| "octo-org".to_owned()))
    }

    fn line_and_column(files: &ObjectFiles, object: usize, pointer: &str, on_key: bool) -> (u32, u32) {
        let place = files.place(object, pointer, on_key).unwrap();
        place.file().map(|place| (place.line, place.column)).unwrap()
    }

    #[test]
    fn objects_are_documents_and_a_pointer_leads_back_to_the_text() {
        let files = read(&[FILE]).unwrap();
        let names: Vec<_> = files.objects.iter().map(|object| (object.kind, object.name.as_str())).collect();
        assert_eq!(names, [(ObjectKind::Team, "deployers"), (ObjectKind::ServiceAccount, "octo")]);
        assert_eq!(files.objects[1].spec["identities"][0]["claims"], json!({ "a/b": 7 }));
        assert_eq!(files.with_tests, [PathBuf::from("0.yaml")]);
        assert_eq!(line_and_column(&files, 1, "", false), (5, 3));
        assert_eq!(line_and_column(&files, 1, "/identities/0/subject", false), (10, 18));
        assert_eq!(line_and_column(&files, 1, "/identities/0/subject", true), (10, 9));
        assert_eq!(line_and_column(&files, 1, "/identities/0/claims/a~1b", false), (11, 24));
        assert_eq!(line_and_column(&files, 1, "/teams/0", false), (6, 13));
        // What nobody wrote is shown at what is around it.
        assert_eq!(line_and_column(&files, 0, "/grants/billing/0", false), (3, 13));
        assert!(files.place(2, "", false).is_none());
    }

    #[test]
    fn variables_are_those_of_the_caller() {
        let files = read(&["teams: { t: { display_name: \"${WHO}\" } }"]).unwrap();
        assert_eq!(files.objects[0].spec["display_name"], "octo-org");
        let findings = read(&["teams: { t: { display_name: \"${NOBODY}\" } }"]).unwrap_err();
        assert!(findings.iter().any(|finding| finding.code == CheckCode::VariableNotSet));
    }

    #[test]
    fn every_mistake_of_form_is_reported_at_its_place() {
        let findings = read(&["team: {}\nteams:\n  t: {}\n  u: [x]\n", "teams: { t: {} }"]).unwrap_err();
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.code, finding.place.as_ref().and_then(Place::file).map(|place| place.line)))
            .collect();
        assert_eq!(
            found,
            [(CheckCode::UnknownKey, Some(1)), (CheckCode::WrongType, Some(4)), (CheckCode::DuplicateName, Some(1)),]
        );
    }

    #[test]
    fn sections_without_content_are_no_objects() {
        assert!(read(&["", "teams:\nservice_accounts: {}\n"]).unwrap().objects.is_empty());
    }
}
