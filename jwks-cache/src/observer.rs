//! Tells an observer when the keys of an entry change.

use sts_types::{EntryName, Issuer};

use crate::history::{KeySeen, SeenFrom};

/// Takes note of changed keys.
pub trait KeyObserver: Send + Sync + 'static {
    /// An entry has other keys than before. Called while the new set takes effect, so it must not
    /// block.
    fn keys_changed(&self, change: KeysChanged);
}

/// The difference between two key sets of an entry. The first set that an entry ever had is no
/// change. Neither is a set of a family member before one of its keys has verified a token: until
/// then, anybody may have made the issuer up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysChanged {
    /// The entry.
    pub entry: EntryName,
    /// The issuer, if the entry is a family.
    pub member: Option<Issuer>,
    /// Why the keys were read.
    pub cause: KeyChangeCause,
    /// Where the new set is from.
    pub source: SeenFrom,
    /// The keys that only the new set has.
    pub added: Vec<KeySeen>,
    /// The keys that only the former set had.
    pub removed: Vec<KeySeen>,
}

/// Why keys were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChangeCause {
    /// The configuration was loaded.
    Configuration,
    /// The server started with the copy on disk.
    Restart,
    /// There was no usable set.
    Load,
    /// A token named an unknown key.
    UnknownKey,
    /// A refresh was due.
    Refresh,
    /// An operator asked for it.
    Operator,
}

impl KeyChangeCause {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Restart => "restart",
            Self::Load => "load",
            Self::UnknownKey => "unknown_key",
            Self::Refresh => "refresh",
            Self::Operator => "operator",
        }
    }
}

impl KeysChanged {
    /// The change from `former` to `keys`, if there is one.
    pub(crate) fn between(former: &[KeySeen], keys: &[KeySeen]) -> Option<(Vec<KeySeen>, Vec<KeySeen>)> {
        let only = |these: &[KeySeen], others: &[KeySeen]| -> Vec<KeySeen> {
            these.iter().filter(|key| !others.contains(key)).cloned().collect()
        };
        let (added, removed) = (only(keys, former), only(former, keys));
        (!added.is_empty() || !removed.is_empty()).then_some((added, removed))
    }
}
