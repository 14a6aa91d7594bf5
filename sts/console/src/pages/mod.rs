//! The pages: what the admin API answered, as HTML. Nothing here sends a request.

mod denials;
mod frame;
mod pieces;
mod service_accounts;
mod signing_keys;
#[cfg(test)]
mod tests;

pub use denials::{DenialView, Denials};
pub use frame::{Frame, Section};
pub use pieces::{Badge, Field, FieldFinding, ProblemView, Tone};
pub use service_accounts::{AccountForm, ApiKeyIssued, NewServiceAccount, ServiceAccount, ServiceAccounts};
pub use signing_keys::SigningKeysPage;
