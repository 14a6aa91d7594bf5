//! AWS: a token of the caller's role, by `GetWebIdentityToken`
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>).

use jwks_cache::is_loopback;
use reqwest::Url;
use serde_json::Value;
use zeroize::Zeroizing;

use super::required;
use super::sigv4::{Credentials, SignedRequest};
use crate::environment::Environment;
use crate::error::ClientError;
use crate::http::{client, json, link_client, retry, text, unreachable};
use crate::output::now;

/// Seconds that the token lives. It is exchanged at once.
const LIFETIME: &str = "300";

pub(super) async fn id_token(audience: &str, environment: &Environment) -> Result<Zeroizing<String>, ClientError> {
    let credentials = credentials(environment).await?;
    let region = region(environment).await?;
    let endpoint = match environment.get("AWS_ENDPOINT_URL_STS") {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("https://sts.{region}.{}", domain(&region)),
    };
    let url = Url::parse(&endpoint).map_err(|_| ClientError::Usage("AWS_ENDPOINT_URL_STS is not a URL".to_owned()))?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "GetWebIdentityToken")
        .append_pair("Version", "2011-06-15")
        .append_pair("Audience.member.1", audience)
        .append_pair("SigningAlgorithm", "RS256")
        .append_pair("DurationSeconds", LIFETIME)
        .finish();
    let signed = SignedRequest { url: &url, region: &region, service: "sts", body: &form, now: now() };
    let mut request = client(&url, None)?.post(url.clone()).body(form.clone());
    for (name, value) in signed.headers(&credentials) {
        request = request.header(name, value);
    }
    let sent = request.header("accept", "application/json").send().await;
    let response = sent.map_err(|error| unreachable("AWS STS", &url, error, environment))?;
    let (status, retry) = (response.status(), retry(&response));
    let text = text(response).await?;
    if let Some(token) = status.is_success().then(|| token(&text)).flatten() {
        return Ok(token);
    }
    let why = message(&text).map_or_else(String::new, |why| format!(": {why}"));
    let help = if status.as_u16() == 403 { "; the role needs `sts:GetWebIdentityToken`" } else { "" };
    Err(ClientError::Failed { text: format!("AWS STS answered {status} without a token{why}{help}"), retry })
}

/// The token in an answer, which is XML, or JSON as asked for.
fn token(text: &str) -> Option<Zeroizing<String>> {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let in_json = json.as_ref().and_then(|json| {
        json.pointer("/GetWebIdentityTokenResponse/GetWebIdentityTokenResult/WebIdentityToken")?.as_str()
    });
    in_json.or_else(|| between(text, "WebIdentityToken")).map(|token| Zeroizing::new(token.to_owned()))
}

/// Why there is no token, in an answer in either form.
fn message(text: &str) -> Option<String> {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let in_json = json.as_ref().and_then(|json| json.pointer("/Error/Message")?.as_str());
    in_json.or_else(|| between(text, "Message")).map(str::to_owned)
}

/// The text of an XML element without attributes or children.
fn between<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    let (content, _) = rest.split_once(&format!("</{element}>"))?;
    Some(content.trim()).filter(|content| !content.contains('<'))
}

fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The credentials of this job, container or machine, in the order of AWS's own tools.
async fn credentials(environment: &Environment) -> Result<Credentials, ClientError> {
    if let Some(id) = environment.get("AWS_ACCESS_KEY_ID") {
        let secret = required("AWS_SECRET_ACCESS_KEY", "it comes with AWS_ACCESS_KEY_ID", environment)?;
        return Ok(Credentials {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            session_token: environment.secret("AWS_SESSION_TOKEN"),
        });
    }
    if let Some(url) = container_url(environment)? {
        return of_container(&url, environment).await;
    }
    of_machine(environment).await
}

/// Where a container's credentials are
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).
fn container_url(environment: &Environment) -> Result<Option<Url>, ClientError> {
    let text = match environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("http://169.254.170.2{path}"),
        None => match environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            Some(url) => url.to_owned(),
            None => return Ok(None),
        },
    };
    let url = Url::parse(&text)
        .map_err(|_| ClientError::Usage("AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL".to_owned()))?;
    let is_of_the_container = matches!(url.host_str(), Some("169.254.170.2" | "169.254.170.23" | "[fd00:ec2::23]"));
    let is_loopback = url.host().is_some_and(|host| is_loopback(&host));
    if url.scheme() == "https" || is_of_the_container || is_loopback {
        return Ok(Some(url));
    }
    Err(ClientError::Usage(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of the container's host".to_owned(),
    ))
}

async fn of_container(url: &Url, environment: &Environment) -> Result<Credentials, ClientError> {
    let client = if url.scheme() == "https" { client(url, None)? } else { link_client()? };
    let mut request = client.get(url.clone());
    let authorization = match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(crate::source::read_file(std::path::Path::new(file))?),
        None => environment.secret("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization.trim());
    }
    let response =
        request.send().await.map_err(|error| unreachable("the container's credentials", url, error, environment))?;
    let (status, retry) = (response.status(), retry(&response));
    Credentials::read(&json(response).await?).ok_or_else(|| ClientError::Failed {
        text: format!("the container's credentials: {} answered {status} without them", url.host_str().unwrap_or("-")),
        retry,
    })
}

/// The instance metadata service, version 2
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>).
struct InstanceMetadata<'a> {
    client: reqwest::Client,
    url: Url,
    session: Zeroizing<String>,
    environment: &'a Environment,
}

impl<'a> InstanceMetadata<'a> {
    async fn open(environment: &'a Environment) -> Result<Self, ClientError> {
        let endpoint = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
        let url = Url::parse(endpoint)
            .map_err(|_| ClientError::Usage("AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL".to_owned()))?;
        let mut this = Self { client: link_client()?, url, session: Zeroizing::default(), environment };
        let request =
            this.client.put(this.at("latest/api/token")?).header("x-aws-ec2-metadata-token-ttl-seconds", "60");
        this.session = this.text(request).await?;
        Ok(this)
    }

    async fn get(&self, path: &str) -> Result<Zeroizing<String>, ClientError> {
        let request = self.client.get(self.at(path)?);
        self.text(request.header("x-aws-ec2-metadata-token", self.session.as_str())).await
    }

    fn at(&self, path: &str) -> Result<Url, ClientError> {
        self.url.join(path).map_err(|error| ClientError::failed(error.to_string()))
    }

    async fn text(&self, request: reqwest::RequestBuilder) -> Result<Zeroizing<String>, ClientError> {
        let what = "the instance metadata service (no AWS credentials are in the environment)";
        let response = request.send().await.map_err(|error| unreachable(what, &self.url, error, self.environment))?;
        let (status, retry) = (response.status(), retry(&response));
        if !status.is_success() {
            let text = format!("the instance metadata service answered {status}: has this machine a role?");
            return Err(ClientError::Failed { text, retry });
        }
        text(response).await
    }
}

async fn of_machine(environment: &Environment) -> Result<Credentials, ClientError> {
    const PATH: &str = "latest/meta-data/iam/security-credentials/";
    let metadata = InstanceMetadata::open(environment).await?;
    let roles = metadata.get(PATH).await?;
    let role = roles.lines().next().unwrap_or_default();
    let answer = metadata.get(&format!("{PATH}{role}")).await?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    Credentials::read(&answer).ok_or_else(|| {
        ClientError::failed("the instance metadata service has no credentials: has this machine a role?")
    })
}

async fn region(environment: &Environment) -> Result<String, ClientError> {
    if let Some(region) = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION")) {
        return Ok(region.to_owned());
    }
    if environment.get("AWS_ACCESS_KEY_ID").is_some() {
        return Err(ClientError::Usage(
            "AWS_REGION is not set: GetWebIdentityToken has regional endpoints only".to_owned(),
        ));
    }
    let region = InstanceMetadata::open(environment).await?.get("latest/meta-data/placement/region").await?;
    Ok(region.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_either_form_of_the_answer() {
        let xml = "<R xmlns=\"x\"><GetWebIdentityTokenResult><WebIdentityToken>a.b.c</WebIdentityToken></GetWebIdentityTokenResult></R>";
        let json = r#"{"GetWebIdentityTokenResponse":{"GetWebIdentityTokenResult":{"WebIdentityToken":"a.b.c"}}}"#;
        for text in [xml, json] {
            assert_eq!(token(text).unwrap().as_str(), "a.b.c");
        }
        for text in ["", "{}", "<WebIdentityToken>a", "<WebIdentityToken><b/></WebIdentityToken>"] {
            assert!(token(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_refusals_message_is_found_in_either_form_of_the_answer() {
        let xml =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>";
        let json = r#"{"Error":{"Code":"AccessDenied","Message":"not allowed","Type":"Sender"},"RequestId":"1"}"#;
        for text in [xml, json] {
            assert_eq!(message(text).as_deref(), Some("not allowed"));
        }
        assert_eq!(message("Bad Gateway"), None);
    }

    #[test]
    fn a_containers_credentials_are_asked_for_only_where_nobody_else_can_listen() {
        let at = |url: &str| container_url(&Environment::from([("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]));
        for url in ["http://169.254.170.23/v1", "http://127.0.0.1:1/", "http://localhost/", "https://example.com/"] {
            assert!(at(url).unwrap().is_some(), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://10.0.0.1/",
            "http://169.254.170.2.evil.example/",
            "http://127.evil.example/",
            "x",
        ] {
            assert!(at(url).is_err(), "{url}");
        }
        assert!(container_url(&Environment::from([])).unwrap().is_none());
    }
}
