//! What all pages have around them.

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

    /// Whether its page is served. Only then is it in the navigation.
    #[must_use]
    pub const fn is_served(self) -> bool {
        match self {
            Self::Overview => true,
            Self::ServiceAccounts => true,
            Self::Teams => true,
            Self::Apis => true,
            Self::Issuers => true,
            Self::Tokens => true,
            Self::Denials => true,
            Self::Audit => true,
            Self::SigningKeys => true,
        }
    }

    /// The sections of the navigation, in their order.
    pub fn navigation() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|section| section.is_served())
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
    /// What the request before did.
    pub notice: Option<String>,
}

impl Frame {
    /// The frame of a page of `session`.
    #[must_use]
    pub fn new(session: &Session, section: Section, notice: Option<String>) -> Self {
        Self {
            section,
            user: session.user.clone(),
            csrf: session.csrf.clone(),
            may_write: session.rights == Rights::Admin,
            notice,
        }
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
