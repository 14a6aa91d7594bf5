//! The name that a service account has in a directory.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::sid::Sid;
use crate::spec::DirectoryKind;

/// The login of a service account in a directory: 1 to 256 bytes. Two logins are equal if they
/// differ in letter case only.
#[derive(Clone)]
pub struct Login {
    text: Arc<str>,
    key: Arc<str>,
}

/// Why a text is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Its length, or a control character in it.
    #[error("a login is 1 to 256 bytes without control characters and without spaces at its ends")]
    Form,
    /// `DOMAIN\name`, or another character that no `sAMAccountName` has.
    #[error(
        "a login in Active Directory is a userPrincipalName (`name@domain`), a sAMAccountName without its domain, or an objectSid"
    )]
    AccountName,
    /// It begins like a SID and is none.
    #[error("a login that begins with `S-1-` must be a whole SID")]
    Sid,
}

/// What a login is in Active Directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdLogin {
    UserPrincipalName,
    AccountName,
    Sid(Sid),
}

impl Login {
    /// Checks the form that logins have in every directory.
    ///
    /// # Errors
    /// [`LoginError::Form`]
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        if text.is_empty() || text.len() > 256 || text.trim() != text || text.chars().any(char::is_control) {
            return Err(LoginError::Form);
        }
        Ok(Self { text: text.into(), key: text.to_lowercase().into() })
    }

    /// Checks that an account in a directory of this kind can have this login.
    ///
    /// # Errors
    /// [`LoginError`] if Active Directory has no such logins.
    pub fn check(&self, kind: &DirectoryKind) -> Result<(), LoginError> {
        match kind {
            DirectoryKind::ActiveDirectory => self.in_active_directory().map(|_| ()),
            DirectoryKind::Ldap { .. } => Ok(()),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text in lower case: equal for equal logins.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn in_active_directory(&self) -> Result<AdLogin, LoginError> {
        if self.key.starts_with("s-1-") {
            return self.text.parse().map(AdLogin::Sid).map_err(|_| LoginError::Sid);
        }
        if self.text.contains('@') {
            return Ok(AdLogin::UserPrincipalName);
        }
        // The characters that Active Directory refuses in a sAMAccountName.
        if self.text.contains(['"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>']) {
            return Err(LoginError::AccountName);
        }
        Ok(AdLogin::AccountName)
    }
}

impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Login {}

impl Hash for Login {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl std::fmt::Display for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_that_differ_in_letter_case_are_one() {
        let login = |text| Login::parse(text).unwrap();
        assert_eq!(login("Svc-Build@Corp.Example.com"), login("svc-build@corp.example.com"));
        assert_eq!(login("MÜLLER"), login("müller"));
        assert_ne!(login("muller"), login("müller"));
    }

    #[test]
    fn active_directory_has_three_kinds_of_logins() {
        let kind = |text| Login::parse(text).unwrap().in_active_directory();
        assert_eq!(kind("a(b)*@corp"), Ok(AdLogin::UserPrincipalName));
        assert_eq!(kind("svc-build"), Ok(AdLogin::AccountName));
        assert_eq!(kind("S-1-5-32-545"), Ok(AdLogin::Sid("S-1-5-32-545".parse().unwrap())));
        assert_eq!(kind("s-1-5-x"), Err(LoginError::Sid));
        assert_eq!(kind(r"CORP\svc-build"), Err(LoginError::AccountName));
        assert_eq!(kind("svc*"), Err(LoginError::AccountName));
    }

    #[test]
    fn a_login_has_no_spaces_at_its_ends_and_no_control_characters() {
        for text in ["", " a", "a ", "a\n", "a\0b", &"a".repeat(257)] {
            assert_eq!(Login::parse(text).unwrap_err(), LoginError::Form, "{text:?}");
        }
    }
}
