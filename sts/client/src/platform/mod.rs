//! Where the ID token comes from: one file a kind of platform.

mod aws;
mod azure;
mod command;
mod github;
mod google;
mod sigv4;
mod variable;

use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::arguments::TokenArgs;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::source::read_file;

/// The end of the commands' help.
pub const FINDING_THE_TOKEN: &str = "\
The ID token comes from the first of these that is there: --token-file; --platform; the variable STS_ID_TOKEN (a GitLab job's \
`id_tokens:`); the file that STS_ID_TOKEN_FILE names (a pod's projected token); the platform that the environment shows: GitHub \
Actions (with `id-token: write`), Azure Pipelines, Bitbucket (with `oidc: true`), Buildkite, CircleCI, HCP Terraform, AWS (IRSA, or \
credentials that may call GetWebIdentityToken), Azure (workload identity, or a managed identity), Google Cloud, SPIFFE.";

/// The platforms that an ID token can be had from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    /// A GitHub Actions job with `id-token: write`
    #[value(alias = "github")]
    GithubActions,
    /// A GitLab job with `id_tokens: { STS_ID_TOKEN: ... }`
    Gitlab,
    /// A Bitbucket Pipelines step with `oidc: true`
    #[value(alias = "bitbucket-pipelines")]
    Bitbucket,
    /// A CircleCI job in a context
    Circleci,
    /// A Buildkite job
    Buildkite,
    /// An Azure Pipelines job; a service connection's token with AZURESUBSCRIPTION_SERVICE_CONNECTION_ID
    #[value(alias = "azure-devops")]
    AzurePipelines,
    /// A run of HCP Terraform or Terraform Enterprise
    TerraformCloud,
    /// A pod with a projected token, in the file of STS_ID_TOKEN_FILE
    Kubernetes,
    /// Google Cloud's metadata server
    #[value(alias = "gcp")]
    Google,
    /// An Azure managed identity: a virtual machine, App Service, Functions, Container Apps
    #[value(alias = "azure-managed-identity")]
    Azure,
    /// Azure workload identity on Kubernetes
    AzureWorkloadIdentity,
    /// AWS: GetWebIdentityToken, with the credentials of this job, container or machine
    Aws,
    /// IAM roles for service accounts on EKS
    #[value(alias = "irsa")]
    AwsIrsa,
    /// A JWT-SVID: the file of STS_ID_TOKEN_FILE, or from the Workload API by `spire-agent`
    Spiffe,
}

/// The ID token.
///
/// # Errors
/// `Usage` if nothing tells where to get one, or what the platform needs is not set.
pub(crate) async fn id_token(args: &TokenArgs, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    if let Some(file) = &args.token_file {
        return read_file(file);
    }
    match args.platform {
        Some(platform) => platform.id_token(args, environment).await,
        None => found(args, environment).await,
    }
}

/// The token of the platform that the environment shows. What somebody set for us comes first.
async fn found(args: &TokenArgs, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    if let Some(token) = variable::ours(environment)? {
        return Ok(token);
    }
    let Some(platform) = Platform::of(environment, &System) else {
        return Err(ClientError::Usage(
            "found no ID token: give --token-file or --platform, run in a job that its platform gives one (GitHub Actions: \
             `permissions: { id-token: write }`), or set STS_ID_TOKEN or STS_ID_TOKEN_FILE"
                .to_owned(),
        ));
    };
    platform.id_token(args, environment).await
}

/// What of a machine shows its cloud.
trait Machine {
    /// A value of the firmware's tables (DMI), as Linux shows it.
    fn firmware(&self, name: &str) -> Option<String>;
}

struct System;

impl Machine for System {
    fn firmware(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/sys/class/dmi/id/{name}")).ok()
    }
}

impl Platform {
    /// The platform that leaves its traces here. CI systems first: their jobs may run on a cloud's
    /// machine, whose identity is not the job's.
    fn of(environment: &Environment, machine: &impl Machine) -> Option<Self> {
        const TRACES: [(&str, Platform); 14] = [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", Platform::GithubActions),
            ("GITLAB_CI", Platform::Gitlab),
            ("SYSTEM_OIDCREQUESTURI", Platform::AzurePipelines),
            ("BITBUCKET_STEP_OIDC_TOKEN", Platform::Bitbucket),
            ("BUILDKITE_JOB_ID", Platform::Buildkite),
            ("CIRCLECI", Platform::Circleci),
            ("TFC_WORKLOAD_IDENTITY_TOKEN", Platform::TerraformCloud),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", Platform::AwsIrsa),
            ("AZURE_FEDERATED_TOKEN_FILE", Platform::AzureWorkloadIdentity),
            ("SPIFFE_ENDPOINT_SOCKET", Platform::Spiffe),
            ("IDENTITY_ENDPOINT", Platform::Azure),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Platform::Aws),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Platform::Aws),
            ("K_SERVICE", Platform::Google),
        ];
        let more = [("GCE_METADATA_HOST", Self::Google), ("AWS_ACCESS_KEY_ID", Self::Aws)];
        let is_set = |(name, _): &&(&str, Self)| environment.get(name).is_some();
        TRACES.iter().chain(&more).find(is_set).map(|(_, platform)| *platform).or_else(|| Self::of_machine(machine))
    }

    /// The cloud that the machine says it is in.
    fn of_machine(machine: &impl Machine) -> Option<Self> {
        let has = |name, text: &str| machine.firmware(name).is_some_and(|value| value.trim().starts_with(text));
        if has("product_name", "Google") {
            Some(Self::Google)
        } else if has("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77") {
            // The tag that each of Azure's machines has.
            Some(Self::Azure)
        } else if has("sys_vendor", "Amazon EC2") {
            Some(Self::Aws)
        } else {
            None
        }
    }

    async fn id_token(self, args: &TokenArgs, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
        let audience = args.id_token_audience();
        match self {
            Self::GithubActions => github::id_token(audience, environment).await,
            Self::Gitlab => variable::gitlab(environment),
            Self::Bitbucket => variable::bitbucket(environment),
            Self::TerraformCloud => variable::terraform(environment),
            Self::Kubernetes => variable::kubernetes(environment),
            Self::AwsIrsa => variable::file("AWS_WEB_IDENTITY_TOKEN_FILE", environment),
            Self::AzureWorkloadIdentity => variable::file("AZURE_FEDERATED_TOKEN_FILE", environment),
            Self::Buildkite => command::buildkite(audience).await,
            Self::Circleci => command::circleci(args, environment).await,
            Self::Spiffe => command::spiffe(audience, environment).await,
            Self::AzurePipelines => azure::pipelines(environment).await,
            Self::Azure => azure::managed_identity(audience, environment).await,
            Self::Google => google::id_token(audience, environment).await,
            Self::Aws => aws::id_token(audience, environment).await,
        }
    }
}

/// A variable that the platform sets in each job that may have a token.
fn required<'a>(name: &str, help: &str, environment: &'a Environment) -> Result<&'a str, ClientError> {
    environment.get(name).ok_or_else(|| ClientError::Usage(format!("{name} is not set: {help}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Firmware(&'static str, &'static str);

    impl Machine for Firmware {
        fn firmware(&self, name: &str) -> Option<String> {
            (name == self.0).then(|| self.1.to_owned())
        }
    }

    #[test]
    fn a_job_of_a_ci_system_on_a_clouds_machine_is_the_ci_systems() {
        let google = Firmware("product_name", "Google Compute Engine\n");
        for (name, platform) in [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", Platform::GithubActions),
            ("GITLAB_CI", Platform::Gitlab),
            ("CIRCLECI", Platform::Circleci),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", Platform::AwsIrsa),
        ] {
            let environment = Environment::from([(name, "x"), ("AWS_ACCESS_KEY_ID", "x")]);
            assert_eq!(Platform::of(&environment, &google), Some(platform));
        }
        assert_eq!(Platform::of(&Environment::from([]), &google), Some(Platform::Google));
    }

    #[test]
    fn a_machine_shows_its_cloud_and_any_other_none() {
        let none = Environment::from([]);
        let azure = Firmware("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
        assert_eq!(Platform::of(&none, &azure), Some(Platform::Azure));
        assert_eq!(Platform::of(&none, &Firmware("sys_vendor", "Amazon EC2\n")), Some(Platform::Aws));
        assert_eq!(Platform::of(&none, &Firmware("sys_vendor", "QEMU\n")), None);
        assert_eq!(
            Platform::of(&Environment::from([("GITLAB_CI", "")]), &Firmware("", "")),
            None,
            "an empty variable is not set"
        );
    }
}
