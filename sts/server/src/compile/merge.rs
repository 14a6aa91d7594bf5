//! Two sources of rules become one: files win.

use std::collections::HashSet;

use sts_config::{Objects, Place, Report, Severity};
use sts_jose::digest_of_parts;
use sts_types::{CheckCode, Digest256, JsonPointer, ObjectKind, ObjectPointer, ObjectRef};

/// The managed objects, as specs. Empty where nothing is managed.
#[derive(Debug, Default)]
pub struct Managed {
    /// The objects.
    pub objects: Objects,
    /// Digest over all of them; `None` if there are none.
    pub digest: Option<Digest256>,
}

/// Names the snapshot by a digest over both sources. Without managed objects it is that of the files.
pub(super) fn generation(files: Digest256, managed: Option<Digest256>) -> String {
    let both = managed.map_or(files, |managed| digest_of_parts(&[b"files", &files.0, b"managed", &managed.0]));
    both.to_hex().chars().take(16).collect()
}

/// The objects of both sources. A managed object with the name of one that a file declares is left out
/// and reported.
pub(super) fn files_win(mut files: Objects, managed: Objects, report: &mut Report) -> Objects {
    let mut shadowed = Vec::new();
    let Objects { issuers, apis, teams, accounts } = managed;
    extend(&mut files.issuers, issuers, ObjectKind::Issuer, &mut shadowed, |object| object.policy.name.value.as_str());
    extend(&mut files.apis, apis, ObjectKind::Api, &mut shadowed, |object| object.policy.name.value.as_str());
    extend(&mut files.teams, teams, ObjectKind::Team, &mut shadowed, |object| object.name.value.as_str());
    extend(&mut files.accounts, accounts, ObjectKind::ServiceAccount, &mut shadowed, |object| {
        object.name.value.as_str()
    });
    for object in shadowed {
        let message = format!("`{object}` is not in force: a file declares an object of this kind and name");
        let help = "delete the managed object, or remove the one in the file".to_owned();
        let place = Place::Object(ObjectPointer { object, pointer: JsonPointer::default() });
        report.at(CheckCode::ShadowedObject, Severity::Warning, Some(place), message, Some(help));
    }
    files
}

/// Adds the objects of one kind whose names are not among `files`.
fn extend<T>(
    files: &mut Vec<T>,
    managed: Vec<T>,
    kind: ObjectKind,
    shadowed: &mut Vec<ObjectRef>,
    name: fn(&T) -> &str,
) {
    let declared: HashSet<String> =
        if managed.is_empty() { HashSet::new() } else { files.iter().map(|object| name(object).to_owned()).collect() };
    for object in managed {
        match declared.contains(name(&object)) {
            true => shadowed.push(ObjectRef { kind, name: name(&object).to_owned() }),
            false => files.push(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use sts_policy::{AccountSpec, TeamSpec};
    use sts_types::{AccountName, Located, TeamName};

    use super::*;

    fn account(name: &str, display_name: &str) -> AccountSpec {
        AccountSpec {
            name: Located::nowhere(AccountName::new(name).unwrap()),
            id: None,
            display_name: Some(display_name.to_owned()),
            enabled: true,
            teams: Vec::new(),
            grants: Vec::new(),
            default_api: None,
            ttl: None,
            not_before: None,
            not_after: None,
            require_proof: false,
            actors: Vec::new(),
            identities: Vec::new(),
        }
    }

    fn team(name: &str) -> TeamSpec {
        TeamSpec { name: Located::nowhere(TeamName::new(name).unwrap()), display_name: None, grants: Vec::new() }
    }

    #[test]
    fn a_file_shadows_the_managed_object_of_its_kind_and_name_alone() {
        let files = Objects {
            teams: vec![team("octo")],
            accounts: vec![account("bot", "file"), account("runner", "file")],
            ..Objects::default()
        };
        let managed = Objects {
            teams: vec![team("readers")],
            accounts: vec![account("bot", "managed"), account("octo", "managed")],
            ..Objects::default()
        };
        let mut report = Report::default();
        let merged = files_win(files, managed, &mut report);
        let accounts: Vec<_> =
            merged.accounts.iter().map(|own| (own.name.value.as_str(), own.display_name.as_deref())).collect();
        assert_eq!(accounts, [("bot", Some("file")), ("runner", Some("file")), ("octo", Some("managed"))]);
        let teams: Vec<_> = merged.teams.iter().map(|own| own.name.value.as_str()).collect();
        assert_eq!(teams, ["octo", "readers"]);
        let (findings, _) = report.finish();
        let found: Vec<_> = findings.iter().map(|own| (own.code, own.severity)).collect();
        assert_eq!(found, [(CheckCode::ShadowedObject, Severity::Warning)]);
        assert!(findings.render(false).contains("--> service-accounts/bot\n"), "{}", findings.render(false));
    }

    #[test]
    fn what_files_declare_twice_is_left_to_the_compiler() {
        let files = Objects { teams: vec![team("octo"), team("octo")], ..Objects::default() };
        let mut report = Report::default();
        assert_eq!(files_win(files, Objects::default(), &mut report).teams.len(), 2);
        assert!(report.finish().0.is_empty());
    }

    #[test]
    fn the_generation_is_of_both_sources() {
        let [one, other] = [Digest256([1; 32]), Digest256([2; 32])];
        assert_eq!(generation(one, None), "0101010101010101");
        let both = generation(one, Some(other));
        assert_eq!(both.len(), 16);
        for different in [generation(one, None), generation(other, Some(other)), generation(one, Some(one))] {
            assert_ne!(both, different);
        }
        assert_ne!(generation(one, Some(other)), generation(other, Some(one)));
    }
}
