//! Teams and accounts that are decoded again, without the rest of the configuration: a change of some
//! objects must not cost as much as a load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sts_directory::{DirectoryKind, Dn};
use sts_policy::{AccountSpec, FaultyNames, TeamSpec};
use sts_types::{EntryName, ObjectKind};

use crate::decode::{Accounts, Reader, accounts, refuse_bare_preset_none};
use crate::keys;
use crate::object_source::ObjectSource;
use crate::object_tree;
use crate::report::Report;

/// What the decoding of an object takes from the rest of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ObjectContext {
    pub(crate) main: PathBuf,
    /// The environment variables that the files read.
    pub(crate) variables: BTreeMap<String, String>,
    /// The key of the short rule for each issuer entry, by its name.
    pub(crate) short_rules: BTreeMap<String, &'static str>,
    /// Kind and base of each directory, by its name.
    pub(crate) directories: BTreeMap<String, (DirectoryKind, Dn)>,
    /// Entries with the URL of a known shared issuer and `preset: none`.
    pub(crate) unprotected: Vec<EntryName>,
}

impl ObjectContext {
    pub(crate) fn new(main: &Path, unprotected: Vec<EntryName>) -> Self {
        Self { main: main.to_owned(), unprotected, ..Self::default() }
    }
}

/// Teams and accounts that were decoded again.
#[derive(Debug, Default)]
pub struct Recoded {
    /// The teams.
    pub teams: Vec<TeamSpec>,
    /// The accounts.
    pub accounts: Vec<AccountSpec>,
    /// Names among them whose declaration has a fault.
    pub faulty: FaultyNames,
}

/// Decodes the teams and accounts among `sources`. The origins of what it finds belong to the
/// returned report alone.
pub fn decode_again<'s>(
    context: &ObjectContext,
    sources: impl IntoIterator<Item = &'s ObjectSource>,
) -> (Recoded, Report) {
    let environment = |name: &str| context.variables.get(name).cloned();
    let mut reader = Reader::new(&environment);
    reader.report = Report::of_changes();
    reader.short_rules.clone_from(&context.short_rules);
    reader.directories.clone_from(&context.directories);
    let mut entries: BTreeMap<ObjectKind, Vec<_>> = BTreeMap::new();
    for source in sources {
        let entry = object_tree::entry(source, &context.main, &mut reader.report);
        entries.entry(source.object.kind).or_default().push(entry);
    }
    let mut root = object_tree::empty();
    for kind in [ObjectKind::Team, ObjectKind::ServiceAccount] {
        object_tree::graft(&mut root, kind.key(), entries.remove(&kind).unwrap_or_default());
    }
    let mut found = Accounts::default();
    if let Some(fields) = reader.fields(&root, &keys::ACCOUNT_FILE) {
        accounts(&mut reader, &fields, &mut found);
    }
    let identities: Vec<_> = found.accounts.iter().flat_map(|account| &account.identities).collect();
    refuse_bare_preset_none(&mut reader, &context.unprotected, &identities);
    (Recoded { teams: found.teams, accounts: found.accounts, faulty: reader.faulty }, reader.report)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use sts_types::{CheckCode, ObjectRef};

    use super::*;
    use crate::{AbsentSecrets, Configuration, Place, read_with};

    const MAIN: &str = "\
issuer: https://sts.example.com
issuers: { github: { issuer: https://token.actions.githubusercontent.com } }
apis: { deploy: { audience: https://deploy.example.com, scopes: [read, write] } }
teams: { readers: { grants: { deploy: [read] } } }
service_accounts:
  octo: { display_name: \"${NAME}\", teams: [readers], ttl: 10m, identities: [{ issuer: github, github: { repository_id: 65 } }] }
";

    fn environment(name: &str) -> Option<String> {
        (name == "NAME").then(|| "Octo".to_owned())
    }

    fn managed(kind: ObjectKind, name: &str, spec: &serde_json::Value) -> ObjectSource {
        let object = ObjectRef { kind, name: name.to_owned() };
        ObjectSource { object, spec: spec.to_string().into(), file: None }
    }

    fn configuration(sources: &[ObjectSource]) -> (Configuration, Report) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts.yaml");
        std::fs::write(&path, MAIN).unwrap();
        let (configuration, report) = read_with(&path, &environment, AbsentSecrets::Refuse, sources);
        (configuration.unwrap(), report)
    }

    #[test]
    fn what_a_file_declares_is_decoded_alike_from_its_document() {
        let (configuration, report) = configuration(&[]);
        assert!(report.finish().0.is_empty());
        let declared: Vec<String> = configuration.declared.iter().map(|source| source.object.to_string()).collect();
        assert_eq!(declared, ["issuers/github", "apis/deploy", "teams/readers", "service-accounts/octo"]);
        let octo: serde_json::Value = serde_json::from_str(&configuration.declared[3].spec).unwrap();
        assert_eq!(octo["display_name"], "${NAME}");
        assert_eq!(octo["identities"][0]["github"]["repository_id"], 65);
        let (again, report) = decode_again(&configuration.context, &configuration.declared);
        assert!(report.finish().0.is_empty());
        let unplaced = |accounts: &[AccountSpec]| {
            let mut accounts = accounts.to_vec();
            let identities = accounts.iter_mut().flat_map(|account| &mut account.identities);
            identities.for_each(|identity| identity.origin = sts_types::Origin::NONE);
            accounts
        };
        assert_eq!(unplaced(&again.accounts), unplaced(&configuration.objects.accounts));
        assert_eq!(again.teams, configuration.objects.teams);
    }

    #[test]
    fn objects_stand_beside_files_and_files_win() {
        let sources = [
            managed(ObjectKind::Issuer, "github", &json!({ "issuer": "https://attacker.example" })),
            managed(ObjectKind::Issuer, "gitlab", &json!({ "issuer": "https://gitlab.com" })),
            managed(ObjectKind::Api, "logs", &json!({ "audience": "https://logs.example.com" })),
            managed(ObjectKind::Team, "readers", &json!({ "grants": { "deploy": ["write"] } })),
            managed(ObjectKind::ServiceAccount, "bot", &json!({ "teams": ["readers"] })),
        ];
        let (configuration, report) = configuration(&sources);
        let shadowed: Vec<String> = configuration.shadowed.iter().map(ToString::to_string).collect();
        assert_eq!(shadowed, ["issuers/github", "teams/readers"]);
        let objects = &configuration.objects;
        let entries: Vec<_> = objects.issuers.iter().map(|own| own.policy.name.value.as_str()).collect();
        assert_eq!(entries, ["github", "gitlab"]);
        assert_eq!(objects.apis.len(), 2);
        assert_eq!(objects.teams.len(), 1);
        assert_eq!(objects.accounts.len(), 2);
        let (findings, _) = report.finish();
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [CheckCode::ShadowedObject, CheckCode::ShadowedObject]);
        assert_eq!(configuration.declared.len(), 4, "managed objects are declared in no file");
    }

    #[test]
    fn findings_in_objects_have_pointers_and_variables_are_not_read() {
        let spec = json!({ "display_name": "${NAME}", "identities": [{ "issuer": "github", "nonsense": 1 }] });
        let sources = [managed(ObjectKind::ServiceAccount, "bot", &spec)];
        let check = |report: Report| {
            let (findings, _) = report.finish();
            let found: Vec<_> = findings
                .iter()
                .map(|finding| (finding.code, finding.place.as_ref().and_then(Place::object).unwrap().to_string()))
                .collect();
            assert_eq!(
                found,
                [
                    (CheckCode::InvalidVariable, "service-accounts/bot: /display_name".to_owned()),
                    (CheckCode::UnknownKey, "service-accounts/bot: /identities/0/nonsense".to_owned()),
                ]
            );
        };
        let (configuration, report) = configuration(&sources);
        check(report);
        check(decode_again(&configuration.context, &sources).1);
    }

    #[test]
    fn a_text_that_is_no_json_is_a_fault_and_not_a_panic() {
        let object = ObjectRef { kind: ObjectKind::Team, name: "t".to_owned() };
        let source = ObjectSource { object, spec: Arc::from("{"), file: None };
        let (again, report) = decode_again(&ObjectContext::default(), [&source]);
        assert!(again.teams.is_empty());
        assert!(report.finish().0.is_fatal());
    }
}
