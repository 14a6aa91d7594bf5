//! What all pages have around them.

use sts_types::ObjectKind;

use crate::{Rights, Session};

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// How the server does.
    Overview,
    /// Accounts with their identities and API keys.
    ServiceAccounts,
    /// Teams, which give their members grants.
    Teams,
    /// APIs that tokens are for.
    Apis,
    /// Issuers that are trusted.
    Issuers,
    /// Live tokens.
    Tokens,
    /// Refused requests.
    Denials,
    /// Who did what.
    Audit,
    /// The keys that sign tokens.
    SigningKeys,
}

impl Section {
    /// All sections in the order of the navigation.
    const ALL: [Self; 9] = [
        Self::Overview,
        Self::ServiceAccounts,
        Self::Teams,
        Self::Apis,
        Self::Issuers,
        Self::Tokens,
        Self::Denials,
        Self::Audit,
        Self::SigningKeys,
    ];

    /// The heading of its page, and its name in the navigation.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::ServiceAccounts => "Service accounts",
            Self::Teams => "Teams",
            Self::Apis => "APIs",
            Self::Issuers => "Issuers",
            Self::Tokens => "Tokens",
            Self::Denials => "Denials",
            Self::Audit => "Audit",
            Self::SigningKeys => "Signing keys",
        }
    }

    /// The path of its page.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console/",
            Self::ServiceAccounts => "/console/service-accounts",
            Self::Teams => "/console/teams",
            Self::Apis => "/console/apis",
            Self::Issuers => "/console/issuers",
            Self::Tokens => "/console/tokens",
            Self::Denials => "/console/denials",
            Self::Audit => "/console/audit",
            Self::SigningKeys => "/console/signing-keys",
        }
    }

    /// The sections of the navigation, in their order.
    pub fn navigation() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The kind of objects that its pages show.
    #[must_use]
    pub const fn kind(self) -> Option<ObjectKind> {
        match self {
            Self::ServiceAccounts => Some(ObjectKind::ServiceAccount),
            Self::Teams => Some(ObjectKind::Team),
            Self::Apis => Some(ObjectKind::Api),
            Self::Issuers => Some(ObjectKind::Issuer),
            Self::Overview | Self::Tokens | Self::Denials | Self::Audit | Self::SigningKeys => None,
        }
    }

    /// The section that has the page at `path`.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let is_below = |section: &Self| {
            path.strip_prefix(section.path()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        Self::ALL.into_iter().find(is_below).unwrap_or(Self::Overview)
    }
}

/// The session's part in a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The section that the page belongs to.
    pub section: Section,
    /// Who is signed in.
    pub user: String,
    /// The token of the session that forms send back.
    pub csrf: String,
    /// Whether the session may change anything. Forms of changes are left out otherwise.
    pub may_write: bool,
    /// Whether the section's objects are declared in files only, because `manage.kinds` does not name their kind.
    pub is_of_files: bool,
    /// What the request before did.
    pub notice: Option<String>,
}

impl Frame {
    /// The frame of a page of `session`. `managed` are the kinds of objects that can be changed here.
    #[must_use]
    pub fn new(session: &Session, section: Section, managed: &[ObjectKind], notice: Option<String>) -> Self {
        Self {
            section,
            user: session.user.clone(),
            csrf: session.csrf.clone(),
            may_write: session.rights == Rights::Admin,
            is_of_files: section.kind().is_some_and(|kind| !managed.contains(&kind)),
            notice,
        }
    }

    /// Whether the session may create and change objects of the section.
    #[must_use]
    pub fn may_edit(&self) -> bool {
        self.may_write && !self.is_of_files
    }

    /// The key of the section's objects in the configuration, for people who look for the way to change them here.
    #[must_use]
    pub fn unmanaged_kind(&self) -> Option<&'static str> {
        self.section.kind().filter(|_| self.may_write && self.is_of_files).map(ObjectKind::key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_belongs_to_the_section_that_its_path_begins_with() {
        for section in Section::ALL {
            assert_eq!(Section::of_path(section.path()), section);
            assert_eq!(
                Section::of_path(&format!("{}/x", section.path().trim_end_matches('/'))),
                match section {
                    Section::Overview => Section::Overview,
                    other => other,
                }
            );
        }
        assert_eq!(Section::of_path("/console/teamster"), Section::Overview);
    }
}
