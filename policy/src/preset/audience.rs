//! Audiences that many services and tenants share.

/// The service that an audience of an incoming token belongs to, if it is a well-known one.
pub(crate) fn shared_audience(audience: &str) -> Option<&'static str> {
    const EXACT: [(&str, &str); 21] = [
        (
            "32555940559.apps.googleusercontent.com",
            "the gcloud command line, which sends its own without `--audiences`",
        ),
        ("00000003-0000-0000-c000-000000000000", "Microsoft Graph"),
        ("00000002-0000-0000-c000-000000000000", "Azure AD Graph"),
        ("sts.amazonaws.com", "AWS STS"),
        ("api://AzureADTokenExchange", "Microsoft Entra"),
        ("api://AzureADTokenExchangeUSGov", "Microsoft Entra"),
        ("api://AzureADTokenExchangeChina", "Microsoft Entra"),
        ("https://management.azure.com/", "Azure Resource Manager"),
        ("https://management.azure.com", "Azure Resource Manager"),
        ("https://management.core.windows.net/", "Azure Resource Manager"),
        ("https://graph.microsoft.com", "Microsoft Graph"),
        ("https://vault.azure.net", "Azure Key Vault"),
        ("https://gitlab.com", "GitLab"),
        ("https://kubernetes.default.svc", "the Kubernetes API server"),
        ("https://kubernetes.default.svc.cluster.local", "the Kubernetes API server"),
        ("kubernetes.default.svc", "the Kubernetes API server"),
        ("aws.workload.identity", "HCP Terraform's AWS provider"),
        ("hcp.workload.identity", "HCP Terraform"),
        ("api://default", "Octopus Deploy and Okta, by default"),
        ("account", "Keycloak's account console"),
        ("sigstore", "Sigstore"),
    ];
    const BEGINNINGS: [(&str, &str); 8] = [
        ("https://github.com/", "GitHub"),
        ("//iam.googleapis.com/", "Google's workload identity federation"),
        ("https://iam.googleapis.com/", "Google's workload identity federation"),
        ("https://container.googleapis.com/", "the API server of a GKE cluster"),
        ("https://buildkite.com/", "Buildkite"),
        ("https://vercel.com/", "Vercel"),
        ("https://fly.io/", "Fly.io"),
        ("ari:cloud:bitbucket::workspace/", "Bitbucket"),
    ];
    let exact = EXACT.into_iter().find(|(known, _)| *known == audience);
    let begins = || BEGINNINGS.into_iter().find(|(prefix, _)| audience.starts_with(prefix));
    exact.or_else(begins).map(|(_, service)| service)
}
