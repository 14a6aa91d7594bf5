//! An entry of a configuration that is still being checked. It takes effect only if the whole
//! configuration is valid.

use std::sync::Arc;

use sts_types::CheckCode;

use crate::entry::Entry;
use crate::entry_ref::LogKey;
use crate::fetch::FetchContext;
use crate::history_log::{HistoryLog, Recorder};
use crate::static_keys::{self, FileMark};
use crate::validate::{self, EntryError};
use crate::{EntryKeys, EntrySpec, KeySource, last_good};

/// An entry whose configuration is being checked. Nothing that others see has changed yet.
pub(crate) struct Draft {
    pub(crate) entry: Arc<Entry>,
    /// Content of the key file or of the inline set. Installed once the whole configuration is
    /// valid.
    read: Option<(EntryKeys, Option<FileMark>)>,
}

impl Draft {
    /// Reads the files that the spec names. `kept` is the entry of the running configuration if its
    /// spec is the same. Blocks.
    pub(crate) fn new(
        spec: EntrySpec,
        kept: Option<Arc<Entry>>,
        context: &FetchContext,
        log: &Arc<HistoryLog>,
    ) -> Result<Self, EntryError> {
        let clock = &*context.environment.clock;
        let name = spec.name.clone();
        let read = match &spec.source {
            KeySource::File(path) => {
                let (mark, read) = static_keys::read_file(path, &spec.algorithms, None);
                let set = read.map_err(|error| {
                    EntryError::new(
                        CheckCode::InvalidKeySet,
                        &name,
                        error.to_string(),
                        "`jwks_file` is a JWK set: `{\"keys\": [...]}` with public keys",
                    )
                })?;
                set.map(|set| (EntryKeys::new(set.into(), clock.now(), None), mark))
            }
            KeySource::Inline(jwks) => {
                let set = static_keys::inline(jwks, &spec.algorithms).map_err(|fault| {
                    EntryError::new(
                        CheckCode::InvalidKeySet,
                        &name,
                        format!("`jwks`: {fault}"),
                        "write a JWK set: `{\"keys\": [...]}` with public keys",
                    )
                })?;
                Some((EntryKeys::new(set.into(), clock.now(), None), None))
            }
            KeySource::Discovery | KeySource::Url(_) => None,
        };
        let entry = kept.unwrap_or_else(|| {
            let keys = match (&context.environment.state_dir, &spec.source) {
                (Some(dir), KeySource::Discovery | KeySource::Url(_)) => last_good::load(dir, &spec, clock),
                _ => None,
            };
            let recorder = Recorder::new(Arc::clone(log), LogKey::entry(spec.name.clone()));
            Arc::new(Entry::new(spec, keys, recorder, clock.now(), true))
        });
        Ok(Self { entry, read })
    }

    /// Installs what was read.
    pub(crate) fn settle(self) -> Arc<Entry> {
        if let Some((keys, mark)) = self.read {
            self.entry.put(keys, mark);
        }
        self.entry
    }
}

/// Errors for static keys that two entries of one issuer share: a signature could not tell the
/// entries apart.
pub(crate) fn shared_static_keys(drafts: &[Draft]) -> Vec<EntryError> {
    let with_keys = drafts.iter().filter(|draft| draft.read.is_some());
    let mut errors = Vec::new();
    for group in validate::shared(with_keys, |draft| &draft.entry.spec.issuer).values() {
        for (index, draft) in group.iter().enumerate() {
            let Some((keys, _)) = &draft.read else { continue };
            for other in group.iter().skip(index + 1) {
                let Some((other_keys, _)) = &other.read else { continue };
                if let Some(key) = keys.set().keys.iter().find(|key| other_keys.set().holds(key.thumbprint())) {
                    errors.push(EntryError::new(
                        CheckCode::SharedKey,
                        &draft.entry.spec.name,
                        format!(
                            "it holds a key of `{}`, which has the same issuer (thumbprint {})",
                            other.entry.spec.name,
                            key.thumbprint()
                        ),
                        "entries of one issuer are told apart by their keys; leave that key out of one of them",
                    ));
                }
            }
        }
    }
    errors
}
