//! Platforms whose way to a token is a command of theirs.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::arguments::TokenArgs;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::source::read_file;

/// <https://buildkite.com/docs/agent/cli/reference/oidc>
pub(super) async fn buildkite(audience: &str) -> Result<Zeroizing<String>, ClientError> {
    run("buildkite-agent", &["oidc", "request-token", "--audience", audience]).await
}

/// <https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/>: a job has a
/// token with the organisation as its audience in a variable; another audience is asked for.
pub(super) async fn circleci(args: &TokenArgs, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    if let Some(audience) = &args.token_audience {
        let claims = json!({ "aud": audience }).to_string();
        return run("circleci", &["run", "oidc", "get", "--claims", &claims]).await;
    }
    let token = environment.secret("CIRCLE_OIDC_TOKEN_V2").or_else(|| environment.secret("CIRCLE_OIDC_TOKEN"));
    token.ok_or_else(|| {
        ClientError::Usage(
            "CIRCLE_OIDC_TOKEN_V2 is not set: the job must use a context, or give --token-audience".to_owned(),
        )
    })
}

/// A JWT-SVID: the file that spiffe-helper keeps, or the Workload API
/// (<https://github.com/spiffe/spire/blob/main/doc/spire_agent.md#spire-agent-api-fetch-jwt>).
pub(super) async fn spiffe(audience: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    if let Some(file) = environment.get("STS_ID_TOKEN_FILE") {
        return read_file(Path::new(file));
    }
    let mut arguments = vec!["api", "fetch", "jwt", "-audience", audience, "-output", "json"];
    let socket = environment.get("SPIFFE_ENDPOINT_SOCKET").map(|socket| socket.trim_start_matches("unix://"));
    arguments.extend(socket.into_iter().flat_map(|socket| ["-socketPath", socket]));
    let answer = run("spire-agent", &arguments).await?;
    svid(&answer)
        .ok_or_else(|| ClientError::failed("spire-agent printed no JWT-SVID: is there an entry for this workload?"))
}

/// The first SVID of the agent's answer, which is a list of answers.
fn svid(answer: &str) -> Option<Zeroizing<String>> {
    let answers: Vec<Value> = serde_json::from_str(answer).ok()?;
    let svid = answers.iter().find_map(|answer| answer.pointer("/svids/0/svid")?.as_str())?;
    Some(Zeroizing::new(svid.to_owned()))
}

/// Runs a command that prints a token. What it says on standard error is for people, and is shown.
async fn run(program: &str, arguments: &[&str]) -> Result<Zeroizing<String>, ClientError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| {
        ClientError::Usage(format!("cannot run `{program}`, which gets the ID token on this platform: {error}"))
    })?;
    let printed = Zeroizing::new(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if output.status.success() && !printed.is_empty() {
        return Ok(printed);
    }
    Err(ClientError::passing(format!("`{program}` printed no ID token ({})", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_svid_of_the_agents_answer_is_taken() {
        let answer = json!([{ "svids": [{ "spiffe_id": "spiffe://a/b", "svid": "a.b.c" }] }, { "bundles": {} }]);
        assert_eq!(svid(&answer.to_string()).unwrap().as_str(), "a.b.c");
        for other in ["", "{}", "[]", r#"[{"svids":[]}]"#] {
            assert!(svid(other).is_none(), "{other}");
        }
    }
}
