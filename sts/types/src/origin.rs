//! Where a configured value was written, so that an error can point there: a place in a file, or a
//! member of a managed object.

use std::fmt;
use std::hash::{Hash, Hasher};

/// An opaque index into the configuration's table of places in files and in managed objects.
/// `Origin::NONE` marks values that nobody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(pub u32);

impl Origin {
    /// Written by nobody, such as a default.
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

    /// `value`, which nobody wrote.
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

/// A kind of object that rules are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ObjectKind {
    /// An issuer entry.
    #[serde(rename = "issuers")]
    Issuer,
    /// An API.
    #[serde(rename = "apis")]
    Api,
    /// A team.
    #[serde(rename = "teams")]
    Team,
    /// A service account.
    #[serde(rename = "service-accounts")]
    ServiceAccount,
}

impl ObjectKind {
    /// Every kind. An object refers only to objects of kinds before its own.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::Api, Self::Team, Self::ServiceAccount];

    /// The key of the configuration under which files declare such objects.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Issuer => "issuers",
            Self::Api => "apis",
            Self::Team => "teams",
            Self::ServiceAccount => "service_accounts",
        }
    }

    /// The kind that paths name so.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// One object of the kind, in words.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Issuer => "issuer entry",
            Self::Api => "API",
            Self::Team => "team",
            Self::ServiceAccount => "service account",
        }
    }

    /// The kind as paths name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuers",
            Self::Api => "apis",
            Self::Team => "teams",
            Self::ServiceAccount => "service-accounts",
        }
    }
}

/// An object, by its kind and name. Displays as `service-accounts/bot`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// A member of an object. Displays as `service-accounts/bot: /identities/0/subject`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectPointer {
    /// The object.
    pub object: ObjectRef,
    /// The member of its `spec`.
    pub pointer: JsonPointer,
}

impl fmt::Display for ObjectPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => self.object.fmt(f),
            pointer => write!(f, "{}: {pointer}", self.object),
        }
    }
}

/// A JSON pointer (RFC 6901). The default points to the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JsonPointer(String);

impl JsonPointer {
    /// The pointer to the member `name` of what this one points to.
    #[must_use]
    pub fn member(mut self, name: &str) -> Self {
        self.0.push('/');
        self.0.push_str(&name.replace('~', "~0").replace('/', "~1"));
        self
    }

    /// The pointer to the element at `index` of what this one points to.
    #[must_use]
    pub fn item(self, index: usize) -> Self {
        self.member(&index.to_string())
    }

    /// The text of the pointer.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_the_member_that_it_was_made_for() {
        let document = serde_json::json!({ "claims": { "a/b": { "~": ["x", "y"] } } });
        let pointer = JsonPointer::default().member("claims").member("a/b").member("~").item(1);
        assert_eq!(pointer.as_str(), "/claims/a~1b/~0/1");
        assert_eq!(document.pointer(pointer.as_str()), Some(&"y".into()));
        assert_eq!(document.pointer(JsonPointer::default().as_str()), Some(&document));
    }

    #[test]
    fn a_kind_is_one_name_in_paths_and_in_json() {
        for kind in ObjectKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(ObjectKind::of(kind.name()), Some(kind));
        }
        assert_eq!(ObjectKind::of("service_accounts"), None);
    }

    #[test]
    fn an_object_is_shown_as_its_path_names_it() {
        let object = ObjectRef { kind: ObjectKind::ServiceAccount, name: "bot".to_owned() };
        let whole = ObjectPointer { object, pointer: JsonPointer::default() };
        assert_eq!(whole.to_string(), "service-accounts/bot");
        let subject = ObjectPointer { pointer: JsonPointer::default().member("subject"), ..whole };
        assert_eq!(subject.to_string(), "service-accounts/bot: /subject");
    }
}
