//! Rules with a draft of one account, which nobody puts in force.

use std::collections::HashSet;
use std::sync::Arc;

use sts_config::{ObjectSource, decode_again};
use sts_policy::RuleSet;
use sts_service::manage::ObjectFinding;
use sts_store::{ObjectKey, ObjectKind};
use sts_types::ObjectRef;

use super::incremental::compile_beside;
use super::{RuleBase, declared_source, source};

impl RuleBase {
    /// The rules in force, with `spec` as the document of the account `name`, wherever that is declared. Policy tests do not run:
    /// the question is what the draft would decide.
    ///
    /// # Errors
    /// Every finding about the account, if one refuses it.
    pub(crate) fn draft(&self, name: &str, spec: &str) -> Result<Arc<RuleSet>, Vec<ObjectFinding>> {
        let (base, rules, managed) = {
            let in_force = self.in_force();
            (Arc::clone(&in_force.base), Arc::clone(&in_force.compiled.rules), Arc::clone(&in_force.managed))
        };
        let is_team = |key: &&ObjectKey| key.kind == ObjectKind::Teams;
        let declared = base.declared.iter().filter(|(key, _)| is_team(key));
        let stored = managed.iter().filter(|(key, _)| is_team(key) && !base.declared.contains_key(*key));
        let mut sources: Vec<ObjectSource> = declared.filter_map(|(key, own)| declared_source(key, own)).collect();
        sources.extend(stored.filter_map(|(key, own)| source(key, own)));
        let object = ObjectRef { kind: sts_types::ObjectKind::ServiceAccount, name: name.to_owned() };
        sources.push(ObjectSource { object, spec: spec.into(), file: None });
        let (recoded, report) = decode_again(&base.beside.context, &sources);
        let (rules, _) = compile_beside(&rules, recoded, &HashSet::new(), report)?;
        Ok(Arc::new(rules))
    }

    /// Asks something of the configuration in force.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&crate::compile::Compiled) -> T) -> T {
        question(&self.in_force().compiled)
    }
}
