//! Decodes teams, service accounts and policy tests, file by file.

use std::collections::HashMap;

use sts_policy::{AccountSpec, ExternalGroupSpec, GrantSpec, IdentitySpec, Preset, ShortRuleSpec, TeamSpec, TestSpec};
use sts_types::{AccountId, AccountName, CheckCode, IdentityName, Located, ObjectKind, TeamName, nearest};

use super::apis::scopes;
use super::conditions::conditions;
use super::directories::{external_group, external_login};
use super::issuer::{audiences, replay};
use super::policy_tests::{TokenFile, policy_tests};
use super::reader::{Fields, Reader};
use super::server::claim_names;
use crate::keys::{DELEGATION, Section};
use crate::quote::quoted;
use crate::source::Span;
use crate::yaml::{Node, Value};

/// The contents of all account files and the main file.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) teams: Vec<TeamSpec>,
    pub(crate) accounts: Vec<AccountSpec>,
    pub(crate) tests: Vec<TestSpec>,
    /// Whether every account file was read.
    pub(crate) is_complete: bool,
    /// Files with the claims of test tokens, not read yet.
    pub(crate) token_files: Vec<TokenFile>,
    /// Kind and name of everything declared so far, with its position.
    taken: HashMap<(&'static str, String), Span>,
}

/// Reads `teams:`, `service_accounts:` and `tests:` of one file.
pub(crate) fn accounts(reader: &mut Reader<'_>, fields: &Fields<'_>, found: &mut Accounts) {
    for (entry, members) in reader.named(fields, "teams") {
        let before = reader.report.errors();
        let Some(name) = reader.declared("teams", entry, TeamName::new) else { continue };
        if found.is_first(reader, ("team", name.value.to_string()), entry.key_span) {
            let team = TeamSpec {
                name,
                display_name: reader.optional(&members, "display_name", Reader::text).map(|text| text.value),
                grants: reader.optional(&members, "grants", grants).unwrap_or_default(),
                external_groups: reader.optional(&members, "external_groups", external_groups).unwrap_or_default(),
            };
            found.teams.push(team);
            reader.note_faults_since(before, "teams", &entry.key);
        }
    }
    for (entry, members) in reader.named(fields, "service_accounts") {
        let Some(name) = reader.declared("service_accounts", entry, AccountName::new) else { continue };
        if found.is_first(reader, ("service account", name.value.to_string()), entry.key_span) {
            let account = account(reader, name, &members);
            found.accounts.push(account);
        }
    }
    policy_tests(reader, fields, &mut found.tests, &mut found.token_files);
}

impl Accounts {
    /// Whether an object of that kind and name was read.
    pub(crate) fn declares(&self, kind: ObjectKind, name: &str) -> bool {
        self.taken.contains_key(&(kind.noun(), name.to_owned()))
    }

    /// Whether the kind and name are new. Reports a duplicate.
    fn is_first(&mut self, reader: &mut Reader<'_>, key: (&'static str, String), span: Span) -> bool {
        let Some(first) = self.taken.get(&key) else {
            self.taken.insert(key, span);
            return true;
        };
        let message = format!("the {} {} is defined twice", key.0, quoted(&key.1));
        let file = reader.report.sources.path(first.file).display();
        let help = format!("keep one; the first is at {file}:{}:{}", first.line, first.column);
        reader.error(CheckCode::DuplicateName, span, message, help);
        false
    }
}

fn account(reader: &mut Reader<'_>, name: Located<AccountName>, fields: &Fields<'_>) -> AccountSpec {
    // Only for readers of the file. Read it for its faults.
    reader.optional(fields, "description", Reader::text);
    let before = reader.report.errors();
    let teams = reader
        .optional(fields, "teams", |reader, node| reader.list_of(node, "teams", Reader::located_text))
        .unwrap_or_default();
    let grants = reader.optional(fields, "grants", grants).unwrap_or_default();
    reader.note_faults_since(before, "service_accounts", name.value.as_str());
    AccountSpec {
        name,
        id: reader.optional(fields, "id", |reader, node| reader.name(node, AccountId::new)),
        display_name: reader.optional(fields, "display_name", Reader::text).map(|text| text.value),
        enabled: reader.flag_or(fields, "enabled", true),
        teams,
        grants,
        default_api: reader.optional(fields, "default_api", Reader::located_text),
        ttl: reader.optional(fields, "ttl", Reader::lifetime),
        not_before: reader.optional(fields, "not_before", Reader::time),
        not_after: reader.optional(fields, "not_after", Reader::time),
        // The one value that the table of keys allows.
        require_proof: reader.optional(fields, "require_proof", require_proof).is_some(),
        actors: reader.optional(fields, "delegation", actors).unwrap_or_default(),
        external_login: reader.optional(fields, "external_login", external_login),
        identities: identities(reader, fields),
    }
}

/// `require_proof: dpop`.
fn require_proof(reader: &mut Reader<'_>, node: &Node) -> Option<()> {
    reader.one_of(node, &[("dpop", ())])
}

/// `delegation: {actors: [...]}`. Policy checks the names.
fn actors(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<String>>> {
    let fields = reader.fields(node, &DELEGATION)?;
    reader.optional(&fields, "actors", |reader, node| reader.list_of(node, "actors", Reader::located_text))
}

fn external_groups(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<ExternalGroupSpec>> {
    reader.list_of(node, "groups", external_group)
}

/// Reads a mapping from APIs to lists of scopes. Policy checks the names.
fn grants(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<GrantSpec>> {
    let entries = reader.mapping(node, "a grant (API to list of scopes)")?;
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(scopes) = scopes(reader, &entry.node) {
            found.push(GrantSpec { api: reader.located(entry.key.clone(), entry.key_span), scopes });
        }
    }
    Some(found)
}

/// Reads identities, and leaves out those with a fault: without one of its conditions, a rule would
/// seem too broad.
fn identities(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<IdentitySpec> {
    let Some(node) = fields.node("identities") else { return Vec::new() };
    let Some(items) = reader.list(node, "identities") else { return Vec::new() };
    let Some(section) = fields.section_of("identities") else { return Vec::new() };
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let before = reader.report.errors();
        let platform = platform_key(reader, item);
        let suggest = |key: &str| intended_key(key, platform, section);
        let Some(members) = reader.fields_with(item, section, &suggest) else { continue };
        let is_whole = !item.is_broken();
        let identity = identity(reader, &members, index + 1);
        if is_whole && reader.report.errors() == before {
            found.extend(identity);
        }
    }
    found
}

/// The key of the short rule for the first issuer entry of an identity.
fn platform_key(reader: &Reader<'_>, item: &Node) -> Option<&'static str> {
    let Value::Mapping(entries) = &item.value else { return None };
    let issuer = &entries.iter().find(|entry| entry.key == "issuer")?.node;
    let first = match &issuer.value {
        Value::Sequence(items) => items.first()?,
        Value::Scalar(_) | Value::Mapping(_) | Value::Broken => issuer,
    };
    let Value::Scalar(scalar) = &first.value else { return None };
    reader.short_rules.get(&scalar.text).copied()
}

/// Suggests a short rule in place of an unknown key of an identity. Among similar keys, the one
/// that fits the issuer wins.
fn intended_key(key: &str, platform: Option<&'static str>, section: &Section) -> Option<String> {
    let is_near = |name: &str| nearest(key, [name]).is_some();
    let rules = || Preset::ALL.iter().filter_map(|preset| preset.short_rule_key());
    let others = section.keys.iter().map(|key| key.name).filter(|name| !rules().any(|rule| rule == *name));
    if nearest(key, others).is_some() {
        return None;
    }
    if let Some(fitting) = platform.filter(|key| is_near(key)) {
        return Some(format!("did you mean `{fitting}`?"));
    }
    let near: Vec<String> = rules().filter(|rule| is_near(rule)).map(|rule| format!("`{rule}`")).collect();
    if !near.is_empty() {
        return Some(format!("did you mean {}?", near.join(" or ")));
    }
    let named = Preset::suggested_for(key)?.short_rule_key()?;
    Some(format!("did you mean `{named}`?"))
}

fn identity(reader: &mut Reader<'_>, fields: &Fields<'_>, number: usize) -> Option<IdentitySpec> {
    let name = match fields.node("name") {
        Some(node) => reader.name(node, IdentityName::new).map(|name| name.value),
        None => IdentityName::new(&format!("identity {number}")).ok(),
    };
    let origin = reader.located((), fields.span).origin;
    let issuers = reader.required(fields, "issuer", |reader, node| reader.one_or_more(node, Reader::located_text));
    let spec = IdentitySpec {
        origin,
        name: name?,
        issuers: issuers.unwrap_or_default(),
        subject: reader.optional(fields, "subject", Reader::pattern),
        audience: reader.optional(fields, "audience", audiences).unwrap_or_default(),
        claims: reader.optional(fields, "claims", conditions).unwrap_or_default(),
        short_rule: short_rule(reader, fields),
        scopes: reader.optional(fields, "scopes", scopes),
        grants: reader.optional(fields, "grants", grants),
        ttl: reader.optional(fields, "ttl", Reader::lifetime),
        copy_claims: reader.optional(fields, "copy_claims", claim_names).unwrap_or_default(),
        replay: reader.optional(fields, "replay", replay),
        enabled: reader.flag_or(fields, "enabled", true),
        not_before: reader.optional(fields, "not_before", Reader::time),
        not_after: reader.optional(fields, "not_after", Reader::time),
        allow_broad: reader.optional(fields, "allow_broad", reason),
    };
    Some(spec)
}

/// Reads `allow_broad:`. It must be a reason; a mere `true` would be set without a thought.
fn reason(reader: &mut Reader<'_>, node: &Node) -> Option<Located<String>> {
    let text = match &node.value {
        Value::Scalar(scalar) if scalar.plain && matches!(scalar.text.as_str(), "true" | "false") => None,
        Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Broken => Some(reader.located_text(node)?),
    };
    let text = text.filter(|text| !text.value.trim().is_empty());
    if text.is_none() {
        reader.error(
            CheckCode::MissingReason,
            node.span,
            "`allow_broad` needs a reason",
            "write why the rule is broad on purpose: `allow_broad: \"why\"`",
        );
    }
    text
}

/// Reads the short rule of an identity, which has at most one.
fn short_rule(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<ShortRuleSpec> {
    let mut found: Option<ShortRuleSpec> = None;
    for key in Preset::ALL.iter().filter_map(|preset| preset.short_rule_key()) {
        let Some(entry) = fields.entry(key) else { continue };
        if let Some(first) = &found {
            let message = format!("`{}` and `{key}` cannot be used together", first.key.value);
            reader.error(CheckCode::ConflictingKeys, entry.key_span, message, "write an identity for each platform");
            continue;
        }
        let members = conditions(reader, &entry.node).unwrap_or_default();
        let key = reader.located(key.to_owned(), entry.key_span);
        found = Some(ShortRuleSpec { key, members });
    }
    found
}
