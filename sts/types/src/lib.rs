//! Domain types that all crates of `sts` share: names, time, randomness, seals, and
//! terms of the RFCs. Nothing here does I/O, except what every reader of secrets and writer of
//! files needs: [`read_secret_file`], [`replace_file`] and [`give_to_owner_of`].

mod api_key;
mod atomic_file;
mod check_code;
mod entropy;
mod file_owner;
mod hidden_char;
mod ip_network;
mod issuer_template;
mod issuers;
mod names;
mod nearest;
mod origin;
mod proof;
mod record;
pub mod rfc;
mod seal;
mod secret_file;
mod shown_path;
mod status;
mod time;

pub use api_key::ApiKey;
pub use atomic_file::{Durability, NewFileOwner, create_file, replace_file};
pub use check_code::CheckCode;
pub use entropy::Entropy;
pub use file_owner::{create_folder, give_to_owner_of};
pub use hidden_char::{HiddenChar, hidden_char, is_invisible, one_line, visible};
pub use ip_network::IpNetwork;
pub use issuer_template::{IssuerTemplate, TemplateError, VariableSpec};
pub use issuers::Issuers;
pub use names::{
    AccountId, AccountName, ApiKeyId, ApiName, Audience, DirectoryName, EntryName, IdentityName, Issuer, Jti,
    KeyThumbprint, Kid, NameError, RequestId, Scope, ScopeSet, Subject, TeamName, is_uuid,
};
pub use nearest::nearest;
pub use origin::{JsonPointer, Located, ObjectKind, ObjectPointer, ObjectRef, Origin};
pub use proof::{Actor, ApiKeyProof, FederatedProof, OwnProof, Proof, RootProof};
pub use record::{NamedGroup, ReplayClaim, TokenRecord};
pub use seal::{Digest256, Seal, from_hex, hex};
pub use secret_file::{GroupAccess, SecretFile, SecretFileError, SecretOwner, check_private_folder, read_secret_file};
pub use shown_path::{HIDDEN_PATH, looks_like_path, shown_path};
pub use status::{STATUS_LIST_LENGTH, StatusListId, StatusListIdError, StatusWindow};
pub use time::{Clock, Lifetime, UnixTime, rfc3339_millis};

/// A supported signature algorithm. The list is closed on purpose: `none`, HMAC and any other
/// algorithm have no variant (RFC 7518 section 3.1, RFC 8037, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the registered names")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// Every algorithm, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name in a JOSE header. EdDSA always means Ed25519 here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm with exactly this name. `Ed25519` (RFC 9864) is a synonym of EdDSA.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
