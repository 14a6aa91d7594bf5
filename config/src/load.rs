//! Files to settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jwks_cache::{EntrySpec, KeySource};
use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_policy::{Finding, RuleSet, Spec, TestSpec};
use sts_token::TrustSpec;
use sts_types::{CheckCode, GroupAccess, SecretOwner, read_secret_file, shown_path};

use crate::decode::{
    AccountFiles, Accounts, Fields, FileKind, KeysSpec, NamedFile, Reader, TokenFile, ValidEntry, accounts, apis,
    issuers, refuse_bare_preset_none, server,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceLocation};
use crate::files::{FileError, Files, NEW_SECRET, STRONG_SECRET, expand};
use crate::key_sets;
use crate::keys::{self, Section};
use crate::named_members;
use crate::outline::Outline;
use crate::settings::{Settings, SourceDocuments};
use crate::source::Span;
use crate::yaml::{self, Node};

/// The largest bearer token that is judged, in bytes: more than any that is shown.
const MAX_BEARER: u64 = 64 * 1024;

/// A configuration that loaded.
#[derive(Debug)]
pub struct Loaded {
    /// What a server runs by.
    pub settings: Settings,
    /// What that was made of.
    pub written: SourceDocuments,
    /// What is worth a look.
    pub warnings: Diagnostics,
}

/// Reads `path`, the account files that it names and every other file that takes part, and checks all of it.
///
/// `environment` gives the value of a variable. A secret file loses one line break (LF or CRLF) at its end and nothing else; a
/// byte order mark in it is refused.
///
/// # Errors
/// Everything that is wrong, not the first: see [`Diagnostics::exit_code`].
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    load_with(path, environment, AbsentSecrets::Refuse)
}

/// Reads `path` as [`load`] does, to explain decisions and never to serve: patterns that are refused as unsafe are kept, since
/// they are often what the question is about. They are among the warnings.
///
/// # Errors
/// As of [`load`], without what is unsafe.
pub fn load_to_explain(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    read(path, environment, AbsentSecrets::Refuse, |findings| findings.exit_code() > 1)
}

/// What to make of secret files that are not there, or not for this user to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentSecrets {
    /// The load is refused.
    Refuse,
    /// A warning: the rules are checked where the secrets are not.
    Warn,
}

/// As [`load`], with a choice about absent secrets.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    absent_secrets: AbsentSecrets,
) -> Result<Loaded, Diagnostics> {
    read(path, environment, absent_secrets, Diagnostics::is_fatal)
}

fn read(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    absent_secrets: AbsentSecrets,
    is_fatal: fn(&Diagnostics) -> bool,
) -> Result<Loaded, Diagnostics> {
    let (reader, files) = (Reader::new(environment), Files::default());
    let mut load = Load { reader, files, outline: Outline::default(), absent_secrets };
    let draft = load.everything(path);
    let Load { reader, files, mut outline, .. } = load;
    let (findings, sources) = reader.report.finish();
    match draft {
        Some((draft, policy, tests)) if !is_fatal(&findings) => {
            let generation = files.generation(reader.variables.iter());
            files.digests().filter(|(path, _)| sources.position(path).is_none()).for_each(|(path, digest)| {
                outline.add_file(path, digest);
            });
            let settings = Settings { generation, outline, files: files.into_paths(), ..draft };
            Ok(Loaded { settings, written: SourceDocuments { policy, tests, sources }, warnings: findings })
        }
        Some(_) | None => Err(findings),
    }
}

struct Load<'e> {
    reader: Reader<'e>,
    files: Files,
    outline: Outline,
    absent_secrets: AbsentSecrets,
}

impl Load<'_> {
    /// Settings that are good if nothing was reported, the policy and its tests.
    fn everything(&mut self, path: &Path) -> Option<(Settings, Spec, Vec<TestSpec>)> {
        let main = self.tree(path, None)?;
        let fields = self.reader.fields(&main, &keys::ROOT)?;
        let server = server(&mut self.reader, &fields);
        let entries = issuers(&mut self.reader, &fields);
        let apis = apis(&mut self.reader, &fields, &server.signing.algorithms, &server.tokens.ignore_scopes);
        for file in server.tls_files.iter().chain(&server.store.tls_files) {
            self.note(file);
        }
        for (path, span) in &entries.key_files {
            let noted = self.files.note(path);
            self.report_unusable(noted, Some(*span));
        }
        if let Some((path, span)) = &server.store.password_file {
            let password = self.files.secret(path);
            self.report_secret(password, *span);
        }
        self.judge_bearer_tokens(&entries.sound);
        let mut secrets = std::collections::BTreeMap::new();
        for (name, path, span) in apis.secret_files {
            let secret = self.files.secret(&path);
            let Some(secret) = self.report_secret(secret, span) else { continue };
            if secret.expose().chars().count() < STRONG_SECRET {
                let place = Some(SourceLocation::new(&self.reader.report.sources, span));
                let message =
                    format!("the secret of API `{name}` is shorter than {STRONG_SECRET} characters and can be guessed");
                self.reader.report.at(
                    CheckCode::WeakSecret,
                    Severity::Warning,
                    place,
                    message,
                    Some(NEW_SECRET.to_owned()),
                );
            }
            secrets.insert(name, secret);
        }
        self.check_key_sets(&entries.sound, &entries.trust);
        let accounts = self.accounts(&fields, &server.accounts)?;
        let identities: Vec<_> = accounts.accounts.iter().flat_map(|account| &account.identities).collect();
        refuse_bare_preset_none(&mut self.reader, &entries.unprotected, &identities);
        let policy = Spec {
            issuer: server.issuer.clone(),
            tokens: server.tokens,
            issuers: entries.policy,
            apis: apis.specs,
            teams: accounts.teams,
            accounts: accounts.accounts,
            faulty: self.reader.faulty.clone(),
        };
        let rules = self.compile(&policy)?;
        let mut key_specs = KeysSpec::specs(entries.keys);
        named_members::assign(&mut key_specs, &policy);
        let settings = Settings {
            issuer: server.issuer,
            listen: server.listen,
            tls: server.tls,
            behind_tls_proxy: server.behind_tls_proxy,
            admin: server.admin,
            data_dir: server.data_dir,
            store: server.store.settings,
            signing: server.signing,
            api_signing: apis.signing,
            status_list: server.status_list,
            cap_to_subject: server.cap_to_subject,
            limits: server.limits,
            drain: server.drain,
            log: server.log,
            audit: server.audit,
            entries: key_specs,
            trust: entries.trust,
            max_ttl: policy.tokens.max_ttl.value,
            rules: Arc::new(rules),
            has_rules: true,
            apis_secrets: secrets,
            generation: String::new(),
            outline: Outline::default(),
            files: Vec::new(),
        };
        Some((settings, policy, accounts.tests))
    }

    /// Reads a file that another crate will read, so that its change is one of the configuration.
    fn note(&mut self, NamedFile { path, span, kind }: &NamedFile) {
        match kind {
            FileKind::Secret => {
                let noted = self.files.note_secret(path).map(|group| ((), group));
                self.report_secret(noted, *span);
            }
            FileKind::Certificate => {
                // It comes and goes with its key.
                let noted = self.files.note(path).map_err(|unusable| match path.exists() {
                    true => unusable,
                    false => FileError { code: CheckCode::MissingSecret, is_absent_secret: true, ..unusable },
                });
                self.report_secret(noted.map(|()| ((), None)), *span);
            }
            FileKind::Public => {
                let noted = self.files.note(path);
                self.report_unusable(noted, Some(*span));
            }
        }
    }

    /// Bearer tokens are read for each fetch, since they are rotated under a running server; one that is not there yet may come.
    fn judge_bearer_tokens(&mut self, entries: &[ValidEntry]) {
        for entry in entries {
            let path = entry.spec.one().and_then(|spec| spec.bearer_token_file.as_ref());
            if let Some(path) = path.filter(|path| path.exists()) {
                let read = read_secret_file(path, SecretOwner::Configured, MAX_BEARER);
                self.report_secret(
                    read.map(|file| ((), file.group)).map_err(FileError::from),
                    entry.place(Some("bearer_token_file")),
                );
            }
        }
    }

    /// A secret that was read, with a warning where a group can read it, too.
    fn report_secret<T>(&mut self, result: Result<(T, Option<GroupAccess>), FileError>, span: Span) -> Option<T> {
        match result {
            Ok((secret, group)) => {
                if let Some(group) = group {
                    self.reader.warning(CheckCode::GroupReadableSecret, span, group.to_string(), group.help());
                }
                Some(secret)
            }
            Err(FileError { code, message, help, is_absent_secret: true })
                if self.absent_secrets == AbsentSecrets::Warn =>
            {
                self.reader.warning(code, span, message, help);
                None
            }
            Err(unusable) => self.report_unusable(Err(unusable), Some(span)),
        }
    }

    fn check_key_sets(&mut self, entries: &[ValidEntry], trust: &[TrustSpec]) {
        for entry in entries
            .iter()
            .filter(|entry| matches!(entry.spec.one(), Some(EntrySpec { source: KeySource::Inline(_), .. })))
        {
            // Somebody may have written a private key.
            self.reader.report.hide_line(entry.keys);
        }
        let mut domains: BTreeMap<&str, Vec<&EntrySpec>> = BTreeMap::new();
        for spec in entries.iter().filter_map(|entry| entry.spec.one()) {
            let domain = trust.iter().find(|own| own.entry == spec.name).and_then(|own| own.trust_domain.as_deref());
            domain.into_iter().for_each(|domain| domains.entry(domain).or_default().push(spec));
        }
        let mut errors = key_sets::check(KeysSpec::specs(entries.iter().map(|entry| entry.spec.clone())));
        errors.extend(domains.iter().flat_map(|(domain, sharers)| key_sets::shared_in_domain(domain, sharers)));
        for error in errors {
            let report = &mut self.reader.report;
            let entry = entries.iter().find(|entry| *entry.spec.name() == error.entry);
            // That an entry has no keys of its own was told where the entries were read.
            let is_told = error.code == CheckCode::IssuerWithoutKeys
                && entry.is_some_and(|entry| entry.spec.one().is_some_and(|spec| spec.source == KeySource::Discovery));
            if let Some(span) = entry.map(|entry| entry.place(error.key))
                && !is_told
                && !report.has_finding_at(span)
            {
                let is_absent = error.code == CheckCode::MissingSecret && self.absent_secrets == AbsentSecrets::Warn;
                let severity = if is_absent { Severity::Warning } else { Severity::Error };
                let place = SourceLocation::new(&report.sources, span);
                let message = format!("issuer entry `{}`: {}", error.entry, error.message);
                report.at(error.code, severity, Some(place), message, Some(error.help));
            }
        }
    }

    /// The accounts of the main file and of every account file. `None` when a file could not be read as YAML: what it would
    /// have held is then missing everywhere, and every mention of it would be reported.
    fn accounts(&mut self, main: &Fields<'_>, named: &[AccountFiles]) -> Option<Accounts> {
        let mut found = Accounts::default();
        accounts(&mut self.reader, main, &mut found);
        let mut complete = !self.reader.misses_account_files;
        let mut paths = Vec::new();
        for AccountFiles { path, span, is_pattern } in named {
            let path = self.reader.beside(*span, path);
            let listed = if *is_pattern { expand(&path) } else { Ok(vec![path]) };
            match self.report_unusable(listed, Some(*span)) {
                Some(listed) => paths.extend(listed.into_iter().map(|path| (path, *span))),
                None => complete = false,
            }
        }
        for (path, span) in paths {
            // Two patterns may meet in one file, and a pattern may reach the main file.
            if self.reader.report.sources.position(&path).is_none() {
                complete &= self.account_file(&path, span, &mut found).is_some();
            }
        }
        for file in std::mem::take(&mut found.token_files) {
            let names_entry = found.tests.get(file.test).is_some_and(|test| test.issuer.is_some());
            let claims = self.token_claims(&file, names_entry);
            if let (Some(claims), Some(test)) = (claims, found.tests.get_mut(file.test)) {
                test.token.claims = claims;
            }
        }
        complete.then_some(found)
    }

    /// The claims of a test's token, as its file has them.
    fn token_claims(&mut self, file: &TokenFile, names_entry: bool) -> Option<Map<String, Value>> {
        let text = self.files.text(&file.path);
        let text = self.report_unusable(text, Some(file.span))?;
        let path = shown_path(&file.path);
        match ClaimSet::parse(text.as_bytes()) {
            Ok(claims) if names_entry || claims.text("iss").is_some() => Some(claims.to_map()),
            Ok(_) => {
                let message = format!("the claims in {path} have no `iss`, and the test names no issuer entry");
                self.reader.report.error(
                    CheckCode::InvalidClaimsFile,
                    file.span,
                    message,
                    Some("add `iss` to the claims, or `issuer:` to the test".to_owned()),
                );
                None
            }
            Err(error) => {
                let message = format!("{path} does not hold the claims of a token: {error}");
                self.reader.report.error(
                    CheckCode::InvalidClaimsFile,
                    file.span,
                    message,
                    Some("write the payload of a token as a JSON object".to_owned()),
                );
                None
            }
        }
    }

    fn account_file(&mut self, path: &Path, span: Span, found: &mut Accounts) -> Option<()> {
        const SECTION: &Section = &keys::ACCOUNT_FILE;
        let tree = self.tree(path, Some(span))?;
        let fields = self.reader.fields(&tree, SECTION)?;
        accounts(&mut self.reader, &fields, found);
        Some(())
    }

    fn tree(&mut self, path: &Path, named_at: Option<Span>) -> Option<Node> {
        let text = self.files.text(path).map_err(|error| if named_at.is_none() { error.of_main(path) } else { error });
        let text: Arc<str> = self.report_unusable(text, named_at)?.into();
        let file = self.reader.report.sources.add(path, Arc::clone(&text));
        let tree = yaml::parse(file, &text, &mut self.reader.report)?;
        self.outline.add(&tree);
        Some(tree)
    }

    fn report_unusable<T>(&mut self, result: Result<T, FileError>, named_at: Option<Span>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(FileError { code, message, help, .. }) => {
                let report = &mut self.reader.report;
                let place = named_at.map(|span| SourceLocation::new(&report.sources, span));
                report.at(code, Severity::Error, place, message, Some(help));
                None
            }
        }
    }

    /// Compiles the rules. What stands where something was reported already is not reported again.
    fn compile(&mut self, spec: &Spec) -> Option<RuleSet> {
        // On a thread of its own because of memory: the C library keeps a heap for each. What was read is several times as large
        // as the rules, and is let go of in one piece when they do not lie in the midst of it.
        let compiled = std::thread::scope(|threads| {
            match std::thread::Builder::new().spawn_scoped(threads, || RuleSet::compile_with_unsafe(spec)) {
                Ok(compiling) => compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // There may be no more threads.
                Err(_) => RuleSet::compile_with_unsafe(spec),
            }
        });
        // What is unsafe refuses the load by its finding; only `load_to_explain` looks at such rules.
        let (rules, findings) = match compiled {
            Ok(compiled) => (Some(compiled.rules), compiled.warnings),
            Err(findings) => (None, findings),
        };
        let report = &mut self.reader.report;
        let new: Vec<Finding> = findings
            .into_iter()
            .filter(|finding| {
                // A warning at the same place must not hide what refuses the load.
                let refuses = finding.severity > sts_policy::Severity::Warning;
                let is_said = |span| if refuses { report.has_refusal_at(span) } else { report.has_finding_at(span) };
                report.sources.span(finding.origin).is_none_or(|span| !is_said(span))
            })
            .collect();
        for Finding { code, origin, severity, message, help } in new {
            let severity = match severity {
                sts_policy::Severity::Error => Severity::Error,
                sts_policy::Severity::Unsafe => Severity::Unsafe,
                sts_policy::Severity::Warning => Severity::Warning,
            };
            let place = report.sources.span(origin).map(|span| SourceLocation::new(&report.sources, span));
            report.findings.push(Diagnostic { code, severity, place, message, help });
        }
        rules
    }
}
