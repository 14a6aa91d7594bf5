//! Where a configured value was written, so that an error can point there.

use std::hash::{Hash, Hasher};

/// An opaque index into the configuration's table of source spans. `Origin::NONE` marks values that
/// are not from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(pub u32);

impl Origin {
    /// Not from a file.
    pub const NONE: Self = Self(u32::MAX);
}

/// A value and its origin. Equality compares only the values.
#[derive(Clone, Copy, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// `value` as written at `origin`.
    pub const fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// `value`, not from a file.
    pub const fn nowhere(value: T) -> Self {
        Self { value, origin: Origin::NONE }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<T: Eq> Eq for Located<T> {}

impl<T: Hash> Hash for Located<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
