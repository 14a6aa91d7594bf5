//! `sts exchange` on each platform, against a fake of its documented endpoint, variables and quirks on loopback.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use sts_testkit::{FakeIssuer, Finished, Key, Page, Server, Site};

use crate::support::*;

/// A platform's endpoint, and a server that takes its token.
struct Platform {
    server: &'static Server,
    endpoint: FakeIssuer,
    site: Site,
}

impl Platform {
    fn new() -> Self {
        Self { server: &WORLD, endpoint: FakeIssuer::start(&Key::set(&[])), site: Site::new() }
    }

    fn run(&self, more: &[&str], environment: &[(&str, &str)]) -> Finished {
        let url = format!("http://{}", self.server.public());
        let arguments =
            [&["exchange", "--url", &url, "--account", "octo", "--token-audience", US, "--timeout", "5"], more]
                .concat();
        STS.run_in(self.site.root(), &arguments, environment)
    }

    /// The platform is found without a flag, and its token exchanged.
    fn assert_found(&self, environment: &[(&str, &str)]) {
        let access = self.run(&[], environment).ended(0).stdout;
        assert!(access.starts_with("ey"), "{access}");
    }

    fn page(&self, path: &str, answer: Value) {
        self.endpoint.page(path, Page::Json(answer));
    }

    fn text(&self, path: &str, text: &str) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        self.endpoint.page(path, Page::Raw(format!("{head}{text}").into_bytes()));
    }

    fn request(&self, path: &str) -> String {
        self.endpoint.last_request(path).unwrap_or_else(|| panic!("{path} was not asked for"))
    }

    /// A program of the platform that prints `output`, and the search path to it. It writes its arguments to a file.
    fn program(&self, name: &str, output: &str) -> String {
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\ncat <<'END'\n{output}\nEND\n", self.arguments());
        self.site.write(&format!("bin/{name}"), script);
        let program = self.site.path(&format!("bin/{name}"));
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:/usr/bin:/bin", self.site.path("bin").display())
    }

    fn arguments(&self) -> String {
        self.site.path("arguments").display().to_string()
    }
}

/// The audience as a query has it.
const AUDIENCE: &str = "audience=https%3A%2F%2Fsts.example.com";

#[test]
fn github_actions() {
    let platform = Platform::new();
    platform.page("/token-request", json!({ "value": token("svc:octo") }));
    let url = format!("{}/token-request?api-version=2", platform.endpoint.url());
    platform.assert_found(&[("ACTIONS_ID_TOKEN_REQUEST_URL", &url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")]);
    let request = platform.request("/token-request");
    assert!(request.contains(&format!("?api-version=2&{AUDIENCE}")) && request.contains("Bearer runner"), "{request}");
    let refused = platform.run(&["--platform", "github-actions"], &[]).ended(2);
    assert!(refused.stderr.contains("id-token: write"), "{}", refused.stderr);
}

#[test]
fn the_secret_of_a_job_is_not_sent_without_tls() {
    let platform = Platform::new();
    let plain = "http://runner.example.com/token?x=1";
    for (url, bearer) in [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        ("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"),
    ] {
        let refused = platform.run(&[], &[(url, plain), (bearer, "job-secret")]).ended(2);
        assert!(refused.stderr.contains(&format!("{url} must be https")), "{}", refused.stderr);
    }
}

#[test]
fn platforms_that_set_a_variable_or_name_a_file() {
    let platform = Platform::new();
    let token = token("svc:octo");
    platform.site.write("token", format!("{token}\n"));
    for (name, value, flag) in [
        ("STS_ID_TOKEN", token.as_str(), "gitlab"),
        ("STS_ID_TOKEN_FILE", "token", "kubernetes"),
        ("STS_ID_TOKEN_FILE", "token", "spiffe"),
        ("BITBUCKET_STEP_OIDC_TOKEN", &token, "bitbucket"),
        ("TFC_WORKLOAD_IDENTITY_TOKEN", &token, "terraform-cloud"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "token", "aws-irsa"),
        ("AZURE_FEDERATED_TOKEN_FILE", "token", "azure-workload-identity"),
    ] {
        platform.assert_found(&[(name, value)]);
        platform.run(&["--platform", flag], &[(name, value)]).ended(0);
        let missing = platform.run(&["--platform", flag], &[]);
        if flag != "spiffe" {
            assert!(missing.ended(2).stderr.contains(name), "{flag}");
        }
    }
    // GitLab leaves its trace, and gives no token of its own accord.
    let refused = platform.run(&[], &[("GITLAB_CI", "true")]).ended(2);
    assert!(refused.stderr.contains("id_tokens"), "{}", refused.stderr);
}

#[test]
fn buildkite_and_circleci_and_spire_have_a_command() {
    let platform = Platform::new();
    let token = token("svc:octo");
    let path = platform.program("buildkite-agent", &token);
    platform.assert_found(&[("BUILDKITE_JOB_ID", "1"), ("PATH", &path)]);
    let arguments = || std::fs::read_to_string(platform.arguments()).unwrap();
    assert_eq!(arguments(), format!("oidc\nrequest-token\n--audience\n{US}\n"));

    let path = platform.program("circleci", &token);
    platform.assert_found(&[("CIRCLECI", "true"), ("PATH", &path)]);
    assert_eq!(arguments(), format!("run\noidc\nget\n--claims\n{{\"aud\":\"{US}\"}}\n"));

    let path = platform.program("spire-agent", &json!([{ "svids": [{ "svid": token }] }]).to_string());
    platform.assert_found(&[("SPIFFE_ENDPOINT_SOCKET", "unix:///run/spire.sock"), ("PATH", &path)]);
    assert!(
        arguments().ends_with(&format!("-audience\n{US}\n-output\njson\n-socketPath\n/run/spire.sock\n")),
        "{}",
        arguments()
    );

    let absent = platform.run(&["--platform", "buildkite"], &[("PATH", "/nowhere")]).ended(2);
    assert!(absent.stderr.contains("buildkite-agent"), "{}", absent.stderr);
}

#[test]
fn circleci_without_an_audience_takes_the_jobs_own_token() {
    let server = &*WORLD;
    let url = format!("http://{}", server.public());
    let environment = [("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", &*token("svc:octo"))];
    STS.run_in(server.site().root(), &["exchange", "--url", &url, "--account", "octo"], &environment).ended(0);
}

#[test]
fn azure_pipelines() {
    let platform = Platform::new();
    platform.page("/oidctoken", json!({ "oidcToken": token("svc:octo") }));
    let uri = format!("{}/oidctoken", platform.endpoint.url());
    platform.assert_found(&[
        ("SYSTEM_OIDCREQUESTURI", &uri),
        ("SYSTEM_ACCESSTOKEN", "job"),
        ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "connection-1"),
    ]);
    let request = platform.request("/oidctoken");
    assert!(request.starts_with("POST /oidctoken?api-version=7.1&serviceConnectionId=connection-1 "), "{request}");
    assert!(request.contains("Bearer job"), "{request}");
    let refused = platform.run(&[], &[("SYSTEM_OIDCREQUESTURI", &uri)]).ended(2);
    assert!(refused.stderr.contains("SYSTEM_ACCESSTOKEN: $(System.AccessToken)"), "{}", refused.stderr);
}

#[test]
fn google() {
    let platform = Platform::new();
    let path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    platform.text(path, &token("svc:octo"));
    let host = platform.endpoint.url().replace("http://", "");
    platform.assert_found(&[("GCE_METADATA_HOST", &host)]);
    let request = platform.request(path);
    assert!(request.contains(&format!("?{AUDIENCE}&format=full ")), "{request}");
    assert!(request.to_ascii_lowercase().contains("metadata-flavor: google"), "{request}");
    platform.endpoint.page(path, Page::status("404 Not Found"));
    let refused = platform.run(&[], &[("GCE_METADATA_HOST", &host)]).ended(1);
    assert!(refused.stderr.contains("no service account"), "{}", refused.stderr);
}

#[test]
fn azure_on_a_machine_and_in_app_service() {
    let platform = Platform::new();
    let (host, path) = (platform.endpoint.url(), "/metadata/identity/oauth2/token");
    platform.page(path, json!({ "access_token": token("svc:octo"), "token_type": "Bearer" }));
    let environment = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", host.as_str()), ("AZURE_CLIENT_ID", "client-1")];
    platform.run(&["--platform", "azure"], &environment).ended(0);
    let request = platform.request(path);
    let query = "?api-version=2018-02-01&resource=https%3A%2F%2Fsts.example.com&client_id=client-1 ";
    assert!(request.contains(query) && request.to_ascii_lowercase().contains("metadata: true"), "{request}");

    platform.page("/msi", json!({ "access_token": token("svc:octo") }));
    let endpoint = format!("{host}/msi");
    platform.assert_found(&[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "secret")]);
    let request = platform.request("/msi");
    assert!(
        request.contains("api-version=2019-08-01")
            && request.to_ascii_lowercase().contains("x-identity-header: secret")
    );

    let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n";
    let body =
        json!({ "error": "invalid_resource", "error_description": "AADSTS500011: no such resource" }).to_string();
    platform.endpoint.page(path, Page::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()));
    let refused = platform.run(&["--platform", "azure"], &environment).ended(1);
    assert!(refused.stderr.contains("AADSTS500011"), "{}", refused.stderr);
}

/// What `GetWebIdentityToken` answers.
fn web_identity(token: &str) -> String {
    format!(
        "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetWebIdentityTokenResult>\
         <WebIdentityToken>{token}</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
    )
}

#[test]
fn aws_with_the_credentials_of_a_job_a_container_or_a_machine() {
    let platform = Platform::new();
    let url = platform.endpoint.url();
    platform.text("/", &web_identity(&token("svc:octo")));
    let keys = json!({ "AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "session" });
    platform.page("/credentials", keys.clone());
    platform.text("/latest/api/token", "imds-session");
    platform.text("/latest/meta-data/iam/security-credentials/", "deployer");
    platform.page("/latest/meta-data/iam/security-credentials/deployer", keys);
    platform.text("/latest/meta-data/placement/region", "eu-west-1");
    let container = format!("{url}/credentials");
    let sts = ("AWS_ENDPOINT_URL_STS", url.as_str());
    let region = ("AWS_REGION", "eu-west-1");

    platform.assert_found(&[sts, region, ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    let request = platform.request("/").to_ascii_lowercase();
    assert!(request.contains("credential=akid/") && request.contains("/eu-west-1/sts/aws4_request"), "{request}");
    assert!(request.contains("action=getwebidentitytoken") && !request.contains("x-amz-security-token"), "{request}");

    platform.assert_found(&[
        sts,
        region,
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod"),
    ]);
    assert!(platform.request("/").contains("x-amz-security-token: session"));
    assert!(platform.request("/credentials").contains("authorization: pod"));

    platform.run(&["--platform", "aws"], &[sts, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).ended(0);
    assert!(platform.request("/latest/api/token").starts_with("PUT "));
    assert!(platform.request("/latest/meta-data/placement/region").contains("imds-session"));

    let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>";
    let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    platform.endpoint.page("/", Page::Raw(format!("{head}{body}").into_bytes()));
    let environment = [sts, region, ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let refused = platform.run(&[], &environment).ended(1);
    assert!(
        refused.stderr.contains("not allowed") && refused.stderr.contains("sts:GetWebIdentityToken"),
        "{}",
        refused.stderr
    );
}

#[test]
fn where_nothing_shows_a_platform_the_command_says_what_to_do() {
    let platform = Platform::new();
    let refused = platform.run(&[], &[]);
    // A test machine may be one of a cloud.
    if refused.stderr.contains("found no ID token") {
        assert!(refused.ended(2).stderr.contains("--platform"));
    }
}
