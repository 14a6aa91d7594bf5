//! GitHub Actions: a runner's own endpoint
//! (<https://docs.github.com/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>).

use serde_json::Value;
use zeroize::Zeroizing;

use super::required;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::http::{client, json, retry, secure_url, unreachable};

const HELP: &str =
    "write `permissions: { id-token: write }` in the workflow (a pull request from a fork never gets a token)";

pub(super) async fn id_token(audience: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let url = required("ACTIONS_ID_TOKEN_REQUEST_URL", HELP, environment)?;
    let bearer = required("ACTIONS_ID_TOKEN_REQUEST_TOKEN", HELP, environment)?;
    let mut url = secure_url(url, "ACTIONS_ID_TOKEN_REQUEST_URL")?;
    url.query_pairs_mut().append_pair("audience", audience);
    // `--ca-file` is for our server. The runner has a certificate of a public authority.
    let sent = client(&url, None)?.get(url.clone()).bearer_auth(bearer).send().await;
    let response = sent.map_err(|error| unreachable("the GitHub runner", &url, error, environment))?;
    let (status, retry) = (response.status(), retry(&response));
    match json(response).await?.get("value").and_then(Value::as_str) {
        Some(value) if status.is_success() => Ok(Zeroizing::new(value.to_owned())),
        _ => {
            Err(ClientError::Failed { text: format!("the GitHub runner answered {status} without an ID token"), retry })
        }
    }
}
