//! A change of teams and accounts, compiled without the rest: at 100,000 accounts a load takes seconds,
//! and a write must not.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jwks_cache::JwksCache;
use sts_config::{Diagnostics, ObjectSource, Recoded, Report, Severity, decode_again, quoted};
use sts_policy::{Finding, RuleSet, TestFailure, run_test};
use sts_service::manage::{Candidate, InstallRules, ObjectFinding, PreparedRules};
use sts_service::{ApiKeys, Snapshot};
use sts_store::{ObjectKey, ObjectKind};
use sts_types::CheckCode;

use super::{Base, Managed, RuleBase, declared_source, log_managed, object_findings, source};
use crate::compile::{add_new, assign_more, generation, severity_of};
use crate::directories;
use crate::issuer_keys::CachedKeys;

/// Compiles the teams and accounts that changed, and the accounts of changed teams.
pub(super) fn prepare(
    owner: &Arc<RuleBase>,
    candidate: &Candidate,
    changed: &[ObjectKey],
) -> Result<PreparedRules, Vec<ObjectFinding>> {
    let (base, old, mut keys) = {
        let in_force = owner.in_force();
        let compiled = &in_force.compiled;
        (Arc::clone(&in_force.base), Arc::clone(&compiled.rules), compiled.keys.clone())
    };
    let (sources, gone) = affected(&base, candidate, changed, &old);
    let (recoded, report) = decode_again(&base.beside.context, &sources);
    let has_more_members = assign_more(&mut keys, &recoded.accounts);
    let (rules, mut findings) = compile_beside(&old, recoded, &gone, report)?;
    run_tests(owner, &base, &rules, &mut findings);
    if findings.is_fatal() {
        return Err(object_findings(&findings));
    }
    let issuers = if has_more_members {
        let fresh = owner.state.issuers.borrow().with_entries(keys.clone());
        Some(fresh.map_err(|errors| object_findings(&Diagnostics::of_entries(errors)))?)
    } else {
        None
    };
    let rules = Arc::new(rules);
    Ok(PreparedRules {
        rules: Arc::clone(&rules),
        warnings: object_findings(&findings),
        shadowed: shadowed(&base, candidate),
        install: Box::new(InstallPart {
            owner: Arc::clone(owner),
            generation: generation(base.beside.files, candidate.digest()),
            managed: Arc::clone(&candidate.objects),
            keys: issuers.map(|issuers| (issuers, keys)),
            rules,
            changed: changed.to_vec(),
        }),
    })
}

/// Compiles a change of `old`. Faults of form and faults of the rules are reported together.
pub(super) fn compile_beside(
    old: &RuleSet,
    recoded: Recoded,
    gone: &HashSet<String>,
    mut report: Report,
) -> Result<(RuleSet, Diagnostics), Vec<ObjectFinding>> {
    let Recoded { teams, accounts, faulty } = recoded;
    let (rules, found) = match old.recompile(teams, accounts, gone, &faulty) {
        Ok(compiled) => (Some(compiled.rules), compiled.warnings),
        Err(found) => (None, found),
    };
    // A lint without a place is about what did not change.
    let counts = |finding: &Finding| report.place(finding.origin).is_some() || severity_of(finding.severity).refuses();
    let found = found.into_iter().filter(counts).collect();
    add_new(&mut report, found);
    let (findings, _) = report.finish();
    match rules {
        Some(rules) if !findings.is_fatal() => Ok((rules, findings)),
        _ => Err(object_findings(&findings)),
    }
}

/// The objects that a file declares, too.
fn shadowed(base: &Base, candidate: &Candidate) -> Vec<ObjectKey> {
    if base.declared.is_empty() {
        return Vec::new();
    }
    candidate.objects.keys().filter(|key| base.declared.contains_key(*key)).cloned().collect()
}

/// The documents to decode, and the accounts that are gone. Every team is decoded, since an account may
/// refer to any.
fn affected(
    base: &Base,
    candidate: &Candidate,
    changed: &[ObjectKey],
    old: &RuleSet,
) -> (Vec<ObjectSource>, HashSet<String>) {
    // What a file declares is in force whatever happens to a managed object of that name.
    let changed = || changed.iter().filter(|key| !base.declared.contains_key(*key));
    let named = |kind: ObjectKind| changed().filter(move |key| key.kind == kind).map(|key| key.name.clone());
    let mut accounts: BTreeSet<String> = named(ObjectKind::ServiceAccounts).collect();
    let teams: HashSet<String> = named(ObjectKind::Teams).collect();
    if !teams.is_empty() {
        accounts.extend(old.members(&teams).iter().map(|name| name.as_str().to_owned()));
    }
    // An account that names another as its actor depends on that other's existence.
    let ids = accounts.iter().filter_map(|name| old.account(name)).map(|account| account.id.as_str().to_owned());
    let actors: HashSet<String> = ids.chain(accounts.iter().cloned()).collect();
    accounts.extend(old.delegating_to(&actors).iter().map(|name| name.as_str().to_owned()));
    let of = |key: &ObjectKey| match base.declared.get(key) {
        Some(declared) => declared_source(key, declared),
        None => source(key, candidate.objects.get(key)?),
    };
    let is_team = |key: &&ObjectKey| key.kind == ObjectKind::Teams;
    let every_team: BTreeSet<&ObjectKey> =
        base.declared.keys().chain(candidate.objects.keys()).filter(is_team).collect();
    let mut sources: Vec<ObjectSource> = every_team.into_iter().filter_map(of).collect();
    let mut gone = HashSet::new();
    for name in accounts {
        let key = ObjectKey { kind: ObjectKind::ServiceAccounts, name };
        match of(&key) {
            Some(source) => sources.push(source),
            None => drop(gone.insert(key.name)),
        }
    }
    (sources, gone)
}

/// Runs the policy tests of the files on the changed rules.
fn run_tests(owner: &RuleBase, base: &Base, rules: &RuleSet, findings: &mut Diagnostics) {
    let now = owner.state.service.clock().now();
    for test in base.tests.iter() {
        let Err(TestFailure { message, help, .. }) = run_test(rules, rules.frame(), test, now) else { continue };
        let message = format!("the policy test {} fails: {message}", quoted(&test.name));
        findings.add(CheckCode::PolicyTestFailed, Severity::TestFailed, message, help);
    }
}

struct InstallPart {
    owner: Arc<RuleBase>,
    generation: String,
    managed: Arc<Managed>,
    /// Set if a family has more named members.
    keys: Option<(JwksCache, jwks_cache::Specs)>,
    rules: Arc<RuleSet>,
    changed: Vec<ObjectKey>,
}

impl InstallRules for InstallPart {
    fn install(self: Box<Self>, api_keys: Arc<ApiKeys>) {
        let Self { owner, generation, managed, keys, rules, changed } = *self;
        let service = &owner.state.service;
        let mut in_force = owner.in_force();
        let current = service.snapshot();
        let mut fresh =
            Snapshot { generation: generation.clone(), rules: Arc::clone(&rules), api_keys, ..(*current).clone() };
        if let Some((issuers, _)) = &keys {
            fresh.keys = Arc::new(CachedKeys(issuers.clone()));
        }
        drop(current);
        let old = service.swap(fresh);
        if let Some((issuers, specs)) = keys {
            owner.state.issuers.send_replace(issuers);
            in_force.compiled.keys = specs;
        }
        let settings = &in_force.compiled.settings;
        owner.state.directories.reconfigure(directories::spec(settings, &rules));
        log_managed(&generation, &changed);
        in_force.compiled.generation = generation;
        in_force.compiled.rules = rules;
        in_force.managed = managed;
        drop(in_force);
        owner.retire(old);
    }
}
