//! The server's endpoints: an exchange (RFC 8693) and a revocation (RFC 7009).

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Response, Url};
use serde_json::Value;
use sts_types::rfc::{self, parameter};
use zeroize::Zeroizing;

use crate::arguments::TokenArgs;
use crate::environment::Environment;
use crate::error::{ClientError, Retry};
use crate::http::{client, json, retry, secure_url, unreachable};
use crate::source::read_file;
use crate::{platform, retry as attempts};

/// How long the end of a command may wait for a revocation.
pub(crate) const REVOCATION_LIMIT: Duration = Duration::from_secs(10);

/// An access token, and the answer that it came in.
pub(crate) struct AccessToken {
    pub(crate) token: Zeroizing<String>,
    /// Lifetime in seconds.
    pub(crate) expires_in: u64,
    pub(crate) answer: Value,
}

/// A server, and the requests to it.
pub(crate) struct Server<'a> {
    args: &'a TokenArgs,
    environment: &'a Environment,
    /// Without a slash at its end.
    url: String,
    client: Client,
    ca_file: Option<PathBuf>,
    /// The ID token, if it comes from standard input, which can be read only once.
    from_stdin: Option<Zeroizing<String>>,
    is_exchanging: Cell<bool>,
}

impl<'a> Server<'a> {
    pub(crate) fn new(args: &'a TokenArgs, environment: &'a Environment) -> Result<Self, ClientError> {
        let parsed = secure_url(&args.url, "--url")?;
        let client = client(&parsed, args.ca_file.as_deref())?;
        let url = args.url.trim_end_matches('/').to_owned();
        let from_stdin = args.token_from_stdin().then(|| read_file(Path::new("-"))).transpose()?;
        let is_exchanging = Cell::new(false);
        Ok(Self { args, environment, url, client, ca_file: args.ca_file.clone(), from_stdin, is_exchanging })
    }

    /// Exchanges the platform's ID token, with further attempts until the deadline. Each attempt gets
    /// a new ID token, because a server may accept one only once, and the first answer may be lost.
    pub(crate) async fn access_token(&self) -> Result<AccessToken, ClientError> {
        attempts::within(Duration::from_secs(self.args.timeout), async || {
            let id_token = match &self.from_stdin {
                Some(token) => token.clone(),
                None => platform::id_token(self.args, self.environment).await?,
            };
            self.is_exchanging.set(true);
            let exchanged = self.exchange(id_token.trim()).await;
            self.is_exchanging.set(false);
            exchanged
        })
        .await
    }

    /// Whether a request is on its way, whose answer may bring an access token.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.is_exchanging.get()
    }

    async fn exchange(&self, id_token: &str) -> Result<AccessToken, ClientError> {
        let url = self.endpoint("token")?;
        let expires_in = self.args.expires_in.map(|seconds| seconds.to_string());
        let mut form = vec![
            (parameter::GRANT_TYPE, rfc::GRANT_TOKEN_EXCHANGE),
            (parameter::SUBJECT_TOKEN_TYPE, rfc::TOKEN_TYPE_ID_TOKEN),
            (parameter::SUBJECT_TOKEN, id_token),
        ];
        let audiences = self.args.account.iter().chain(&self.args.audience);
        form.extend(audiences.map(|value| (parameter::AUDIENCE, value.as_str())));
        form.extend(self.args.resource.iter().map(|value| (parameter::RESOURCE, value.as_str())));
        form.extend(self.args.scope.iter().map(|value| (parameter::SCOPE, value.as_str())));
        form.extend(expires_in.iter().map(|value| (parameter::EXPIRES_IN, value.as_str())));
        let sent = self.client.post(url.clone()).form(&form).send().await;
        let response = sent.map_err(|error| unreachable(url.as_str(), &url, error, self.environment))?;
        if response.status().is_redirection() {
            return Err(redirected(&url, &response));
        }
        let (status, retry) = (response.status(), retry(&response));
        let answer = json(response).await?;
        if !status.is_success() {
            return Err(refusal(&url, status.as_u16(), &answer, retry));
        }
        let token = answer.get(parameter::ACCESS_TOKEN).and_then(Value::as_str);
        let expires_in = answer.get(parameter::EXPIRES_IN).and_then(Value::as_u64);
        match token.zip(expires_in) {
            Some((token, expires_in)) => {
                let token = Zeroizing::new(token.to_owned());
                Ok(AccessToken { token, expires_in, answer })
            }
            None => Err(ClientError::failed(format!("{url} answered no access token: is it an sts server?"))),
        }
    }

    /// Ends an access token, with further attempts until `limit` has passed.
    pub(crate) async fn revoke(&self, token: &str, limit: Duration) -> Result<(), ClientError> {
        let url = self.endpoint("revoke")?;
        attempts::within(limit, async || {
            let sent = self.client.post(url.clone()).form(&[(parameter::TOKEN, token)]).send().await;
            let response = sent.map_err(|error| unreachable(url.as_str(), &url, error, self.environment))?;
            if response.status().is_success() {
                return Ok(());
            }
            let (status, retry) = (response.status().as_u16(), retry(&response));
            Err(refusal(&url, status, &json(response).await?, retry))
        })
        .await
    }

    fn endpoint(&self, name: &str) -> Result<Url, ClientError> {
        Url::parse(&format!("{}/{name}", self.url)).map_err(|error| ClientError::Usage(format!("--url: {error}")))
    }
}

/// Says no more than the settings.
impl std::fmt::Debug for Server<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

/// A refusal with its reason, its request id and what to do.
fn refusal(url: &Url, status: u16, answer: &Value, retry: Retry) -> ClientError {
    let member = |name: &str| answer.get(name).and_then(Value::as_str);
    let Some(reason) = member("reason") else {
        let text = format!("{url} answered {status} without a reason: is it an sts server?");
        return ClientError::Failed { text, retry };
    };
    let request_id = member("request_id").unwrap_or("-");
    let description = member("error_description").unwrap_or("-");
    let mut text = format!("refused: {reason}: {description}");
    if !description.contains(request_id) {
        text.push_str(&format!(" (request id {request_id})"));
    }
    if reason == "not_authorized" {
        text.push_str(&format!("\n = the server's operator finds the cause with `sts explain --denial {request_id}`"));
    }
    // The server says when another attempt may help; every other refusal is final.
    let retry = if matches!(retry, Retry::After(_)) { retry } else { Retry::No };
    ClientError::Failed { text, retry }
}

/// The error for a redirect. The token is a secret, so the client does not follow one.
fn redirected(url: &Url, response: &Response) -> ClientError {
    let location = response.headers().get(reqwest::header::LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|text| url.join(text).ok());
    let target = target.map_or_else(String::new, |target| format!(" to `{}`", target.origin().ascii_serialization()));
    let status = response.status().as_u16();
    ClientError::failed(format!(
        "{url} redirects{target} (status {status}), which is not followed with a token: give the server's own URL as --url"
    ))
}
