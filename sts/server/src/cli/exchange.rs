//! `sts exchange`, the client. It finds the platform's ID token, exchanges it, and prints the
//! access token.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jwks_cache::{Caller, ConnectError};
use reqwest::Url;
use serde_json::{Value, json};
use sts_types::Clock as _;
use sts_types::rfc::{self, parameter};
use zeroize::Zeroizing;

use super::RequestArgs;
use super::explain::rfc3339;
use crate::clock::SystemClock;
use crate::terminal::{complain, say};

#[derive(Args)]
pub(super) struct ExchangeArgs {
    /// URL of the sts server: its `issuer`
    #[arg(long, value_name = "URL")]
    url: String,
    /// File with the ID token (`-` for standard input); without it, the token comes from the platform, see below
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Audience of the ID token, if the platform mints it on request [default: the server's URL]
    #[arg(long, value_name = "AUDIENCE")]
    token_audience: Option<String>,
    /// CA certificates to trust for the server (PEM), in place of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
    /// Lifetime of the access token in seconds, if it is to be shorter than the configured one
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u32>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Token)]
    output: Output,
}

/// The end of the command's help.
pub(super) const FINDING_THE_TOKEN: &str = "\
The command takes the ID token from the first of these that is there: --token-file; a GitHub Actions job with `id-token: write` \
(ACTIONS_ID_TOKEN_REQUEST_URL); the variable STS_ID_TOKEN (a GitLab job's `id_tokens:`); the file that \
STS_ID_TOKEN_FILE names (a pod's projected token).";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The access token
    Token,
    /// The server's answer
    Json,
    /// A line for a shell: STS_ACCESS_TOKEN=...
    Env,
    /// An ExecCredential for Kubernetes clients
    ExecCredential,
}

/// The time limit of each of the two requests.
const DEADLINE: Duration = Duration::from_secs(15);
/// The part of it for the connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no token, and whether the caller used the command wrongly.
enum ExchangeError {
    Usage(String),
    Failed(String),
}

pub(super) fn run(args: &ExchangeArgs) -> ExitCode {
    let runtime = match crate::serve::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(exchange(args)) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(ExchangeError::Failed(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::FAILURE
        }
        Err(ExchangeError::Usage(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::from(2)
        }
    }
}

async fn exchange(args: &ExchangeArgs) -> Result<Zeroizing<String>, ExchangeError> {
    let server = server(&args.url)?;
    let url = format!("{server}/token");
    let client = client(&url, args.ca_file.as_deref())?;
    let subject_token = id_token(args).await?;
    let expires_in = args.expires_in.map(|seconds| seconds.to_string());
    let mut form = vec![
        (parameter::GRANT_TYPE, rfc::GRANT_TOKEN_EXCHANGE),
        (parameter::SUBJECT_TOKEN_TYPE, rfc::TOKEN_TYPE_ID_TOKEN),
        (parameter::SUBJECT_TOKEN, subject_token.trim()),
    ];
    form.extend(args.request.audiences().map(|value| (parameter::AUDIENCE, value)));
    form.extend(args.request.resource.iter().map(|value| (parameter::RESOURCE, value.as_str())));
    form.extend(args.request.scope.iter().map(|value| (parameter::SCOPE, value.as_str())));
    form.extend(expires_in.iter().map(|value| (parameter::EXPIRES_IN, value.as_str())));

    let response = client.post(&url).form(&form).send().await.map_err(|error| unreachable(&url, &url, error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(ExchangeError::Failed(redirected(&url, &response)));
    }
    let answer: Value = response
        .json()
        .await
        .map_err(|_| ExchangeError::Failed(format!("{url} answered {status} without JSON: is it an sts server?")))?;
    if !status.is_success() {
        let member = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        return Err(ExchangeError::Failed(format!(
            "refused: {}: {} (request id {})",
            member("reason"),
            member("error_description"),
            member("request_id")
        )));
    }
    let access_token = answer.get(parameter::ACCESS_TOKEN).and_then(Value::as_str);
    let access_token = access_token.ok_or_else(|| ExchangeError::Failed(format!("{url} answered no access token")))?;
    Ok(Zeroizing::new(match args.output {
        Output::Token => access_token.to_owned(),
        Output::Json => answer.to_string(),
        Output::Env => format!("STS_ACCESS_TOKEN={access_token}"),
        Output::ExecCredential => {
            let life = answer.get(parameter::EXPIRES_IN).and_then(Value::as_i64).unwrap_or(0);
            json!({
                "apiVersion": "client.authentication.k8s.io/v1",
                "kind": "ExecCredential",
                "status": {
                    "token": access_token,
                    "expirationTimestamp": rfc3339(SystemClock::new().now().plus(life)),
                },
            })
            .to_string()
        }
    }))
}

/// The server's URL without a trailing slash. It must be https, or http on loopback, because the
/// ID token is a secret.
fn server(url: &str) -> Result<&str, ExchangeError> {
    let parsed = Url::parse(url).map_err(|_| {
        ExchangeError::Usage(
            "--url is not a URL: write the one of the server, such as `https://sts.example.com`".to_owned(),
        )
    })?;
    let loopback = match parsed.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match parsed.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => {
            return Err(ExchangeError::Usage(
                "--url must be https: the ID token is a secret (http is for loopback only)".to_owned(),
            ));
        }
    }
    Ok(url.trim_end_matches('/'))
}

async fn id_token(args: &ExchangeArgs) -> Result<Zeroizing<String>, ExchangeError> {
    if let Some(file) = &args.token_file {
        return super::explain::read(file).map(Zeroizing::new).map_err(ExchangeError::Usage);
    }
    if let (Some(url), Some(token)) =
        (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
    {
        let audience = args.token_audience.as_deref().unwrap_or(&args.url);
        return from_github(&url, &token, audience).await;
    }
    if let Some(token) = variable("STS_ID_TOKEN") {
        return Ok(token);
    }
    if let Some(file) = variable("STS_ID_TOKEN_FILE") {
        return super::explain::read(&PathBuf::from(&*file)).map(Zeroizing::new).map_err(ExchangeError::Usage);
    }
    Err(ExchangeError::Usage(
        "found no ID token: give --token-file, run in a GitHub Actions job with `permissions: id-token: write`, or set STS_ID_TOKEN or \
         STS_ID_TOKEN_FILE"
            .to_owned(),
    ))
}

/// Asks a GitHub Actions runner for an ID token.
async fn from_github(url: &str, token: &str, audience: &str) -> Result<Zeroizing<String>, ExchangeError> {
    let mut target =
        Url::parse(url).map_err(|_| ExchangeError::Failed("ACTIONS_ID_TOKEN_REQUEST_URL is not a URL".to_owned()))?;
    target.query_pairs_mut().append_pair("audience", audience);
    // The runner has a certificate of a public CA, whatever our server has.
    let sent = client(url, None)?.get(target).bearer_auth(token).send().await;
    let response = sent.map_err(|error| unreachable("the GitHub runner", url, error))?;
    let status = response.status();
    let answer: Value = response.json().await.unwrap_or_default();
    match answer.get("value").and_then(Value::as_str) {
        Some(value) if status.is_success() => Ok(Zeroizing::new(value.to_owned())),
        _ => Err(ExchangeError::Failed(format!("the GitHub runner answered {status} without an ID token"))),
    }
}

/// A client for that URL. Plain http goes to this host only, so it needs no certificates and uses
/// no proxy.
fn client(url: &str, ca_file: Option<&Path>) -> Result<reqwest::Client, ExchangeError> {
    let builder = if url.starts_with("http:") {
        reqwest::Client::builder().tls_certs_only([]).no_proxy()
    } else {
        let pem = ca_file.map(super::explain::read).transpose().map_err(ExchangeError::Usage)?;
        jwks_cache::client_builder(pem.as_deref().map(str::as_bytes)).map_err(|what| match ca_file {
            Some(path) => ExchangeError::Usage(format!("--ca-file {}: {what}", sts_types::shown_path(path))),
            None => ExchangeError::Failed(what),
        })?
    };
    let builder =
        builder.timeout(DEADLINE).connect_timeout(CONNECT_DEADLINE).redirect(reqwest::redirect::Policy::none());
    builder.build().map_err(|error| ExchangeError::Failed(error.to_string()))
}

/// Why `what` at `url` gave no answer, and what to do.
fn unreachable(what: &str, url: &str, error: reqwest::Error) -> ExchangeError {
    let target = Url::parse(url).ok().and_then(|url| {
        let port = url.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
        Some(format!("{}{port}", url.host_str()?))
    });
    let said = match ConnectError::of(target.as_deref().unwrap_or(what), &error) {
        Some(error) => format!("{error}; {}", error.advice(Caller::CommandLine)),
        None if error.is_timeout() => {
            format!("connected, and no answer within {} seconds; the server is slow or stuck", DEADLINE.as_secs())
        }
        None => {
            // Without the URL: a runner's URL has a query that belongs to the runner.
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            format!("the connection broke before an answer came: {cause}")
        }
    };
    let proxies = crate::environment::proxy_variables();
    let through = match proxies.as_slice() {
        [] => String::new(),
        _ if url.starts_with("http:") => String::new(),
        names => format!(" (a proxy is set in the environment: {})", names.join(", ")),
    };
    ExchangeError::Failed(format!("cannot reach {what}: {said}{through}"))
}

/// The error for a redirect. The token is a secret, so the client does not follow one.
fn redirected(url: &str, response: &reqwest::Response) -> String {
    let location = response.headers().get(reqwest::header::LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|text| Url::parse(url).ok()?.join(text).ok());
    let target = target.map_or_else(String::new, |target| format!(" to `{}`", target.origin().ascii_serialization()));
    let status = response.status().as_u16();
    format!(
        "{url} redirects{target} (status {status}), which is not followed with a token: give the server's own URL as --url"
    )
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment that its job gives it")]
fn variable(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
}
