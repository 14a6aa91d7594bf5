//! `directories:`, and what teams and accounts say of them: groups and logins.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use sts_directory::{BindSpec, DirectoryKind, DirectorySpec, Dn, GroupRef, Login, ServerUrl, UserFilter};
use sts_policy::{ExternalGroupSpec, ExternalLoginSpec};
use sts_types::{CheckCode, DirectoryName, Located};

use super::named_file::{FileKind, NamedFile};
use super::reader::{Fields, Reader};
use crate::keys::{EXTERNAL_GROUP, EXTERNAL_LOGIN};
use crate::quote::quoted;
use crate::source::Span;
use crate::yaml::Node;

const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(3600);
/// Bounds of `refresh`. A day is the longest that a disabled account may keep its groups.
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_GROUP_ATTRIBUTE: &str = "memberOf";
const DN_HELP: &str = "write it as the directory does: `\"OU=Groups,DC=corp,DC=example,DC=com\"`";

/// The directories, and the files that they name.
#[derive(Default)]
pub(crate) struct Directories {
    pub(crate) specs: Vec<DirectorySpec>,
    pub(crate) ca_files: Vec<NamedFile>,
    pub(crate) password_files: Vec<(PathBuf, Span)>,
}

/// Reads `directories:`. Teams and accounts are checked against what it finds.
pub(crate) fn directories(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Directories {
    let mut found = Directories::default();
    for (entry, members) in reader.named(fields, "directories") {
        let before = reader.report.errors();
        let Some(name) = reader.declared("directories", entry, DirectoryName::new) else { continue };
        let spec = directory(reader, name.value.clone(), &members, &mut found);
        reader.note_faults_since(before, "directories", &entry.key);
        if let Some(spec) = spec {
            reader.directories.insert(name.value.to_string(), (spec.kind.clone(), spec.base.clone()));
            found.specs.push(spec);
        }
    }
    found
}

fn directory(
    reader: &mut Reader<'_>,
    name: DirectoryName,
    fields: &Fields<'_>,
    found: &mut Directories,
) -> Option<DirectorySpec> {
    let urls = reader.required(fields, "url", |reader, node| reader.one_or_more(node, url));
    let ca_file = reader.optional(fields, "ca_file", Reader::path);
    if let (Some(path), Some(node)) = (&ca_file, fields.node("ca_file")) {
        found.ca_files.push(NamedFile { path: path.clone(), span: node.span, kind: FileKind::Public });
    }
    let bind = bind(reader, fields, found);
    let base = reader.required(fields, "base", dn);
    let kind = kind(reader, fields);
    let refresh = reader.optional(fields, "refresh", refresh).unwrap_or(DEFAULT_REFRESH);
    let max_age = reader.optional(fields, "max_age", Reader::positive_duration);
    if let (Some(max_age), Some(node)) = (max_age, fields.node("max_age"))
        && max_age < refresh
    {
        let message = "`max_age` is shorter than `refresh`, so memberships would not count most of the time";
        let help = "write a `max_age` of several times `refresh`";
        reader.error(CheckCode::DurationOutOfRange, node.span, message, help);
    }
    let max_age = max_age.unwrap_or(DEFAULT_MAX_AGE.max(refresh.saturating_mul(2)));
    Some(DirectorySpec { name, urls: urls?, ca_file, bind: bind?, base: base?, kind: kind?, refresh, max_age })
}

fn url(reader: &mut Reader<'_>, node: &Node) -> Option<ServerUrl> {
    let text = reader.text(node)?;
    ServerUrl::parse(&text.value)
        .map_err(|error| {
            // A password may stand in it.
            reader.report.hide_line(text.span);
            let message = "this is not the URL of a directory server".to_owned();
            reader.error(CheckCode::InvalidUrl, text.span, message, error.to_string());
        })
        .ok()
}

fn bind(reader: &mut Reader<'_>, fields: &Fields<'_>, found: &mut Directories) -> Option<BindSpec> {
    let node = reader.required(fields, "bind", |_, node| Some(node.clone()))?;
    let members = reader.fields(&node, fields.section_of("bind")?)?;
    let dn = reader.required(&members, "dn", |reader, node| {
        let text = reader.text(node)?;
        if text.value.trim().is_empty() {
            let message = "`dn` is empty, which would be an anonymous bind";
            let help = "name the account that searches, by its distinguished name";
            reader.error(CheckCode::InvalidDirectory, text.span, message, help);
            return None;
        }
        Some(text.value)
    });
    let password_file = reader.required(&members, "password_file", Reader::secret_path);
    if let (Some(path), Some(node)) = (&password_file, members.node("password_file")) {
        found.password_files.push((path.clone(), node.span));
    }
    Some(BindSpec { dn: dn?, password_file: password_file? })
}

fn dn(reader: &mut Reader<'_>, node: &Node) -> Option<Dn> {
    let text = reader.text(node)?;
    Dn::parse(&text.value)
        .map_err(|error| {
            let message = format!("{} is not a distinguished name: {error}", text.shown());
            reader.error(CheckCode::InvalidDirectory, text.span, message, DN_HELP);
        })
        .ok()
}

fn kind(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<DirectoryKind> {
    let words = [("active_directory", true), ("ldap", false)];
    let is_active_directory = reader.required(fields, "kind", |reader, node| reader.one_of(node, &words))?;
    if is_active_directory {
        for key in ["user_filter", "group_attribute"] {
            if let Some(entry) = fields.entry(key) {
                let message = format!("`{key}` has no effect in Active Directory, whose attributes are known");
                reader.error(CheckCode::KeyWithoutEffect, entry.key_span, message, format!("remove `{key}`"));
            }
        }
        return Some(DirectoryKind::ActiveDirectory);
    }
    if !fields.mentions("user_filter") {
        let message = "`user_filter` is missing: `kind: ldap` does not say how a login is found";
        let help = "add `user_filter: \"(uid={name})\"`; `{name}` stands for the login";
        reader.error(CheckCode::MissingKey, fields.span, message, help);
    }
    let user_filter = reader.optional(fields, "user_filter", |reader, node| {
        let text = reader.text(node)?;
        let parsed = UserFilter::parse(&text.value);
        parsed
            .map_err(|error| {
                let message = format!("{} is not a filter that finds logins", text.shown());
                reader.error(CheckCode::InvalidDirectory, text.span, message, error.to_string());
            })
            .ok()
    });
    let group_attribute = reader.optional(fields, "group_attribute", attribute);
    let group_attribute = group_attribute.unwrap_or_else(|| DEFAULT_GROUP_ATTRIBUTE.to_owned());
    Some(DirectoryKind::Ldap { user_filter: user_filter?, group_attribute })
}

/// Reads the name of an attribute (RFC 4512 section 1.4).
fn attribute(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let is_name = text.value.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        let message = format!("{} is not the name of an attribute", text.shown());
        reader.error(CheckCode::InvalidDirectory, text.span, message, "write a name such as `memberOf`");
        return None;
    }
    Some(text.value)
}

fn refresh(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let refresh = reader.duration(node)?;
    if !(MIN_REFRESH..=MAX_REFRESH).contains(&refresh) {
        let message = "`refresh` is shorter than a second or longer than a day";
        reader.error(CheckCode::DurationOutOfRange, node.span, message, "write a time such as `5m`");
        return None;
    }
    Some(refresh)
}

/// Reads one of a team's `external_groups`.
pub(super) fn external_group(reader: &mut Reader<'_>, node: &Node) -> Option<ExternalGroupSpec> {
    let fields = reader.fields(node, &EXTERNAL_GROUP)?;
    let has = |key: &str| fields.node(key).is_some();
    match (has("directory") || has("group"), has("issuer") || has("claim") || has("value")) {
        (true, true) => {
            let message = "a group is of a directory or of an issuer's tokens, not of both";
            let help =
                "write two items: `{ directory: ..., group: ... }` and `{ issuer: ..., claim: ..., value: ... }`";
            reader.error(CheckCode::ConflictingKeys, fields.span, message, help);
            None
        }
        (false, true) => {
            let issuer = required(reader, &fields, "issuer");
            let claim = required(reader, &fields, "claim");
            let value = required(reader, &fields, "value");
            Some(ExternalGroupSpec::Token { issuer: issuer?, claim: claim?, value: value? })
        }
        (_, false) => {
            let directory = required(reader, &fields, "directory");
            let group = required(reader, &fields, "group");
            let (directory, group) = (directory?, group?);
            let key = group_key(reader, &directory.value, &group)?.into();
            Some(ExternalGroupSpec::Directory { directory, group, key })
        }
    }
}

fn required(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Located<String>> {
    reader.required(fields, key, Reader::located_text)
}

/// The key of a group. Reports a text that names none in that directory.
fn group_key(reader: &mut Reader<'_>, directory: &str, group: &Located<String>) -> Option<String> {
    let parsed = GroupRef::parse(&group.value);
    let fault = match (&parsed, reader.directories.get(directory)) {
        (Err(error), _) => error.to_string(),
        (Ok(GroupRef::Sid(_)), Some((DirectoryKind::Ldap { .. }, _))) => {
            "an objectSid names a group of Active Directory only: write its distinguished name".to_owned()
        }
        (Ok(GroupRef::Name(dn)), Some((_, base))) if !dn.is_within(base) => {
            format!("the group must be below the directory's `base`, which is `{base}`")
        }
        (Ok(group), _) => return Some(group.key()),
    };
    if let Some(span) = reader.report.sources.span(group.origin) {
        let message = format!("{} names no group of the directory", quoted(&group.value));
        reader.error(CheckCode::InvalidDirectory, span, message, fault);
    }
    None
}

/// Reads `external_login:` of an account.
pub(super) fn external_login(reader: &mut Reader<'_>, node: &Node) -> Option<ExternalLoginSpec> {
    let fields = reader.fields(node, &EXTERNAL_LOGIN)?;
    let directory = required(reader, &fields, "directory");
    let name = required(reader, &fields, "name");
    let (directory, name) = (directory?, name?);
    let kind = reader.directories.get(&directory.value).map(|(kind, _)| kind.clone());
    let parsed = Login::parse(&name.value).and_then(|login| match &kind {
        Some(kind) => login.check(kind).map(|()| login),
        None => Ok(login),
    });
    match parsed {
        Ok(login) => Some(ExternalLoginSpec { directory, key: login.key().to_owned(), name }),
        Err(error) => {
            if let Some(span) = reader.report.sources.span(name.origin) {
                let message = format!("{} is not a login in the directory", quoted(&name.value));
                reader.error(CheckCode::InvalidDirectory, span, message, error.to_string());
            }
            None
        }
    }
}

/// The keys of the groups that `groups` of a test's token names. Other texts name no group of a
/// directory.
pub(crate) fn groups_of_test(claims: &Map<String, Json>) -> Vec<Arc<str>> {
    let values = match claims.get("groups") {
        Some(Json::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    let keys = values.iter().filter_map(Json::as_str).filter_map(|text| Some(GroupRef::parse(text).ok()?.key().into()));
    keys.collect()
}
