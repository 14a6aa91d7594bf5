//! Where a configured value was written, so that whoever judges it can point there.

use std::hash::{Hash, Hasher};

/// An opaque index into the configuration's table of source spans; `Origin::NONE` for values that no file wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(pub u32);

impl Origin {
    /// Not from a file.
    pub const NONE: Self = Self(u32::MAX);
}

/// A value and where it was written. Equality is that of the values.
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

    /// `value`, from no file.
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
