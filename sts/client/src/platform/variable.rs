//! Platforms that put the token into a variable or a file.

use std::path::Path;

use zeroize::Zeroizing;

use super::required;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::source::read_file;

/// The variables that somebody set for this command.
pub(super) fn ours(environment: &Environment) -> Result<Option<Zeroizing<String>>, ClientError> {
    if let Some(token) = environment.secret("STS_ID_TOKEN") {
        return Ok(Some(token));
    }
    environment.get("STS_ID_TOKEN_FILE").map(|file| read_file(Path::new(file))).transpose()
}

/// A GitLab job names the variables of its tokens itself. We read `STS_ID_TOKEN`.
pub(super) fn gitlab(environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let help = "write `id_tokens: { STS_ID_TOKEN: { aud: <the server's URL> } }` in the job";
    environment.secret("STS_ID_TOKEN").ok_or_else(|| ClientError::Usage(format!("STS_ID_TOKEN is not set: {help}")))
}

pub(super) fn kubernetes(environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let help = "mount a projected `serviceAccountToken` with the server's URL as its audience, and name its file";
    read_file(Path::new(required("STS_ID_TOKEN_FILE", help, environment)?))
}

/// Bitbucket fixes the audience: the workspace's.
pub(super) fn bitbucket(environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let name = "BITBUCKET_STEP_OIDC_TOKEN";
    environment
        .secret(name)
        .ok_or_else(|| ClientError::Usage(format!("{name} is not set: write `oidc: true` in the step")))
}

/// HCP Terraform fixes the audience by a variable of the workspace.
pub(super) fn terraform(environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let name = "TFC_WORKLOAD_IDENTITY_TOKEN";
    environment.secret(name).ok_or_else(|| {
        ClientError::Usage(format!(
            "{name} is not set: set the workspace's environment variable TFC_WORKLOAD_IDENTITY_AUDIENCE to the server's URL"
        ))
    })
}

/// The token in the file that a variable of the platform names.
pub(super) fn file(name: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let help = "the pod's service account has no identity of this cloud, or its webhook did not run";
    read_file(Path::new(required(name, help, environment)?))
}
