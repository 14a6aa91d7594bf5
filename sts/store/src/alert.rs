//! Alerts about stored values that were altered or are missing.

/// Receives alerts. The server turns them into metrics and log events.
pub trait Alerts: Send + Sync + 'static {
    /// Takes one alert. It is called on the read path, so it must not block.
    fn raise(&self, alert: Alert);
}

impl<F: Fn(Alert) + Send + Sync + 'static> Alerts for F {
    fn raise(&self, alert: Alert) {
        self(alert);
    }
}

/// A stored value that was treated as absent. It contains no stored text, because an attacker may
/// have written that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// Where the value was.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The record of a token.
    Record,
    /// The revocation of one token.
    Revocation,
    /// A revocation rule.
    Rule,
    /// The epoch of a store.
    Epoch,
    /// A remembered refusal.
    Refusal,
    /// The claim on a one-use token.
    Claim,
    /// A managed object.
    Object,
    /// A session of the console.
    Session,
    /// The file of an embedded store.
    File,
}

impl Place {
    /// A short stable name, for metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Revocation => "revocation",
            Self::Rule => "rule",
            Self::Epoch => "epoch",
            Self::Refusal => "refusal",
            Self::Claim => "claim",
            Self::Object => "object",
            Self::Session => "session",
            Self::File => "file",
        }
    }
}

/// What is wrong with a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its seal is wrong: somebody wrote to the store, or the seal's key changed.
    Seal,
    /// Its form is not the one that this version writes.
    Form,
    /// A newer version of `sts` wrote it.
    Newer,
    /// The value is gone.
    Missing,
    /// Another one took its place while it was in use.
    Replaced,
}

impl Fault {
    /// A short stable name, for metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Form => "form",
            Self::Newer => "newer",
            Self::Missing => "missing",
            Self::Replaced => "replaced",
        }
    }
}

impl std::fmt::Display for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.place {
            Place::Record => "a token's record",
            Place::Revocation => "a token's revocation",
            Place::Rule => "a revocation rule",
            Place::Epoch => "the epoch",
            Place::Refusal => "a remembered refusal",
            Place::Claim => "the claim on a one-use token",
            Place::Object => "a managed object",
            Place::Session => "a console session",
            Place::File => "the file",
        };
        let why = match self.fault {
            Fault::Seal => "its seal is broken: somebody wrote to the store, or the seal's key was replaced",
            Fault::Form => "it is damaged",
            Fault::Newer => "a newer version of sts wrote it",
            Fault::Replaced => {
                return write!(
                    f,
                    "{what} of the store was replaced while it was in use: it is used only if it is an exact copy"
                );
            }
            Fault::Missing => {
                return write!(
                    f,
                    "{what} is missing from the store: somebody deleted it, or the store is an older copy or was emptied"
                );
            }
        };
        if self.place == Place::Claim {
            return write!(
                f,
                "{what} in the store does not say which exchange took it; it still counts as used: {why}"
            );
        }
        write!(f, "{what} in the store is treated as absent: {why}")
    }
}
