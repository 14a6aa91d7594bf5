//! Newtypes of the domain. Each has one fallible constructor, so an invalid value cannot exist.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name of this kind. Never contains the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub &'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// [`NameError`] with the rule for such names.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// A copy with its own memory, for use after a large structure is dropped.
            #[must_use]
            pub fn detached(&self) -> Self {
                Self(Arc::from(&*self.0))
            }

            /// The text, byte for byte.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, in the memory of this name.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// An issuer identifier (`iss`), compared byte for byte (RFC 7519 section 4.1.1).
    Issuer, |text| bounded(text, 2048, "an issuer is 1 to 2,048 bytes without control characters")
}
name! {
    /// The subject of a foreign token (`sub`): 1 to 1,024 bytes without control characters. It has
    /// a meaning only together with its issuer.
    Subject, |text| bounded(text, 1024, "a subject is 1 to 1,024 bytes without control characters")
}
name! {
    /// One value of `aud`.
    Audience, |text| bounded(text, 2048, "an audience is 1 to 2,048 bytes without control characters")
}
name! {
    /// A token identifier (`jti`).
    Jti, |text| bounded(text, 1024, "a jti is 1 to 1,024 bytes without control characters")
}
name! {
    /// A key identifier (`kid`). It is opaque and never becomes part of a path or a store key.
    Kid, |text| bounded(text, 1024, "a kid is 1 to 1,024 bytes without control characters")
}
name! {
    /// The id of an API key: the part of the key that is no secret.
    ApiKeyId, |text| {
        let is_id = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_id { Ok(()) } else { Err(NameError("an API key's id is the 12 letters and digits after `sts_`")) }
    }
}
name! {
    /// The RFC 7638 thumbprint of a key that a token is bound to: SHA-256 in base64url.
    KeyThumbprint, |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() == 43 && text.bytes().all(fits) {
            Ok(())
        } else {
            Err(NameError("a key's thumbprint is 43 characters of base64url"))
        }
    }
}
name! {
    /// The name of an issuer entry in the configuration, the unit of trust.
    EntryName, |text| grammar(text, "an issuer entry's name is `[a-z0-9][a-z0-9._-]{0,62}`")
}
name! {
    /// The name of a directory that group memberships come from.
    DirectoryName, |text| grammar(text, "a directory's name is `[a-z0-9][a-z0-9._-]{0,62}`")
}
name! {
    /// A service account's username.
    AccountName, |text| grammar(text, "a service account's name is `[a-z0-9][a-z0-9._-]{0,62}`")
}
name! {
    /// A service account's id, used as `sub`. The default is the username. A lower-case UUID is
    /// also valid.
    AccountId, |text| grammar(text, "a service account's id is `[a-z0-9][a-z0-9._-]{0,62}`, or a lower-case UUID")
}
name! {
    /// The name of an API that tokens are minted for.
    ApiName, |text| grammar(text, "an API's name is `[a-z0-9][a-z0-9._-]{0,62}`")
}
name! {
    /// The name of a team.
    TeamName, |text| grammar(text, "a team's name is `[a-z0-9][a-z0-9._-]{0,62}`")
}
name! {
    /// The name of an OIDC identity within its account. Free text.
    IdentityName, |text| bounded(text, 256, "an identity's name is 1 to 256 bytes without control characters")
}
name! {
    /// One scope token (RFC 6749 section 3.3).
    Scope, |text| {
        let fits = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
        if !text.is_empty() && text.len() <= 256 && text.bytes().all(fits) {
            Ok(())
        } else {
            Err(NameError("a scope is 1 to 256 printable ASCII characters without spaces, `\"` and `\\`"))
        }
    }
}
name! {
    /// The identifier of a request to us, a ULID. It is not secret.
    RequestId, |text| {
        if text.len() == 26 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) {
            Ok(())
        } else {
            Err(NameError("a request id is a ULID: 26 digits and upper-case letters"))
        }
    }
}

impl AccountName {
    /// The id of an account that sets none: its username, in the same memory. Both have one grammar.
    #[must_use]
    pub fn as_id(&self) -> AccountId {
        AccountId(Arc::clone(&self.0))
    }
}

fn bounded(text: &str, max_bytes: usize, message: &'static str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > max_bytes || text.chars().any(char::is_control) {
        return Err(NameError(message));
    }
    Ok(())
}

/// The common grammar of account ids, usernames, and names of APIs, teams and entries.
fn grammar(text: &str, message: &'static str) -> Result<(), NameError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = text.bytes();
    let fits = bytes.next().is_some_and(plain)
        && text.len() <= 63
        && bytes.all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(NameError(message)) }
}

/// Whether `text` has the shape of a UUID (8-4-4-4-12 hexadecimal digits), in either case.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, b)| match index {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Scopes without duplicates, in the order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// Parses a space-delimited `scope` parameter (RFC 6749 section 3.3). Extra spaces are ignored.
    ///
    /// # Errors
    /// [`NameError`] if a part is not a scope token.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        text.split(' ').filter(|part| !part.is_empty()).map(Scope::new).collect()
    }

    /// Whether there is no scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `scope` is one of them.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|member| member.as_str() == scope)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Adds `scope` if it is missing.
    pub fn insert(&mut self, scope: Scope) {
        if !self.contains(scope.as_str()) {
            self.0.push(scope);
        }
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::default();
        scopes.into_iter().for_each(|scope| set.insert(scope));
        set
    }
}

/// Joined by single spaces, as in the `scope` claim.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_one_grammar() {
        for good in ["a", "octo-deploy", "0.x_y", &"a".repeat(63), "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11"] {
            assert!(AccountName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a:b", "a/b", "é", &"a".repeat(64)] {
            assert!(AccountName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_username_is_an_id_as_it_is() {
        let name = AccountName::new("octo-deploy").unwrap();
        assert_eq!(Ok(name.as_id()), AccountId::new(name.as_str()));
        assert!(Arc::ptr_eq(&name.as_id().shared(), &name.shared()));
        assert!(!Arc::ptr_eq(&name.detached().shared(), &name.shared()));
    }

    #[test]
    fn c048_a_subject_is_bounded_and_has_no_control_characters() {
        assert!(Subject::new(&"s".repeat(1024)).is_ok());
        assert!(Subject::new(&"s".repeat(1025)).is_err());
        for bad in ["", "a\n", "a\u{0}", "\u{85}"] {
            assert!(Subject::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn c081_scopes_have_no_duplicates_and_no_control_characters() {
        assert_eq!(ScopeSet::parse("b  a b").unwrap().to_string(), "b a");
        assert!(ScopeSet::parse("a \t").is_err());
        assert!(ScopeSet::parse("a\"b").is_err());
    }

    #[test]
    fn a_uuid_is_known_by_its_shape() {
        assert!(is_uuid("7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11"));
        assert!(is_uuid("7F1C2F0A-0C0E-4B6E-9D1E-2A5F1F4F9B11"));
        assert!(!is_uuid("7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b1"));
        assert!(!is_uuid("7f1c2f0a00c0e-4b6e-9d1e-2a5f1f4f9b11"));
    }
}
