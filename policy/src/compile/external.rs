//! Compiles the groups that give teams, and the logins of accounts in directories.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sts_claims::ClaimPath;
use sts_types::{CheckCode, DirectoryName, Located, TeamName};

use super::conditions;
use crate::account::Account;
use crate::external::{ClaimGroups, DirectoryGroup, ExternalTeam, ExternalTeams, TokenGroups};
use crate::finding::{Findings, name_help, quoted};
use crate::identity::ApiGrant;
use crate::{ExternalGroupSpec, ExternalLogin, ExternalLoginSpec, IssuerSpec, Spec, TeamSpec};

/// Claims that have a meaning of their own. The caller chooses some of them, and none is a group.
const NO_GROUPS: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "nonce"];

/// The compiled teams: name and grants. All accounts of a team share the memory of its name.
pub(super) type Teams<'a> = HashMap<&'a str, (TeamName, Vec<ApiGrant>)>;

/// The teams that groups give.
pub(super) fn compile(
    spec: &Spec,
    teams: &Teams<'_>,
    entries: &HashMap<&str, usize>,
    findings: &mut Findings,
) -> ExternalTeams {
    let mut external = ExternalTeams::default();
    for team in spec.teams.iter().filter(|team| !team.external_groups.is_empty()) {
        let Some((name, grants)) = teams.get(team.name.value.as_str()) else { continue };
        let index = external.teams.len();
        external.teams.push(ExternalTeam { name: name.clone(), grants: grants.clone() });
        let before = findings.errors();
        refuse_duplicates(team, findings);
        for group in &team.external_groups {
            add(spec, &mut external, index, group, entries, findings);
        }
        // What it gives is not known, so no account is told that it lacks a grant.
        if findings.errors() > before {
            findings.faulty.teams.insert(team.name.value.as_str());
        }
    }
    external.index_sources();
    external
}

impl TokenGroups {
    fn add(&mut self, path: ClaimPath, value: &str, team: usize) {
        let place = self.claims.iter().position(|of_claim| of_claim.path == path).unwrap_or_else(|| {
            self.claims.push(ClaimGroups { path, teams: HashMap::new() });
            self.claims.len() - 1
        });
        let Some(of_claim) = self.claims.get_mut(place) else { return };
        let teams = of_claim.teams.entry(value.into()).or_default();
        if !teams.contains(&team) {
            teams.push(team);
        }
    }
}

fn refuse_duplicates(team: &TeamSpec, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for group in &team.external_groups {
        let (key, origin, text) = match group {
            ExternalGroupSpec::Directory { directory, group, key } => {
                ((directory.value.as_str(), &**key, ""), group.origin, &group.value)
            }
            ExternalGroupSpec::Token { issuer, claim, value } => {
                ((issuer.value.as_str(), claim.value.as_str(), value.value.as_str()), value.origin, &value.value)
            }
        };
        if !seen.insert(key) {
            let message = format!("team {} lists the group {} twice", quoted(team.name.value.as_str()), quoted(text));
            findings.error(CheckCode::DuplicateValue, origin, message, "remove one of them".to_owned());
        }
    }
}

fn add(
    spec: &Spec,
    external: &mut ExternalTeams,
    team: usize,
    group: &ExternalGroupSpec,
    entries: &HashMap<&str, usize>,
    findings: &mut Findings,
) {
    match group {
        ExternalGroupSpec::Directory { directory, group, key } => {
            let Some(directory) = find_directory(spec, directory, findings) else { return };
            let groups = external.by_directory.entry(directory).or_default();
            let known = groups
                .entry(Arc::clone(key))
                .or_insert_with(|| DirectoryGroup { text: group.value.as_str().into(), teams: Vec::new() });
            if !known.teams.contains(&team) {
                known.teams.push(team);
            }
        }
        ExternalGroupSpec::Token { issuer, claim, value } => {
            let found = entries.get(issuer.value.as_str()).and_then(|index| Some((*index, spec.issuers.get(*index)?)));
            let Some((index, entry)) = found else {
                unknown_entry(spec, issuer, findings);
                return;
            };
            refuse_strangers_claim(entry, claim, value, findings);
            let Some(path) = conditions::path(claim, findings) else { return };
            let named = || TokenGroups { entry: entry.name.value.detached(), claims: Vec::new() };
            external.by_entry.entry(index).or_insert_with(named).add(path, &value.value, team);
        }
    }
}

/// Reports a claim whose value is not for the issuer's own administrators to say.
fn refuse_strangers_claim(
    entry: &IssuerSpec,
    claim: &Located<String>,
    value: &Located<String>,
    findings: &mut Findings,
) {
    let name = quoted(entry.name.value.as_str());
    if NO_GROUPS.contains(&claim.value.trim_start_matches('/')) {
        let message = format!("the claim {} names no group", quoted(&claim.value));
        let help = "name the claim in which the issuer lists the groups, such as `groups`".to_owned();
        findings.error(CheckCode::StrangersGroup, claim.origin, message, help);
    }
    if value.value.is_empty() {
        let message = "the name of the group is empty".to_owned();
        findings.error(
            CheckCode::InvalidName,
            value.origin,
            message,
            "write the group as the token names it".to_owned(),
        );
    }
    let many = if entry.issuer.value.template().is_some() {
        "stands for a family of issuers, and each member"
    } else if entry.shared {
        "is shared by many tenants, and each of them"
    } else {
        return;
    };
    let message = format!(
        "issuer entry {name} {many} can send the group {}: strangers could give themselves the team",
        quoted(&value.value)
    );
    let help = "list the service accounts in `teams` instead, or use an issuer of your own".to_owned();
    findings.unsafe_rule(CheckCode::StrangersGroup, value.origin, message, help);
}

fn unknown_entry(spec: &Spec, name: &Located<String>, findings: &mut Findings) {
    if findings.faulty.issuers.contains(&name.value) {
        return;
    }
    let help = name_help(&name.value, spec.issuers.iter().map(|entry| entry.name.value.as_str()));
    let message = format!("there is no issuer entry {}", quoted(&name.value));
    findings.error(CheckCode::UnknownIssuerEntry, name.origin, message, help);
}

/// The directory of that name. Reports an unknown one.
fn find_directory(spec: &Spec, name: &Located<String>, findings: &mut Findings) -> Option<DirectoryName> {
    let found = spec.directories.iter().find(|directory| directory.value.as_str() == name.value);
    if found.is_none() && !findings.faulty.directories.contains(&name.value) {
        let help = name_help(&name.value, spec.directories.iter().map(|directory| directory.value.as_str()));
        let help = help.or_else(|| Some("declare it under `directories` of the main file".to_owned()));
        let message = format!("there is no directory {}", quoted(&name.value));
        findings.error(CheckCode::UnknownDirectory, name.origin, message, help);
    }
    found.map(|directory| directory.value.detached())
}

/// The login of an account. Warns if no group of its directory gives a team.
pub(super) fn login(
    spec: &Spec,
    external: &ExternalTeams,
    login: &ExternalLoginSpec,
    findings: &mut Findings,
) -> Option<Arc<ExternalLogin>> {
    let directory = find_directory(spec, &login.directory, findings)?;
    if !external.by_directory.contains_key(&directory) && findings.faulty.teams.is_empty() {
        let message = format!("no group of the directory {} gives a team", quoted(directory.as_str()));
        let help = "give a team `external_groups` of the directory, or remove `external_login`".to_owned();
        findings.warning(CheckCode::UnusedLogin, login.directory.origin, message, help);
    }
    let (name, key) = (login.name.value.as_str().into(), login.key.as_str().into());
    Some(Arc::new(ExternalLogin { directory, name, key }))
}

/// Reports logins that two accounts have. An account may be one of those that are `kept`, which were
/// compiled before.
pub(super) fn check_logins(spec: &Spec, kept: &[Account], findings: &mut Findings) {
    let with_login = || spec.accounts.iter().filter_map(|account| Some((account, account.external_login.as_ref()?)));
    if with_login().next().is_none() {
        return;
    }
    let mut owners: HashMap<(&str, &str), &str> = HashMap::new();
    for account in kept {
        if let Some(login) = &account.login {
            owners.insert((login.directory.as_str(), &login.key), account.granted.name.as_str());
        }
    }
    for (account, login) in with_login() {
        let key = (login.directory.value.as_str(), login.key.as_str());
        if let Some(owner) = owners.get(&key) {
            let message =
                format!("the login {} belongs to service account {}", quoted(&login.name.value), quoted(owner));
            let help = "a login belongs to one service account, whatever its letter case".to_owned();
            findings.error(CheckCode::DuplicateLogin, login.name.origin, message, help);
        } else {
            owners.insert(key, account.name.value.as_str());
        }
    }
}
