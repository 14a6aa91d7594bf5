//! The demo of `sts dev`: one exchange over real HTTP, step by step. It shows the claims in, the
//! decision, the claims out, and what happens to the token.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use sts_audit::Trail;
use sts_jose::{CompactJws, KeySet};
use sts_policy::RequestedNames;
use sts_service::{Presented, Service};
use sts_types::Algorithm;
use sts_types::rfc::{self, parameter};

use super::files::Files;
use super::issuer::{LocalIssuer, REQUEST_TOKEN};
use crate::audit;
use crate::terminal::say;

/// The demo's server, files and URLs.
pub(super) struct Demo {
    server: String,
    config: PathBuf,
    accounts: PathBuf,
    secret: String,
    request_urls: RequestUrls,
    service: Arc<Service>,
    audit: Arc<Trail>,
}

/// The local issuer's URLs for an ID token of each platform.
struct RequestUrls {
    github: String,
    gitlab: String,
    kubernetes: String,
}

/// The error is a text for people.
type Step<T> = Result<T, String>;

impl Demo {
    pub(super) fn new(
        server: SocketAddr,
        files: &Files,
        issuer: &LocalIssuer,
        service: Arc<Service>,
        audit: Arc<Trail>,
    ) -> Self {
        Self {
            server: format!("http://{server}"),
            config: files.config.clone(),
            accounts: files.accounts.clone(),
            secret: files.secret.clone(),
            request_urls: RequestUrls {
                github: issuer.request_url("github"),
                gitlab: issuer.request_url("gitlab"),
                kubernetes: issuer.request_url("kubernetes"),
            },
            service,
            audit,
        }
    }

    /// Shows every step. Fails with the first one that gives a wrong result.
    pub(super) async fn show(&self) -> Step<()> {
        let client = client()?;
        say(&format!(
            "sts dev: a server at {}, configured by\n  {}\n  {}",
            self.server,
            self.config.display(),
            self.accounts.display()
        ));

        heading(1, "A GitHub Actions job asks its platform for an ID token. Claims in:");
        let id_token = self.id_token(&client).await?;
        say(&indented(&payload(&id_token)?));

        heading(2, "The rules judge it for the account octo-deploy. Decision:");
        self.decision(&id_token).await;

        heading(
            3,
            "The job presents it: POST /token with subject_token and audience=octo-deploy. The event, and the answer:",
        );
        let answer = self.exchange(&client, &id_token).await?;
        let access_token = answer.get("access_token").and_then(Value::as_str).ok_or("no access token was answered")?;

        heading(4, "It has an access token of ours. Claims out:");
        say(&indented(&payload(access_token)?));

        heading(5, "Any service verifies it offline with our keys:");
        self.verify_offline(&client, access_token).await?;

        heading(6, "The API `deploy` introspects it, the job revokes it, and it is dead:");
        for (expected, then) in [(true, true), (false, false)] {
            let introspected = self.introspect(&client, access_token).await?;
            let active = introspected.get("active").and_then(Value::as_bool);
            say(&format!("  introspect: active {}", active.unwrap_or_default()));
            if active != Some(expected) {
                return Err(format!("introspection should have answered active {expected}"));
            }
            if then {
                let status = self.post(&client, "/revoke", &[(parameter::TOKEN, access_token)]).await?.status();
                say(&format!("  revoke:     {status}"));
            }
        }
        Ok(())
    }

    /// Sends requests of jobs and pods that are granted, and some that are refused, so that the console
    /// has something to show.
    pub(super) async fn send_samples(&self) -> Step<()> {
        let client = client()?;
        let RequestUrls { github, gitlab, kubernetes } = &self.request_urls;
        for (url, members, account) in [
            (github, "", "octo-deploy"),
            (gitlab, "", "octo-deploy"),
            (kubernetes, "", "octo-pod"),
            (github, "&event_name=pull_request", "octo-deploy"),
            (github, "&ref=refs/heads/feature", "octo-deploy"),
            (github, "&repository_id=75&repository=octo-org/fork", "octo-deploy"),
            (kubernetes, "", "octo-deploy"),
        ] {
            let id_token = self.id_token_from(&client, &format!("{url}{members}")).await?;
            // A refusal is as good as a token here.
            self.post(&client, "/token", &exchange_form(&id_token, account)).await?;
        }
        self.service.told_of_exchanges().await;
        audit::flush(&self.audit);
        Ok(())
    }

    async fn id_token(&self, client: &reqwest::Client) -> Step<String> {
        self.id_token_from(client, &self.request_urls.github).await
    }

    async fn id_token_from(&self, client: &reqwest::Client, url: &str) -> Step<String> {
        let url = format!("{url}&audience={}", self.server);
        let answer = client.get(url).bearer_auth(REQUEST_TOKEN).send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        answer
            .get("value")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| "the local issuer answered no token".to_owned())
    }

    /// Shows what `sts explain` says.
    async fn decision(&self, id_token: &str) {
        let audience = ["octo-deploy".to_owned()];
        let requested = RequestedNames { audience: &audience, ..RequestedNames::default() };
        let Ok(explanation) = self.service.explain(Presented::Token(id_token), &requested).await else { return };
        say(&format!("  {}", explanation.summary));
        if let Some(decision) = &explanation.decision {
            sts_policy::render(decision).lines().for_each(|line| say(&format!("  {line}")));
        }
    }

    async fn exchange(&self, client: &reqwest::Client, id_token: &str) -> Step<Value> {
        let response = self.post(client, "/token", &exchange_form(id_token, "octo-deploy")).await?;
        // The event comes after the answer. Wait for it, to show it first.
        self.service.told_of_exchanges().await;
        audit::flush(&self.audit);
        let status = response.status();
        let answer: Value = response.json().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("the exchange was refused: {answer}"));
        }
        for name in [parameter::ISSUED_TOKEN_TYPE, parameter::TOKEN_TYPE, parameter::EXPIRES_IN, parameter::SCOPE] {
            say(&format!("  {name}: {}", answer.get(name).unwrap_or(&Value::Null)));
        }
        Ok(answer)
    }

    async fn verify_offline(&self, client: &reqwest::Client, access_token: &str) -> Step<()> {
        let url = format!("{}/.well-known/jwks.json", self.server);
        let document = client
            .get(&url)
            .send()
            .await
            .map_err(|error| error.to_string())?
            .bytes()
            .await
            .map_err(|error| error.to_string())?;
        let keys =
            KeySet::parse(&document, &[Algorithm::ES256, Algorithm::RS256]).map_err(|error| error.to_string())?;
        let jws = CompactJws::parse(access_token).map_err(|error| error.to_string())?;
        let key =
            keys.keys.iter().find(|key| key.kid() == jws.header().kid.as_ref()).ok_or("its key is not published")?;
        jws.verify(key).map_err(|error| error.to_string())?;
        say(&format!("  {url}\n  the signature is right: {} with key {}", key.algorithm(), key.thumbprint()));
        Ok(())
    }

    async fn introspect(&self, client: &reqwest::Client, access_token: &str) -> Step<Value> {
        let url = format!("{}/introspect", self.server);
        let request =
            client.post(url).basic_auth("deploy", Some(&self.secret)).form(&[(parameter::TOKEN, access_token)]);
        let response = request.send().await.map_err(|error| error.to_string())?;
        response.json().await.map_err(|error| error.to_string())
    }

    async fn post(&self, client: &reqwest::Client, path: &str, form: &[(&str, &str)]) -> Step<reqwest::Response> {
        client.post(format!("{}{path}", self.server)).form(form).send().await.map_err(|error| error.to_string())
    }

    /// A link into the console, as more lines of that shell script.
    pub(super) fn console(&self, link: &str) -> String {
        let (sts, config) = (own_path(), self.config.display());
        format!(
            "\n# The console has these accounts and requests. The link opens it once, within a minute.\n#   {link}\n\
             # Another link:\n{sts} console link --config {config}"
        )
    }

    /// The same steps as shell commands, for each platform, and a refusal with its explanation.
    pub(super) fn by_hand(&self) -> String {
        let Self { server, request_urls: RequestUrls { github, gitlab, kubernetes }, secret, config, .. } = self;
        let sts = own_path();
        let (grant, id_token) = (rfc::GRANT_TOKEN_EXCHANGE, rfc::TOKEN_TYPE_ID_TOKEN);
        let config = config.display();
        let exchange = format!(
            r#"curl -s {server}/token -d grant_type={grant} -d subject_token_type={id_token} -d subject_token="$ID_TOKEN" -d audience=octo-deploy"#
        );
        let id_token_of = |url: &str| {
            format!(
                r#"ID_TOKEN=$(curl -s -H "Authorization: Bearer {REQUEST_TOKEN}" "{url}" | sed 's/.*"value":"\([^"]*\)".*/\1/')"#
            )
        };
        let job = id_token_of(&format!("$ACTIONS_ID_TOKEN_REQUEST_URL&audience={server}"));
        let pull_request =
            id_token_of(&format!("$ACTIONS_ID_TOKEN_REQUEST_URL&audience={server}&event_name=pull_request"));
        let gitlab = id_token_of(&format!("{gitlab}&audience={server}"));
        let pod = id_token_of(&format!("{kubernetes}&audience={server}"));
        format!(
            r#"
Try it yourself:

# A GitHub Actions job.
export ACTIONS_ID_TOKEN_REQUEST_URL='{github}'
export ACTIONS_ID_TOKEN_REQUEST_TOKEN='{REQUEST_TOKEN}'
{job}
ACCESS_TOKEN=$({exchange} | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -s -u 'deploy:{secret}' {server}/introspect -d token="$ACCESS_TOKEN"; echo
curl -s {server}/revoke -d token="$ACCESS_TOKEN"

# The client does the first two by itself. Then: why, and what was minted?
{sts} exchange --url {server} --account octo-deploy
echo "$ID_TOKEN" | {sts} explain --config {config} --token - --account octo-deploy
{sts} tokens list --config {config}

# A job of a pull request is refused. The owner sees why.
{pull_request}
REFUSAL=$({exchange})
echo "$REFUSAL"
{sts} explain --config {config} --denial "$(echo "$REFUSAL" | sed 's/.*"request_id":"\([^"]*\)".*/\1/')"

# A GitLab job has no way to ask with, but its ID token in a variable.
unset ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN
{gitlab}
STS_ID_TOKEN="$ID_TOKEN" {sts} exchange --url {server} --account octo-deploy

# A Kubernetes pod.
{pod}
STS_ID_TOKEN="$ID_TOKEN" {sts} exchange --url {server} --account octo-pod"#
        )
    }
}

fn client() -> Step<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())
}

fn exchange_form<'a>(id_token: &'a str, account: &'a str) -> [(&'static str, &'a str); 4] {
    [
        (parameter::GRANT_TYPE, rfc::GRANT_TOKEN_EXCHANGE),
        (parameter::SUBJECT_TOKEN_TYPE, rfc::TOKEN_TYPE_ID_TOKEN),
        (parameter::SUBJECT_TOKEN, id_token),
        (parameter::AUDIENCE, account),
    ]
}

/// The command that runs, as a shell can repeat it.
fn own_path() -> String {
    std::env::current_exe().map_or_else(|_| "sts".to_owned(), |path| path.display().to_string())
}

fn heading(number: u8, text: &str) {
    say(&format!("\n{number}. {text}"));
}

/// The claims of a compact JWS, unverified, for display.
fn payload(token: &str) -> Step<Value> {
    let segment = token.split('.').nth(1).and_then(sts_jose::decode_base64url).ok_or("not a compact JWS")?;
    serde_json::from_slice(&segment).map_err(|error| error.to_string())
}

fn indented(value: &Value) -> String {
    format!("{value:#}").lines().map(|line| format!("  {line}\n")).collect::<String>().trim_end().to_owned()
}
