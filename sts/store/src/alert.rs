//! What the operator must hear of: stored bytes that are not what was written.

/// Where alerts go; the composition root turns them into metrics and log events.
pub trait Alerts: Send + Sync + 'static {
    /// Takes one alert. It must not block: it is called on the read path.
    fn raise(&self, alert: Alert);
}

impl<F: Fn(Alert) + Send + Sync + 'static> Alerts for F {
    fn raise(&self, alert: Alert) {
        self(alert);
    }
}

/// A stored value that was treated as absent. It names no stored text: what is in a tampered store is not to be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// Where the value was.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What kind of value an [`Alert`] is about.
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
        }
    }
}

/// What is wrong with a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its seal is not ours: somebody wrote to the store, or the seal's key changed.
    Seal,
    /// It is not in the form that this version writes.
    Form,
    /// A newer version of `sts` wrote it.
    Newer,
    /// What was there is gone.
    Missing,
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
        };
        let why = match self.fault {
            Fault::Seal => "its seal is broken: somebody wrote to the store, or the seal's key was replaced",
            Fault::Form => "it is damaged",
            Fault::Newer => "a newer version of sts wrote it",
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
                "{what} in the store does not say which exchange took it, and stands all the same: {why}"
            );
        }
        write!(f, "{what} in the store is treated as absent: {why}")
    }
}
