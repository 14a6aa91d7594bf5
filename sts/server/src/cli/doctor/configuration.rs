//! Whether the configuration loads, and as much of one that does not as the other checks can use.

use std::path::Path;

use sts_config::{AdminAccess, Diagnostics, Settings, StoreAccess};
use sts_types::UnixTime;

use super::row::Row;
use crate::compile::{Compiled, Loaded};
use crate::reload::{environment, load, load_to_explain};

/// What is known of the configuration.
pub(super) enum Known {
    /// All of it.
    Whole(Box<Loaded>),
    /// It does not load. What could be read of the admin listener, and of the store.
    Partly { admin: Option<AdminAccess>, store: Option<Box<StoreAccess>> },
}

impl Known {
    /// The compiled configuration, if it loads.
    pub(super) fn compiled(&self) -> Option<&Compiled> {
        match self {
            Self::Whole(loaded) => Some(&loaded.compiled),
            Self::Partly { .. } => None,
        }
    }

    /// The settings of the store, and of everything else if the configuration loads.
    pub(super) fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Whole(loaded) => Some(&loaded.compiled.settings),
            Self::Partly { store, .. } => store.as_ref().map(|store| &store.settings),
        }
    }

    /// The admin listener.
    pub(super) fn admin(&self) -> Option<AdminAccess> {
        match self {
            Self::Whole(loaded) => {
                let Settings { admin, data_dir, .. } = &loaded.compiled.settings;
                let cert_file = admin.tls.as_ref().map(|files| files.cert_file.clone());
                Some(AdminAccess { listen: admin.listen, cert_file, data_dir: data_dir.clone() })
            }
            Self::Partly { admin, .. } => admin.clone(),
        }
    }
}

/// Loads the configuration at `path`.
pub(super) fn read(path: &Path, now: UnixTime) -> (Known, Vec<Row>) {
    let (check, subject) = ("configuration", path.display());
    match load(path, now) {
        Ok(loaded) => {
            let row = match loaded.warnings.iter().count() {
                0 => Row::ok(check, subject, "it loads"),
                count => {
                    let found = format!("it loads, with {count} warnings, which `sts check` shows");
                    Row::ok(check, subject, found)
                }
            };
            (Known::Whole(Box::new(loaded)), vec![row])
        }
        Err(findings) => {
            let cure = format!("run `sts check --config {subject}`, which shows every finding");
            let row = Row::fault(check, &subject, format!("it does not load{}", first(&findings)), cure);
            // Policy tests and patterns that refuse a load do not hide where everything is.
            let known =
                load_to_explain(path, now).map_or_else(|_| salvaged(path), |loaded| Known::Whole(loaded.into()));
            let mut rows = vec![row];
            if known.compiled().is_none() {
                rows.push(Row::warning(
                    check,
                    subject,
                    "issuers, certificates, directories and the public listener were not looked at",
                    "repair the configuration, and run `sts doctor` again",
                ));
            }
            (known, rows)
        }
    }
}

fn salvaged(path: &Path) -> Known {
    Known::Partly {
        admin: sts_config::admin_access(path, &environment).ok(),
        store: sts_config::store_access(path, &environment).ok().map(Box::new),
    }
}

fn first(findings: &Diagnostics) -> String {
    let first = findings.iter().find(|finding| finding.severity.refuses());
    first.map_or_else(String::new, |finding| format!(": {}", finding.message))
}
