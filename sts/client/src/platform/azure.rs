//! Azure: managed identities, and jobs of Azure Pipelines.

use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::required;
use crate::environment::Environment;
use crate::error::{ClientError, Retry};
use crate::http::{client, json as read_json, link_client, retry, secure_url, unreachable};

/// A token of the managed identity. `audience` is the application id URI of a resource in the tenant.
pub(super) async fn managed_identity(
    audience: &str,
    environment: &Environment,
) -> Result<Zeroizing<String>, ClientError> {
    match environment.get("IDENTITY_ENDPOINT") {
        Some(endpoint) => app_service(endpoint, audience, environment).await,
        None => instance_metadata(audience, environment).await,
    }
}

/// A virtual machine
/// (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http>).
async fn instance_metadata(audience: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    // Azure's own libraries take another host from this variable.
    let host = environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
    let url = parse(
        &format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/')),
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    )?;
    let request =
        link_client()?.get(with_resource(url.clone(), "2018-02-01", audience, environment)).header("Metadata", "true");
    access_token("Azure's instance metadata service", &url, request, environment).await
}

/// App Service, Functions and Container Apps
/// (<https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>).
async fn app_service(
    endpoint: &str,
    audience: &str,
    environment: &Environment,
) -> Result<Zeroizing<String>, ClientError> {
    let header = required("IDENTITY_HEADER", "it comes with IDENTITY_ENDPOINT", environment)?;
    let url = parse(endpoint, "IDENTITY_ENDPOINT")?;
    let request = link_client()?
        .get(with_resource(url.clone(), "2019-08-01", audience, environment))
        .header("X-IDENTITY-HEADER", header);
    access_token("Azure's identity endpoint", &url, request, environment).await
}

/// A job of Azure Pipelines
/// (<https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create>). The audience
/// is fixed.
pub(super) async fn pipelines(environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let uri = required("SYSTEM_OIDCREQUESTURI", "this is no job of Azure Pipelines", environment)?;
    let bearer = required(
        "SYSTEM_ACCESSTOKEN",
        "write `env: { SYSTEM_ACCESSTOKEN: $(System.AccessToken) }` in the step",
        environment,
    )?;
    let mut url = secure_url(uri, "SYSTEM_OIDCREQUESTURI")?;
    url.query_pairs_mut().append_pair("api-version", "7.1");
    if let Some(connection) = environment.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID") {
        url.query_pairs_mut().append_pair("serviceConnectionId", connection);
    }
    let request = client(&url, None)?.post(url.clone()).bearer_auth(bearer).json(&json!({}));
    token("Azure Pipelines", "oidcToken", &url, request, environment).await
}

fn with_resource(mut url: Url, version: &str, audience: &str, environment: &Environment) -> Url {
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", audience);
    // Which of several identities.
    if let Some(client_id) = environment.get("AZURE_CLIENT_ID") {
        url.query_pairs_mut().append_pair("client_id", client_id);
    }
    url
}

async fn access_token(
    what: &str,
    url: &Url,
    request: RequestBuilder,
    environment: &Environment,
) -> Result<Zeroizing<String>, ClientError> {
    token(what, "access_token", url, request, environment).await
}

/// Sends the request, and takes the token from a member of the answer.
async fn token(
    what: &str,
    member: &str,
    url: &Url,
    request: RequestBuilder,
    environment: &Environment,
) -> Result<Zeroizing<String>, ClientError> {
    let response = request.send().await.map_err(|error| unreachable(what, url, error, environment))?;
    let (status, mut retry) = (response.status(), retry(&response));
    // The service answers so while it starts or is updated.
    if matches!(status.as_u16(), 404 | 410) {
        retry = Retry::Soon;
    }
    let answer = read_json(response).await?;
    match answer.get(member).and_then(Value::as_str) {
        Some(token) if status.is_success() => Ok(Zeroizing::new(token.to_owned())),
        _ => {
            let why = ["error_description", "message"].iter().find_map(|name| answer.get(name).and_then(Value::as_str));
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            Err(ClientError::Failed { text: format!("{what} answered {status} without a token{why}"), retry })
        }
    }
}

fn parse(url: &str, variable: &str) -> Result<Url, ClientError> {
    Url::parse(url).map_err(|_| ClientError::Usage(format!("{variable} is not a URL")))
}
