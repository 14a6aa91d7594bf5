//! Google Cloud's metadata server
//! (<https://docs.cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature>).

use reqwest::Url;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::error::{ClientError, Retry};
use crate::http::{link_client, retry, text, unreachable};

pub(super) async fn id_token(audience: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    // Google's own libraries take another host from this variable.
    let host = environment.get("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/identity");
    let mut url = Url::parse(&url).map_err(|_| ClientError::Usage("GCE_METADATA_HOST is not a host".to_owned()))?;
    url.query_pairs_mut().append_pair("audience", audience).append_pair("format", "full");
    let sent = link_client()?.get(url.clone()).header("Metadata-Flavor", "Google").send().await;
    let response = sent.map_err(|error| unreachable("Google's metadata server", &url, error, environment))?;
    let (status, retry) = (response.status(), retry(&response));
    let text = text(response).await?;
    match status.as_u16() {
        200 if text.split('.').count() == 3 => Ok(text),
        404 => Err(ClientError::failed(
            "Google's metadata server answered 404: this machine or service has no service account",
        )),
        // On GKE the server answers so for a moment after a pod's start.
        _ => {
            let retry = if retry == Retry::No && status.is_client_error() { Retry::No } else { Retry::Soon };
            Err(ClientError::Failed {
                text: format!("Google's metadata server answered {status} without an ID token"),
                retry,
            })
        }
    }
}
