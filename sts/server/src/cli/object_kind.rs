//! The kinds of objects as arguments name them.

use sts_types::{ObjectKind, nearest};

/// Names beside those of paths: those of the configuration, one object, and short ones.
const NAMES: &[(&str, ObjectKind)] = &[
    ("service-accounts", ObjectKind::ServiceAccount),
    ("service_accounts", ObjectKind::ServiceAccount),
    ("service-account", ObjectKind::ServiceAccount),
    ("service_account", ObjectKind::ServiceAccount),
    ("accounts", ObjectKind::ServiceAccount),
    ("account", ObjectKind::ServiceAccount),
    ("teams", ObjectKind::Team),
    ("team", ObjectKind::Team),
    ("apis", ObjectKind::Api),
    ("api", ObjectKind::Api),
    ("issuers", ObjectKind::Issuer),
    ("issuer", ObjectKind::Issuer),
];

/// The kind that an argument names.
pub(super) fn kind(text: &str) -> Result<ObjectKind, String> {
    if let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*kind);
    }
    let known = || ObjectKind::ALL.iter().rev().map(|kind| kind.name());
    Err(match nearest(text, NAMES.iter().map(|(name, _)| *name)) {
        Some(near) => format!("there is no such kind; did you mean `{near}`?"),
        None => format!("there is no such kind; there are {}", known().collect::<Vec<_>>().join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_names_and_a_misspelt_one_the_nearest() {
        for kind_of in ObjectKind::ALL {
            assert_eq!(kind(kind_of.name()), Ok(kind_of));
            assert_eq!(kind(kind_of.key()), Ok(kind_of));
        }
        assert_eq!(kind("team"), Ok(ObjectKind::Team));
        assert!(kind("service-acounts").unwrap_err().contains("`service-accounts`"));
        assert!(kind("keys-of-sts").unwrap_err().contains("teams, apis, issuers"));
    }
}
