//! Compiles accounts and their identities.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;
use sts_claims::ClaimPath;
use sts_types::{AccountId, Audience, CheckCode, Located, TeamName, UnixTime, is_uuid};

use super::grants::Granted;
use super::interner::Interner;
use super::{broad, conditions, external, grants, lints, platform_use};
use crate::account::{Account, AccountTerms, Api};
use crate::changes::Fingerprints;
use crate::external::{ExternalTeams, unite};
use crate::finding::{Findings, identity_title, name_help, quoted};
use crate::identity::{ApiGrant, EntryRule, Identity, Terms, Window};
use crate::{
    AccountSpec, ExternalLogin, GrantedAccount, IdentitySpec, IssuerSpec, Preset, PresetSource, ShortRuleSpec, Spec,
    TeamSpec,
};

/// The accounts, and the teams that groups give them.
pub(super) fn compile(spec: &Spec, apis: &[Api], findings: &mut Findings) -> (Vec<Account>, ExternalTeams) {
    let teams: external::Teams<'_> = spec
        .teams
        .iter()
        .map(|team| (team.name.value.as_str(), (team.name.value.detached(), team_grants(team, apis, findings))))
        .collect();
    let entries: HashMap<&str, usize> =
        spec.issuers.iter().enumerate().map(|(index, entry)| (entry.name.value.as_str(), index)).collect();
    let external = external::compile(spec, &teams, &entries, findings);
    let shared: Vec<ClaimPath> =
        spec.tokens.copy_claims.iter().filter_map(|claim| conditions::path(claim, findings)).collect();
    let (interner, prints) = (Interner::default(), Fingerprints::of(spec));
    let reported = HashSet::new();
    let mut compiler =
        Compiler { spec, apis, teams, external, entries, copy_claims: shared, interner, prints, reported, findings };
    let accounts = spec.accounts.iter().map(|account| compiler.account(account)).collect();
    (accounts, compiler.external)
}

/// The grants of a team. A team with a fault joins the faulty names, so that what follows from the
/// fault is not reported as well.
fn team_grants(team: &TeamSpec, apis: &[Api], findings: &mut Findings) -> Vec<ApiGrant> {
    let before = findings.errors();
    let grants = grants::compile(&team.grants, apis, findings);
    let names_faulty = team.grants.iter().any(|grant| findings.faulty.apis.contains(&grant.api.value));
    if findings.errors() > before || names_faulty {
        findings.faulty.teams.insert(team.name.value.as_str());
    }
    grants
}

struct Compiler<'a> {
    spec: &'a Spec,
    apis: &'a [Api],
    teams: external::Teams<'a>,
    external: ExternalTeams,
    /// Indices of the issuer entries, by name.
    entries: HashMap<&'a str, usize>,
    /// `tokens.copy_claims`.
    copy_claims: Vec<ClaimPath>,
    interner: Interner,
    prints: Fingerprints<'a>,
    /// Issuer entries already reported as lacking their `preset`.
    reported: HashSet<&'a str>,
    findings: &'a mut Findings,
}

impl Compiler<'_> {
    fn account(&mut self, account: &AccountSpec) -> Account {
        let name = account.name.value.detached();
        let id = match &account.id {
            Some(id) if id.value.as_str() != name.as_str() => id.value.detached(),
            _ => name.as_id(),
        };
        let (teams, grants, is_known) = self.account_grants(account);
        let login = account
            .external_login
            .as_ref()
            .and_then(|login| external::login(self.spec, &self.external, login, self.findings));
        let (possible, is_known) = self.possible_grants(account, login.as_deref(), &grants, is_known);
        let all = possible.as_deref().unwrap_or(&grants);
        let default_target = self.default_target(account, &grants, all, is_known);
        let window = Window { enabled: account.enabled, not_before: account.not_before, not_after: account.not_after };
        self.window(account.not_before, account.not_after, account.name.origin, quoted(account.name.value.as_str()));

        self.check_identity_names(account);
        let granted = Granted { grants: &grants, possible: all, is_known };
        let mut identities = SmallVec::new();
        identities.reserve_exact(account.identities.len());
        identities.extend(account.identities.iter().map(|identity| self.identity(account, &id, granted, identity)));
        let relies_on_external = possible.is_some();
        Account {
            granted: Arc::new(GrantedAccount { id, name, teams }),
            display_name: account.display_name.as_deref().map(Into::into),
            login,
            print: self.prints.print(account),
            terms: self.interner.account_terms(AccountTerms {
                window,
                grants,
                default_target,
                names_default: account.default_api.is_some(),
                relies_on_external,
                ttl: account.ttl.map(|ttl| ttl.value),
                require_proof: account.require_proof,
                actors: account.actors.iter().map(|actor| actor.value.as_str().into()).collect(),
            }),
            identities,
        }
    }

    /// The account's teams and grants. The third value tells whether the grants are known: with a
    /// fault in a grant or a team, "not granted" would be a false finding.
    fn account_grants(&mut self, account: &AccountSpec) -> (Vec<TeamName>, Vec<ApiGrant>, bool) {
        let mut teams = Vec::with_capacity(account.teams.len());
        let mut granted = Vec::new();
        let before = self.findings.errors();
        let faulty = &self.findings.faulty;
        let mut is_known = !faulty.accounts.contains(account.name.value.as_str())
            && !account.grants.iter().any(|grant| faulty.apis.contains(&grant.api.value));
        for name in &account.teams {
            match self.teams.get(name.value.as_str()) {
                Some((team, grants)) => {
                    teams.push(team.clone());
                    granted.extend(grants.iter().cloned());
                    is_known &= !self.findings.faulty.teams.contains(&name.value);
                }
                None if self.findings.faulty.teams.contains(&name.value) => is_known = false,
                None => {
                    let help = name_help(&name.value, self.spec.teams.iter().map(|team| team.name.value.as_str()));
                    self.findings.error(
                        CheckCode::UnknownTeam,
                        name.origin,
                        format!("there is no team {}", quoted(&name.value)),
                        help,
                    );
                }
            }
        }
        granted.extend(grants::compile(&account.grants, self.apis, self.findings));
        is_known &= self.findings.errors() == before;
        (teams, unite(&granted, self.apis), is_known)
    }

    /// What the account could be granted with every team that groups can give it, if there is such a
    /// team and the account refers to what it is granted. The second value tells whether that is known.
    fn possible_grants(
        &self,
        account: &AccountSpec,
        login: Option<&ExternalLogin>,
        grants: &[ApiGrant],
        is_known: bool,
    ) -> (Option<Vec<ApiGrant>>, bool) {
        if self.external.teams.is_empty() || !refers_to_grants(account) {
            return (None, is_known);
        }
        let issuers = account.identities.iter().flat_map(|identity| &identity.issuers);
        let entries = issuers.filter_map(|issuer| self.entries.get(issuer.value.as_str()).copied());
        let teams = self.external.possible.of_sources(login, entries);
        let teams: Vec<_> = teams.into_iter().filter_map(|team| self.external.teams.get(team)).collect();
        if teams.is_empty() {
            return (None, is_known);
        }
        let faulty = &self.findings.faulty.teams;
        let is_known = is_known && !teams.iter().any(|team| faulty.contains(team.name.as_str()));
        let possible = unite(grants.iter().chain(teams.iter().flat_map(|team| &team.grants)), self.apis);
        (Some(possible), is_known)
    }

    fn check_identity_names(&mut self, account: &AccountSpec) {
        let mut names = HashSet::new();
        for identity in account.identities.iter().filter(|identity| !names.insert(&identity.name)) {
            let message = format!(
                "service account {} has two identities named {}",
                quoted(account.name.value.as_str()),
                quoted(identity.name.as_str())
            );
            self.findings.error(
                CheckCode::DuplicateName,
                identity.origin,
                message,
                "give each identity a name of its own".to_owned(),
            );
        }
    }

    /// `default_api`, which must be granted, or the account's only API.
    fn default_target(
        &mut self,
        account: &AccountSpec,
        grants: &[ApiGrant],
        possible: &[ApiGrant],
        is_known: bool,
    ) -> Option<usize> {
        let Some(name) = &account.default_api else {
            return match grants {
                [only] => Some(only.api),
                _ => None,
            };
        };
        let (index, api) = grants::find(self.apis, name, self.findings)?;
        if is_known && !possible.iter().any(|grant| grant.api == index) {
            let message = format!(
                "`default_api` {} is not granted to {}",
                quoted(api.name.as_str()),
                quoted(account.name.value.as_str())
            );
            self.findings.error(
                CheckCode::ApiNotGranted,
                name.origin,
                message,
                name_help(&name.value, possible.iter().map(|grant| grant.name.as_str())),
            );
        }
        Some(index)
    }

    fn identity(
        &mut self,
        account: &AccountSpec,
        id: &AccountId,
        granted: Granted<'_>,
        spec: &IdentitySpec,
    ) -> Identity {
        let title = identity_title(account.name.value.as_str(), spec.name.as_str());
        let entries = self.entries(id, spec, &title);
        let all_issuers: &[IssuerSpec] = &self.spec.issuers;
        let is_sound = |issuer: &&IssuerSpec| !self.findings.faulty.issuers.contains(issuer.name.value.as_str());
        let issuers: Vec<&IssuerSpec> =
            entries.iter().filter_map(|rule| all_issuers.get(rule.entry)).filter(is_sound).collect();
        let before = self.findings.errors();
        let subject = spec.subject.as_ref().and_then(|subject| conditions::pattern(subject, self.findings));
        let mut all = conditions::claims(&spec.claims, &issuers, self.findings);
        all.extend(self.short_rule(spec, &issuers));
        let is_whole = self.findings.errors() == before;
        self.window(spec.not_before, spec.not_after, spec.origin, title.clone());
        let (grants, narrowing) =
            grants::narrow(granted, spec.scopes.as_deref(), spec.grants.as_deref(), self.apis, self.findings);

        // A rule with a reported fault is incomplete, so the checks of its breadth would only add
        // noise.
        if is_whole && all.len() == written_conditions(spec) {
            let rule = broad::Rule { spec, title: &title, subject: subject.as_ref(), conditions: &all };
            broad::check(&rule, &issuers, self.findings);
            platform_use::check(&rule, &issuers, &mut self.reported, self.findings);
            lints::identity(&rule, &issuers, self.spec.issuer.as_str(), self.findings);
        }
        // A rule that names the event decides about it itself.
        let ban_lifted = conditions::names_event(&all)
            || subject.as_ref().is_some_and(|pattern| pattern.literal_ending().ends_with(":pull_request"));
        let entries =
            entries.into_iter().map(|rule| EntryRule { ban_events: rule.ban_events && !ban_lifted, ..rule }).collect();
        let copy_claims = self.copy_claims(spec);
        Identity {
            name: self.interner.name(&spec.name),
            origin: spec.origin,
            subject: subject.map(|subject| self.interner.subject(subject)),
            conditions: self.interner.conditions(all),
            terms: self.interner.terms(Terms {
                window: Window { enabled: spec.enabled, not_before: spec.not_before, not_after: spec.not_after },
                entries,
                grants,
                narrowing,
                ttl: spec.ttl.map(|ttl| ttl.value),
                copy_claims,
            }),
        }
    }

    fn entries(&mut self, id: &AccountId, spec: &IdentitySpec, title: &str) -> Vec<EntryRule> {
        if spec.issuers.is_empty() {
            self.findings.error(
                CheckCode::MissingKey,
                spec.origin,
                format!("{title} names no issuer"),
                "add `issuer:` with an issuer entry's name".to_owned(),
            );
        }
        let mut rules: Vec<EntryRule> = Vec::new();
        for name in &spec.issuers {
            let found = self.entries.get(name.value.as_str()).copied();
            match found.and_then(|index| Some((index, self.spec.issuers.get(index)?))) {
                Some((index, _)) if rules.iter().any(|rule| rule.entry == index) => {}
                Some((index, entry)) => rules.push(EntryRule {
                    entry: index,
                    name: entry.name.value.detached(),
                    enabled: entry.enabled,
                    audiences: self.audiences(id, spec, entry),
                    sole_audience: entry.sole_audience,
                    replay: spec.replay.unwrap_or(entry.replay),
                    ban_events: entry.preset.is_some_and(Preset::is_github_grammar),
                    preset: entry.preset,
                }),
                None if self.findings.faulty.issuers.contains(&name.value) => {}
                None => {
                    let help = name_help(&name.value, self.spec.issuers.iter().map(|entry| entry.name.value.as_str()));
                    self.findings.error(
                        CheckCode::UnknownIssuerEntry,
                        name.origin,
                        format!("there is no issuer entry {}", quoted(&name.value)),
                        help,
                    );
                }
            }
        }
        rules
    }

    /// The accepted audiences: the identity's list, or else the entry's, or else our issuer and the
    /// account's id if that is a UUID.
    fn audiences(&self, id: &AccountId, spec: &IdentitySpec, entry: &IssuerSpec) -> Arc<[Audience]> {
        let given = |list: &[Located<Audience>]| {
            list.iter().map(|audience| audience.value.detached()).collect::<Arc<[Audience]>>()
        };
        if !spec.audience.is_empty() {
            return given(&spec.audience);
        }
        if !entry.audience.is_empty() {
            return given(&entry.audience);
        }
        let id_audience = is_uuid(id.as_str()).then_some(id.as_str());
        std::iter::once(self.spec.issuer.as_str())
            .chain(id_audience)
            .filter_map(|text| Audience::new(text).ok())
            .collect()
    }

    fn short_rule(&mut self, spec: &IdentitySpec, issuers: &[&IssuerSpec]) -> Vec<crate::condition::Condition> {
        let Some(written) = &spec.short_rule else { return Vec::new() };
        let key = written.key.value.as_str();
        let keys = || Preset::ALL.into_iter().filter_map(Preset::short_rule_key);
        let Some(preset) = Preset::ALL.into_iter().find(|preset| preset.short_rule_key() == Some(key)) else {
            self.findings.error(
                CheckCode::UnknownKey,
                written.key.origin,
                format!("there is no short rule {}", quoted(key)),
                name_help(key, keys()),
            );
            return Vec::new();
        };
        let fits = |issuer: &&&IssuerSpec| {
            issuer.preset_source == PresetSource::Faulty || issuer.preset.and_then(Preset::short_rule_key) == Some(key)
        };
        if let Some(other) = issuers.iter().find(|issuer| !fits(issuer)) {
            self.other_platform(written, preset, other);
            // Without a matching rule every member would be unknown, which would only add noise.
            return Vec::new();
        }
        preset.short_rule().map_or_else(Vec::new, |rule| conditions::short_rule(written, rule, self.findings))
    }

    /// Reports a short rule of a platform other than the entry's.
    fn other_platform(&mut self, written: &ShortRuleSpec, preset: Preset, issuer: &IssuerSpec) {
        let key = written.key.value.as_str();
        let has = issuer.preset.map_or("no preset".to_owned(), |written| format!("the preset `{}`", written.name()));
        let message = format!(
            "`{key}:` cannot be used with the issuer entry {}, which has {has}",
            quoted(issuer.name.value.as_str())
        );
        let of_platform =
            |entry: &&IssuerSpec| entry.preset == Some(preset) && entry.preset_source != PresetSource::Faulty;
        let named = self.spec.issuers.iter().find(of_platform);
        let other = named.map(|entry| format!(", or name the issuer entry {}", quoted(entry.name.value.as_str())));
        let help = match issuer.preset {
            Some(written_preset) => match written_preset.short_rule() {
                Some(rule) => {
                    let members: Vec<&str> = rule.members.iter().take(3).map(|(name, _)| *name).collect();
                    format!(
                        "write `{}:`, with members such as `{}`{}",
                        rule.key,
                        members.join("`, `"),
                        other.unwrap_or_default()
                    )
                }
                None => format!("write the conditions under `claims:`{}", other.unwrap_or_default()),
            },
            None => match (other, preset.is_self_hosted()) {
                (Some(other), _) => format!("write the conditions under `claims:`{other}"),
                (None, true) => format!(
                    "write the conditions under `claims:`, or `preset: {}` on the issuer entry if it is an instance of your own",
                    preset.name()
                ),
                (None, false) => "write the conditions under `claims:`".to_owned(),
            },
        };
        self.findings.error(CheckCode::ShortRuleMismatch, written.key.origin, message, help);
    }

    /// `tokens.copy_claims` followed by the identity's own, without duplicates.
    fn copy_claims(&mut self, spec: &IdentitySpec) -> Arc<[ClaimPath]> {
        let mut all = self.copy_claims.clone();
        for path in spec.copy_claims.iter().filter_map(|claim| conditions::path(claim, self.findings)) {
            if !all.contains(&path) {
                all.push(path);
            }
        }
        all.into()
    }

    fn window(&mut self, from: Option<UnixTime>, until: Option<UnixTime>, origin: sts_types::Origin, title: String) {
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            let message = format!("{title} is never in force: `not_after` is not after `not_before`");
            self.findings.error(
                CheckCode::NeverInForce,
                origin,
                message,
                "write a `not_after` later than `not_before`".to_owned(),
            );
        }
    }
}

/// Whether the account names some of what it is granted: in `default_api`, or where an identity narrows
/// its grants. Only then does it matter at load what groups could give it.
fn refers_to_grants(account: &AccountSpec) -> bool {
    let narrows = |identity: &IdentitySpec| identity.scopes.is_some() || identity.grants.is_some();
    account.default_api.is_some() || account.identities.iter().any(narrows)
}

/// The number of conditions in the configuration.
fn written_conditions(spec: &IdentitySpec) -> usize {
    spec.claims.len() + spec.short_rule.as_ref().map_or(0, |rule| rule.members.len())
}
