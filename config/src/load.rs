//! Loads a configuration: reads its files, decodes and checks them, and compiles the rules.

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

/// Largest bearer token file, in bytes. Real bearer tokens are much shorter.
const MAX_BEARER: u64 = 64 * 1024;

/// A configuration that loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The settings of a server.
    pub settings: Settings,
    /// The specs that the settings were made from.
    pub written: SourceDocuments,
    /// Findings that do not prevent the load.
    pub warnings: Diagnostics,
}

/// Loads the configuration at `path` with all files that it names, and checks everything.
///
/// `environment` returns the value of an environment variable. A secret is the text of its file
/// without one line break (LF or CRLF) at the end; a byte order mark is refused.
///
/// # Errors
/// All findings, not only the first. See [`Diagnostics::exit_code`].
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    load_with(path, environment, AbsentSecrets::Refuse)
}

/// Loads like [`load`], to explain decisions and never to serve. Unsafe patterns stay in the rules,
/// because the question is often about them; they are among the warnings.
///
/// # Errors
/// As for [`load`], except that unsafe rules are no error.
pub fn load_to_explain(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    read(path, environment, AbsentSecrets::Refuse, |findings| findings.exit_code() > 1)
}

/// How to treat secret files that are missing, or that this user may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentSecrets {
    /// The load fails.
    Refuse,
    /// The load warns. For checks on machines that do not have the secrets.
    Warn,
}

/// Loads like [`load`], with a choice about absent secrets.
///
/// # Errors
/// As for [`load`].
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
    /// Reads everything: the settings, the policy and its tests. They are valid only if no error
    /// was reported.
    fn everything(&mut self, path: &Path) -> Option<(Settings, Spec, Vec<TestSpec>)> {
        let main = self.tree(path, None)?;
        let fields = self.reader.fields(&main, &keys::ROOT)?;
        let server = server(&mut self.reader, &fields);
        let entries = issuers(&mut self.reader, &fields);
        let apis = apis(&mut self.reader, &fields, &server.keyring.algorithms, &server.tokens.ignore_scopes);
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
            store: server.store.spec,
            keyring: server.keyring,
            api_signing: apis.signing,
            status_list: server.status_list,
            cap_to_subject: server.cap_to_subject,
            limits: server.limits,
            drain: server.drain,
            log: server.log,
            audit: server.audit,
            entries: key_specs,
            trust: entries.trust,
            rules: Arc::new(rules),
            has_rules: true,
            apis_secrets: secrets,
            generation: String::new(),
            outline: Outline::default(),
            files: Vec::new(),
        };
        Some((settings, policy, accounts.tests))
    }

    /// Reads a file that another crate will read, to check it and to watch it for changes.
    fn note(&mut self, NamedFile { path, span, kind }: &NamedFile) {
        match kind {
            FileKind::Secret => {
                let noted = self.files.note_secret(path).map(|group| ((), group));
                self.report_secret(noted, *span);
            }
            FileKind::Certificate => {
                // A machine without the key usually has no certificate either, so a missing one
                // counts as an absent secret.
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

    /// Checks the files of bearer tokens. A missing one is no error: each fetch reads its file, so
    /// it may appear later.
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

    /// Unwraps a secret. Warns if a group can read its file, and reports a failed read.
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
            // The key set may contain a private key by mistake.
            self.reader.report.hide_line(entry.keys);
        }
        let mut domains: BTreeMap<&str, Vec<&EntrySpec>> = BTreeMap::new();
        for spec in entries.iter().filter_map(|entry| entry.spec.one()) {
            let domain =
                trust.iter().find(|trust| trust.entry == spec.name).and_then(|trust| trust.trust_domain.as_deref());
            domain.into_iter().for_each(|domain| domains.entry(domain).or_default().push(spec));
        }
        let mut errors = key_sets::check(KeysSpec::specs(entries.iter().map(|entry| entry.spec.clone())));
        errors.extend(domains.iter().flat_map(|(domain, sharers)| key_sets::shared_in_domain(domain, sharers)));
        for error in errors {
            let report = &mut self.reader.report;
            let entry = entries.iter().find(|entry| *entry.spec.name() == error.entry);
            // Decoding the entries has reported those without keys of their own.
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

    /// Reads the accounts of the main file and of every account file. `None` if a file could not be
    /// read: its contents would be missing, and every reference to them would be reported.
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
            // Two patterns may match the same file, and a pattern may match the main file.
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

    /// Reads the claims of a test token from its file.
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

    /// Compiles the rules. Drops findings at positions that already have one.
    fn compile(&mut self, spec: &Spec) -> Option<RuleSet> {
        // A thread of its own saves memory, because the C library gives each thread its own heap.
        // The specs are several times as large as the rules. If the rules are not scattered among
        // them, the memory of the specs can be returned in one piece.
        let compiled = std::thread::scope(|threads| {
            match std::thread::Builder::new().spawn_scoped(threads, || RuleSet::compile_with_unsafe(spec)) {
                Ok(compiling) => compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // The system may refuse a new thread.
                Err(_) => RuleSet::compile_with_unsafe(spec),
            }
        });
        // An unsafe rule fails the load by its finding. Only `load_to_explain` uses such rules.
        let (rules, findings) = match compiled {
            Ok(compiled) => (Some(compiled.rules), compiled.warnings),
            Err(findings) => (None, findings),
        };
        let report = &mut self.reader.report;
        let new: Vec<Finding> = findings
            .into_iter()
            .filter(|finding| {
                // A warning at the same position must not hide a finding that fails the load.
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
