//! Presets: what is known about the platforms that issue workload tokens. Each platform has a file
//! with the defaults of its issuer entries, its short rule, and the claims of a typical token.

mod audience;
mod auth0;
mod aws;
mod azure;
mod azure_devops;
mod bitbucket;
mod buildkite;
mod circleci;
mod domain;
mod fly;
mod forgejo;
mod github;
mod gitlab;
mod google;
mod harness;
mod host;
mod hosted;
mod issuer_fault;
mod jenkins;
mod keycloak;
mod known;
mod kubernetes;
mod octopus;
mod okta;
mod owner;
mod platform;
mod platforms;
mod shared;
mod spacelift;
mod spiffe;
mod suffix_list;
mod suggestion;
mod terraform;
mod vercel;

pub use issuer_fault::IssuerFault;
pub use known::KnownIssuer;
pub use platform::IssuerDefaults;
pub use platforms::Preset;

pub(crate) use audience::shared_audience;
pub(crate) use host::is_near_host;
pub(crate) use hosted::OpenToAnybody;
pub(crate) use issuer_fault::is_everybodys_tenant;
pub(crate) use owner::{OwnerGrammar, OwnerScope, OwnerText};
pub(crate) use platform::{MemberPath, ShortRule};
