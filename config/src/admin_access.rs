//! Reads the address of a running server's admin listener from a configuration that may not load.
//!
//! An operator who must revoke a token now cannot wait for somebody to repair an account file. So
//! this reads only `admin` and `data_dir`, and ignores mistakes anywhere else, even in the YAML
//! itself.

mod salvage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sts_types::CheckCode;

use crate::decode::{DEFAULT_ADMIN, DEFAULT_DATA_DIR, Reader, address};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity};
use crate::files::{FileError, Files};
use crate::quote::quoted;
use crate::yaml::{self, Entry, Node, Value};

/// What a command needs to talk to a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAccess {
    /// The admin listener.
    pub listen: SocketAddr,
    /// The certificate of the admin listener, if it uses TLS.
    pub cert_file: Option<PathBuf>,
    /// Directory with the admin token.
    pub data_dir: PathBuf,
}

const ADMIN: &str = "admin";
pub(crate) const DATA_DIR: &str = "data_dir";

/// Reads `admin` and `data_dir` of the configuration at `path`. `environment` returns the value of
/// an environment variable.
///
/// # Errors
/// If the file cannot be read, or is ambiguous about the address. A guess could reach another
/// server.
pub fn admin_access(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<AdminAccess, Diagnostics> {
    let mut reader = Reader::new(environment);
    let access = read(&mut reader, path);
    let (findings, _) = reader.report.finish();
    access.ok_or(findings)
}

fn read(reader: &mut Reader<'_>, path: &Path) -> Option<AdminAccess> {
    const WANTED: &[&str] = &[ADMIN, DATA_DIR];
    let text = text_of(path).map_err(|FileError { code, message, help, .. }| {
        reader.report.at(code, Severity::Error, None, message, Some(help));
    });
    let tree = tree_with(reader, path, &text.ok()?, WANTED)?;
    let access = decode(reader, &tree);
    if reader.report.findings.is_fatal() { None } else { access }
}

/// Reads the text of the main file.
pub(crate) fn text_of(path: &Path) -> Result<Arc<str>, FileError> {
    Files::default().text(path).map(Into::into).map_err(|error| error.of_main(path))
}

/// Parses `text`, or at least its members `wanted`. Reports only faults in these; the caller does
/// not need the others.
pub(crate) fn tree_with(reader: &mut Reader<'_>, path: &Path, text: &Arc<str>, wanted: &[&str]) -> Option<Node> {
    let tree = whole(reader, path, text).or_else(|| salvaged(reader, path, text, wanted))?;
    keep_findings_on(reader, &tree, wanted);
    Some(tree)
}

/// Drops findings that are not about the members `wanted` of `tree`.
pub(crate) fn keep_findings_on(reader: &mut Reader<'_>, tree: &Node, wanted: &[&str]) {
    let findings = std::mem::take(&mut reader.report.findings);
    findings.iter().filter(|finding| concerns(finding, tree, wanted)).cloned().for_each(|finding| {
        reader.report.findings.push(finding);
    });
}

/// Whether `finding` is inside one of the members `wanted`, or about a duplicate of one.
fn concerns(finding: &Diagnostic, tree: &Node, wanted: &[&str]) -> bool {
    let Value::Mapping(members) = &tree.value else { return true };
    let Some(at) = finding.place.as_ref().and_then(Place::file).map(|place| (place.line, place.column)) else {
        return true;
    };
    let start = |entry: &Entry| (entry.key_span.line, entry.key_span.column);
    let is_within = |entry: &Entry| {
        let next = members.iter().map(start).filter(|next| *next > start(entry)).min();
        at >= start(entry) && next.is_none_or(|next| at < next)
    };
    wanted.iter().any(|name| {
        members.iter().any(|entry| entry.key == *name && is_within(entry)) || finding.message.contains(&quoted(name))
    })
}

/// Parses the whole text.
fn whole(reader: &mut Reader<'_>, path: &Path, text: &Arc<str>) -> Option<Node> {
    let file = reader.report.sources.add(path, Arc::clone(text));
    yaml::parse(file, text, &mut reader.report).filter(|tree| matches!(tree.value, Value::Mapping(_)))
}

/// Parses the members `wanted` alone, if the text around them is not valid YAML.
fn salvaged(reader: &mut Reader<'_>, path: &Path, text: &str, wanted: &[&str]) -> Option<Node> {
    let kept: Arc<str> = salvage::members(text, wanted)?.into();
    let findings = std::mem::take(&mut reader.report.findings);
    let tree = whole(reader, path, &kept);
    if tree.is_none() || reader.report.findings.is_fatal() {
        reader.report.findings = findings;
        return None;
    }
    tree
}

fn decode(reader: &mut Reader<'_>, tree: &Node) -> Option<AdminAccess> {
    let Value::Mapping(members) = &tree.value else { return None };
    let data_dir = data_dir(reader, members)?;
    let mut access = AdminAccess { listen: DEFAULT_ADMIN, cert_file: None, data_dir };
    let Some(admin) = only(reader, members, ADMIN)? else { return Some(access) };
    let node = sound(reader, admin)?;
    let admin = reader.mapping(node, "`admin`")?;
    if let Some(listen) = only(reader, admin, "listen")? {
        let node = sound(reader, listen)?;
        access.listen = address(reader, node)?;
    }
    if let Some(tls) = only(reader, admin, "tls")? {
        access.cert_file = certificate(reader, tls)?;
    }
    Some(access)
}

/// Reads `data_dir`, or returns its default.
pub(crate) fn data_dir(reader: &mut Reader<'_>, members: &[Entry]) -> Option<PathBuf> {
    let Some(entry) = only(reader, members, DATA_DIR)? else { return Some(PathBuf::from(DEFAULT_DATA_DIR)) };
    let node = sound(reader, entry)?;
    reader.path(node)
}

/// Reads `cert_file` of `tls`. An empty mapping has none.
fn certificate(reader: &mut Reader<'_>, tls: &Entry) -> Option<Option<PathBuf>> {
    let node = sound(reader, tls)?;
    let tls = reader.mapping(node, "`tls`")?;
    let Some(cert_file) = only(reader, tls, "cert_file")? else { return Some(None) };
    let node = sound(reader, cert_file)?;
    reader.path(node).map(Some)
}

/// The member `name`, if present. Reports a duplicate and returns `None`, because either could be
/// meant.
pub(crate) fn only<'n>(reader: &mut Reader<'_>, members: &'n [Entry], name: &str) -> Option<Option<&'n Entry>> {
    let mut found = members.iter().filter(|entry| entry.key == name);
    let first = found.next();
    if let Some(second) = found.next() {
        reader.error(CheckCode::DuplicateKey, second.key_span, format!("duplicate key {}", quoted(name)), "keep one");
        return None;
    }
    Some(first)
}

/// The value of a member. Reports a broken one.
pub(crate) fn sound<'n>(reader: &mut Reader<'_>, entry: &'n Entry) -> Option<&'n Node> {
    if matches!(entry.node.value, Value::Broken) {
        let place = Place::of_span(&reader.report.sources, entry.key_span);
        let message = format!("the value of `{}` is not valid YAML", entry.key);
        reader.report.at(CheckCode::YamlSyntax, Severity::Error, Some(place), message, None);
        return None;
    }
    Some(&entry.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str) -> Option<AdminAccess> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts.yaml");
        std::fs::write(&path, text).unwrap();
        let environment = |name: &str| (name == "STS_DIR").then(|| "/srv/sts".to_owned());
        let mut access = admin_access(&path, &environment).ok()?;
        for path in access.cert_file.iter_mut().chain([&mut access.data_dir]) {
            if let Ok(beside) = path.strip_prefix(folder.path()) {
                *path = beside.to_owned();
            }
        }
        Some(access)
    }

    fn at(port: u16, data_dir: &str) -> Option<AdminAccess> {
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        Some(AdminAccess { listen, cert_file: None, data_dir: PathBuf::from(data_dir) })
    }

    #[test]
    fn fld22_mistakes_elsewhere_do_not_hide_where_the_server_is() {
        let block = "admin:\n  listen: 127.0.0.1:9\n  hosts: [é, {]\ndata_dir: d\n";
        let sound = "admin:\n  # ours\n\n  listen: 127.0.0.1:9\ndata_dir: d\n";
        for text in [
            sound.to_owned(),
            format!("{sound}issuers: {{ a: [\n"),
            format!("issuers: {{ a: [\n{sound}"),
            format!("nonsense: 1\n\tx: 2\n{sound}\"unclosed: \n"),
            format!("issuer: ${{NOT_SET}}\n{sound}accounts: {{}}\naccounts: {{}}\n"),
            format!("a:\n  b: 1\n c: 2\n{sound}"),
            format!("%%%\n{sound}"),
            "{ \"admin\": { \"listen\": \"127.0.0.1:9\", \"x\": 1 }, \"data_dir\": \"d\" } }".to_owned(),
            "{\n  \"admin\": {\n    \"listen\": \"127.0.0.1:9\"\n  },\n  \"data_dir\": \"d\",\n  \"issuers\": {\n"
                .to_owned(),
            "{ issuers: { a: 'it''s, \\' }, admin: {listen: '127.0.0.1:9'}, data_dir: d, x: ]".to_owned(),
        ] {
            assert_eq!(access(&text), at(9, "d"), "{text}");
        }
        assert_eq!(access("issuers: [\n"), at(9090, "/var/lib/sts"));
        assert_eq!(access("data_dir: ${STS_DIR}\nx: [\n"), at(9090, "/srv/sts"));
        assert_eq!(access(block), None, "the block of `admin` itself is broken");
        let tls = access("admin: { listen: '127.0.0.1:9', tls: { cert_file: c.crt } }\nx: [").unwrap();
        assert_eq!(tls.cert_file, Some(PathBuf::from("c.crt")));
    }

    #[test]
    fn fld22_where_the_server_is_is_never_guessed() {
        for text in [
            "data_dir: d\ndata_dir: e\n",
            "data_dir: d\ndata_dir: e\nx: [\n",
            "data_dir: ${NOT_SET}\n",
            "data_dir:\n",
            "data_dir: [d]\n",
            "admin: { listen: nowhere }\n",
            " data_dir: d\nx: [\n",
            "issuers: [\n  data_dir: d\n",
            "{ \"issuers\": { \"a\": { , \"data_dir\": \"d\" }",
            "- data_dir: d\n",
        ] {
            assert_eq!(access(text), None, "{text}");
        }
        let missing = admin_access(Path::new("/nowhere/sts.yaml"), &|_| None).unwrap_err();
        assert!(missing.render(false).contains("/nowhere/sts.yaml"));
    }
}
