//! What all pages have around them.

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Accounts with their identities and API keys.
    ServiceAccounts,
    /// Refused requests.
    Denials,
    /// The keys that sign tokens.
    SigningKeys,
}

impl Section {
    /// The sections in the order of the navigation.
    pub const ALL: [Self; 3] = [Self::ServiceAccounts, Self::Denials, Self::SigningKeys];

    /// The heading of its page, and its name in the navigation.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::ServiceAccounts => "Service accounts",
            Self::Denials => "Denials",
            Self::SigningKeys => "Signing keys",
        }
    }

    /// The path of its page.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ServiceAccounts => "/console/service-accounts",
            Self::Denials => "/console/denials",
            Self::SigningKeys => "/console/signing-keys",
        }
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
