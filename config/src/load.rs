//! Reads a configuration: its files, decoded to settings and specs whose form is checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jwks_cache::KeySource;
use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_jose::SealingKey;
use sts_policy::{FaultyNames, TestSpec, TokensSpec};
use sts_types::{
    ApiName, CheckCode, Digest256, GroupAccess, JsonPointer, ObjectKind, ObjectPointer, ObjectRef, SecretOwner,
    read_secret_file, shown_path,
};

use crate::decode::{
    AccountFiles, Accounts, ConsoleDraft, Directories, Entries, Fields, FileKind, NamedFile, Reader, Server, Signing,
    TokenFile, accounts, apis, console, directories, groups_of_test, issuers, refuse_bare_preset_none, server,
};
use crate::diagnostic::{Place, Severity};
use crate::files::{FileError, Files, NEW_SECRET, STRONG_SECRET, expand};
use crate::keys::{self, Section};
use crate::object_changes::ObjectContext;
use crate::object_source::ObjectSource;
use crate::object_tree;
use crate::objects::{ConsoleProvider, CrateSpecs, Objects};
use crate::outline::Outline;
use crate::report::Report;
use crate::settings::{Secret, Settings};
use crate::source::Span;
use crate::yaml::{self, Entry, Node};

/// Largest bearer token file, in bytes. Real bearer tokens are much shorter.
const MAX_BEARER: u64 = 64 * 1024;

/// What the files say. Its form is checked; the rules are not compiled.
#[derive(Debug)]
pub struct Configuration {
    /// The settings of the server.
    pub settings: Settings,
    /// `tokens:`, as far as the rules need it.
    pub tokens: TokensSpec,
    /// The objects that the files declare.
    pub objects: Objects,
    /// The policy tests of every file.
    pub tests: Vec<TestSpec>,
    /// Names whose declaration has a reported fault.
    pub faulty: FaultyNames,
    /// Whether every account file was read. If not, what the others declare is missing everywhere, and
    /// a compiler would report every reference to it.
    pub is_complete: bool,
    /// Digest of every file and environment value that was read.
    pub digest: Digest256,
    /// Digests by name, to log what a reload changes.
    pub outline: Outline,
    /// Every file that was read, to watch for changes.
    pub files: Vec<PathBuf>,
    /// The objects that files declare, as documents.
    pub declared: Vec<ObjectSource>,
    /// The managed objects that are not in force because a file declares one of the same name.
    pub shadowed: Vec<ObjectRef>,
    /// What [`crate::decode_again`] needs.
    pub context: ObjectContext,
}

impl Configuration {
    /// The specs of the objects that the files declare, sorted by the crate that compiles them.
    #[must_use]
    pub fn into_specs(self) -> CrateSpecs {
        let directories = self.settings.directory_names();
        self.objects.into_specs(self.settings.issuer, self.tokens, directories, self.faulty)
    }
}

/// How to treat secret files that are missing, or that this user may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentSecrets {
    /// The load fails.
    Refuse,
    /// The load warns. For checks on machines that do not have the secrets.
    Warn,
}

/// Reads the configuration at `path` with all files that it names, and checks its form.
///
/// `environment` returns the value of an environment variable. A secret is the text of its file
/// without one line break (LF or CRLF) at the end; a byte order mark is refused.
///
/// The configuration is valid only if the report has no finding that refuses it. It is there despite
/// such findings, so that its rules can be checked as well; it is `None` if the file is not even a
/// mapping.
pub fn read(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    absent_secrets: AbsentSecrets,
) -> (Option<Configuration>, Report) {
    read_with(path, environment, absent_secrets, &[])
}

/// Like [`read`], with managed objects beside those in files. Files win: a managed object with the
/// name of one that a file declares is left out and reported.
pub fn read_with(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    absent_secrets: AbsentSecrets,
    managed: &[ObjectSource],
) -> (Option<Configuration>, Report) {
    let mut load = Load {
        reader: Reader::new(environment),
        files: Files::default(),
        outline: Outline::default(),
        absent_secrets,
        main: path,
        managed,
        shadowed: Vec::new(),
        declared: Vec::new(),
    };
    let draft = load.everything(path);
    let Load { reader, files, mut outline, shadowed, declared, .. } = load;
    let configuration = draft.map(|draft| {
        let digest = files.digest(reader.variables.iter());
        let sources = &reader.report.sources;
        files.digests().filter(|(path, _)| sources.position(path).is_none()).for_each(|(path, digest)| {
            outline.add_file(path, digest);
        });
        let variables = reader.variables.clone();
        let context = ObjectContext {
            variables,
            short_rules: reader.short_rules.clone(),
            directories: reader.directories.clone(),
            ..draft.context
        };
        Configuration { digest, outline, files: files.into_paths(), declared, shadowed, context, ..draft }
    });
    (configuration, reader.report)
}

struct Load<'e> {
    reader: Reader<'e>,
    files: Files,
    outline: Outline,
    absent_secrets: AbsentSecrets,
    /// The main file.
    main: &'e Path,
    managed: &'e [ObjectSource],
    shadowed: Vec<ObjectRef>,
    declared: Vec<ObjectSource>,
}

impl Load<'_> {
    /// Reads everything.
    fn everything(&mut self, path: &Path) -> Option<Configuration> {
        let mut main = self.tree(path, None)?;
        for kind in [ObjectKind::Issuer, ObjectKind::Api] {
            let entries = self.managed_entries(kind, |name| object_tree::declares(&main, kind.key(), name));
            object_tree::graft(&mut main, kind.key(), entries);
        }
        let fields = self.reader.fields(&main, &keys::ROOT)?;
        let server = server(&mut self.reader, &fields);
        let directories = directories(&mut self.reader, &fields);
        self.note_directory_files(&directories);
        let mut entries = issuers(&mut self.reader, &fields);
        let default_proxy = entries.default_proxy.take();
        let console = console(&mut self.reader, &fields, default_proxy.as_ref(), &mut entries.key_files);
        let apis = apis(&mut self.reader, &fields, &server.signing.spec.algorithms, &server.tokens.ignore_scopes);
        self.note_files(&server, &entries);
        self.check_keys(&entries);
        let secrets = self.introspection_secrets(&apis.secret_files);
        let console = console.map(|draft| self.with_client_secret(draft));
        let accounts = self.accounts(&fields, &server.accounts);
        if accounts.is_complete {
            let identities: Vec<_> = accounts.accounts.iter().flat_map(|account| &account.identities).collect();
            refuse_bare_preset_none(&mut self.reader, &entries.unprotected, &identities);
        }
        Some(Configuration {
            settings: Settings {
                issuer: server.issuer,
                listen: server.listen,
                tls: server.tls,
                behind_tls_proxy: server.behind_tls_proxy,
                admin: server.admin,
                data_dir: server.data_dir,
                store: server.store.spec,
                keyring: server.signing.spec,
                status_list: server.status_list,
                cap_to_subject: server.cap_to_subject,
                limits: server.limits,
                drain: server.drain,
                log: server.log,
                audit: server.audit,
                metrics_listen: server.metrics_listen,
                otlp: server.otlp,
                api_keys: server.api_keys,
                managed_kinds: server.managed_kinds,
                directories: directories.specs,
            },
            tokens: server.tokens,
            objects: Objects {
                issuers: entries.objects,
                apis: apis.into_objects(secrets),
                teams: accounts.teams,
                accounts: accounts.accounts,
                console,
            },
            tests: accounts.tests,
            faulty: self.reader.faulty.clone(),
            is_complete: accounts.is_complete,
            digest: Digest256([0; 32]),
            outline: Outline::default(),
            files: Vec::new(),
            declared: Vec::new(),
            shadowed: Vec::new(),
            context: ObjectContext::new(self.main, entries.unprotected),
        })
    }

    /// Notes the files that settings and issuer entries name, and reports those that cannot be used.
    fn note_files(&mut self, server: &Server, entries: &Entries) {
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
        self.note_signing_files(&server.signing);
    }

    /// Notes the files that `signing` names. Those with sealing keys are checked as they are read.
    fn note_signing_files(&mut self, signing: &Signing) {
        if let Some(module) = &signing.module {
            self.note(module);
        }
        if let Some((path, span)) = &signing.pin_file {
            let pin = self.files.secret(path);
            self.report_secret(pin, *span);
        }
        for (path, span) in &signing.seal_key_files {
            let key = self.files.secret(path).and_then(|(key, group)| match SealingKey::from_base64(key.expose()) {
                Ok(_) => Ok(((), group)),
                Err(error) => {
                    let message = format!("{} has no key for `seal_key_file`", shown_path(path));
                    Err(FileError::new(CheckCode::InvalidSecret, message, error.to_string()))
                }
            });
            self.report_secret(key, *span);
        }
    }

    /// Notes the files that directories name. The password is read anew for each bind.
    fn note_directory_files(&mut self, directories: &Directories) {
        for file in &directories.ca_files {
            self.note(file);
        }
        for (path, span) in &directories.password_files {
            let password = self.files.secret(path);
            self.report_secret(password, *span);
        }
    }

    /// The managed objects of a kind, without those that a file declares.
    fn managed_entries(&mut self, kind: ObjectKind, is_declared: impl Fn(&str) -> bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        for source in self.managed.iter().filter(|source| source.object.kind == kind) {
            if !is_declared(&source.object.name) {
                entries.push(object_tree::entry(source, self.main, &mut self.reader.report));
                continue;
            }
            let object = source.object.clone();
            let message = format!("`{object}` is not in force: a file declares an object of this kind and name");
            let help = "delete the managed object, or remove the one in the file".to_owned();
            let place = Place::Object(ObjectPointer { object: object.clone(), pointer: JsonPointer::default() });
            self.reader.report.at(CheckCode::ShadowedObject, Severity::Warning, Some(place), message, Some(help));
            self.shadowed.push(object);
        }
        entries
    }

    /// Reads the managed teams and accounts.
    fn managed_accounts(&mut self, found: &mut Accounts) {
        let mut root = object_tree::empty();
        for kind in [ObjectKind::Team, ObjectKind::ServiceAccount] {
            let entries = self.managed_entries(kind, |name| found.declares(kind, name));
            object_tree::graft(&mut root, kind.key(), entries);
        }
        if let Some(fields) = self.reader.fields(&root, &keys::ACCOUNT_FILE) {
            accounts(&mut self.reader, &fields, found);
        }
    }

    /// Reads the introspection secrets, by API.
    fn introspection_secrets(&mut self, files: &[(ApiName, PathBuf, Span)]) -> BTreeMap<ApiName, Secret> {
        let mut secrets = BTreeMap::new();
        for (name, path, span) in files {
            let secret = self.files.secret(path);
            let Some(secret) = self.report_secret(secret, *span) else { continue };
            if secret.expose().chars().count() < STRONG_SECRET {
                let message =
                    format!("the secret of API `{name}` is shorter than {STRONG_SECRET} characters and can be guessed");
                self.reader.warning(CheckCode::WeakSecret, *span, message, NEW_SECRET);
            }
            secrets.insert(name.clone(), secret);
        }
        secrets
    }

    /// Reads the secret of the console at its provider.
    fn with_client_secret(&mut self, draft: ConsoleDraft) -> ConsoleProvider {
        let secret = draft.secret_file.as_ref().and_then(|(path, span)| {
            let secret = self.files.secret(path);
            self.report_secret(secret, *span)
        });
        draft.with_secret(secret)
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

    /// Checks the key settings of the sound entries against the files on this machine. A bearer token
    /// file may still be missing: it is read for each fetch, because tokens rotate under a running
    /// server.
    fn check_keys(&mut self, entries: &Entries) {
        for (spec, origins) in entries.sound() {
            let span = |reader: &Reader<'_>, key| reader.report.sources.span(origins.of(key));
            // Somebody may have written a private key.
            if matches!(spec.source, KeySource::Inline(_))
                && let Some(span) = span(&self.reader, None)
            {
                self.reader.report.hide_line(span);
            }
            if let Some(path) = spec.bearer_token_file.as_ref().filter(|path| path.exists())
                && let Some(span) = span(&self.reader, Some("bearer_token_file"))
            {
                let read = read_secret_file(path, SecretOwner::Configured, MAX_BEARER);
                self.report_secret(read.map(|file| ((), file.group)).map_err(FileError::from), span);
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

    /// Reads the accounts of the main file and of every account file.
    fn accounts(&mut self, main: &Fields<'_>, named: &[AccountFiles]) -> Accounts {
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
        self.managed_accounts(&mut found);
        for file in std::mem::take(&mut found.token_files) {
            let names_entry = found.tests.get(file.test).is_some_and(|test| test.issuer.is_some());
            let claims = self.token_claims(&file, names_entry);
            if let (Some(claims), Some(test)) = (claims, found.tests.get_mut(file.test)) {
                test.token.groups = groups_of_test(&claims);
                test.token.claims = claims;
            }
        }
        found.is_complete = complete;
        found
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
                let message = format!("{path} does not contain the claims of a token: {error}");
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
        object_tree::declared_in(&tree, &Arc::from(path), &mut self.declared);
        Some(tree)
    }

    fn report_unusable<T>(&mut self, result: Result<T, FileError>, named_at: Option<Span>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(FileError { code, message, help, .. }) => {
                let report = &mut self.reader.report;
                let place = named_at.map(|span| Place::of_span(&report.sources, span));
                report.at(code, Severity::Error, place, message, Some(help));
                None
            }
        }
    }
}
