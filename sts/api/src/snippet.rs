//! What somebody pastes into a workload so that it gets a token.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// A workload that is to get a token.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The preset of its issuer entry.
    pub preset: Option<&'a str>,
    /// Our issuer.
    pub server: &'a str,
    /// The service account.
    pub account: &'a str,
    /// The audience that its ID token needs.
    pub audience: &'a str,
    /// The deployment environment that its job runs in.
    pub environment: Option<&'a str>,
    /// The branch whose pushes start it.
    pub branch: Option<&'a str>,
}

/// What to paste, and where to.
#[derive(Debug)]
pub struct Snippet {
    /// What it is, for people.
    pub title: &'static str,
    /// What to call a file of it.
    pub file_name: &'static str,
    /// The text.
    pub code: String,
}

impl Snippet {
    /// The snippet for a workload.
    #[must_use]
    pub fn of(workload: &Workload<'_>) -> Self {
        let (title, file_name, code) = match workload.preset.unwrap_or_default() {
            "github-actions" => ("GitHub Actions workflow", "github-workflow.yml", workload.github()),
            "gitlab" => ("GitLab job", "gitlab-ci.yml", workload.gitlab()),
            "kubernetes" => ("Kubernetes pod", "pod.yaml", workload.kubernetes()),
            "bitbucket" => ("Bitbucket Pipelines step", "bitbucket-pipelines.yml", workload.bitbucket()),
            "circleci" => ("CircleCI job", "circleci.yml", workload.circleci()),
            "buildkite" => ("Buildkite step", "buildkite.yml", workload.buildkite()),
            "azure-devops" => ("Azure Pipelines step", "azure-pipelines.yml", workload.azure_pipelines()),
            name @ ("azure" | "aws" | "google" | "terraform-cloud") => {
                ("Shell", "exchange.sh", format!("{} --platform {name}\n", workload.exchange()))
            }
            _ => ("Shell", "exchange.sh", format!("{} --token-file id.token\n", workload.exchange())),
        };
        Self { title, file_name, code }
    }
}

impl Workload<'_> {
    /// The command that prints an access token.
    fn exchange(&self) -> String {
        let mut command = format!("sts exchange --url {} --account {}", word(self.server), self.account);
        if self.audience != self.server && matches!(self.preset, Some("azure" | "aws" | "google" | "buildkite")) {
            let _written = write!(command, " --token-audience {}", word(self.audience));
        }
        command
    }

    fn github(&self) -> String {
        let mut head = String::new();
        if let Some(branch) = self.branch {
            let _written = writeln!(head, "name: deploy\non: {{ push: {{ branches: [{}] }} }}", quoted(branch));
        }
        let mut job = String::from("jobs:\n  deploy:\n    runs-on: ubuntu-latest\n");
        if let Some(environment) = self.environment {
            let _written = writeln!(job, "    environment: {}", quoted(environment));
        }
        let (server, account, audience) = (self.server, self.account, in_query(self.audience));
        let server = word(server);
        format!(
            r#"{head}permissions: {{ id-token: write }}
{job}    defaults: {{ run: {{ shell: bash }} }}
    steps:
      - name: exchange the job's ID token for an access token
        run: |
          answer=$(
            curl -sS --fail -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
              "$ACTIONS_ID_TOKEN_REQUEST_URL&audience={audience}" |
              jq -j .value |
              curl -sS --fail-with-body {server}/token \
                --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \
                --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:id_token \
                --data-urlencode subject_token@- \
                --data-urlencode audience={account}
          ) || {{ echo "$answer"; exit 1; }}
          access_token=$(jq -r .access_token <<< "$answer")
          echo "::add-mask::$access_token"
          echo "ACCESS_TOKEN=$access_token" >> "$GITHUB_ENV"
"#
        )
    }

    fn gitlab(&self) -> String {
        format!(
            "deploy:
  id_tokens:
    STS_ID_TOKEN: {{ aud: {} }}
  script:
    - ACCESS_TOKEN=$({})
",
            quoted(self.audience),
            self.exchange(),
        )
    }

    fn kubernetes(&self) -> String {
        format!(
            "# In the pod's spec. Then: {}
containers:
  - name: app
    env: [{{ name: STS_ID_TOKEN_FILE, value: /var/run/sts/token }}]
    volumeMounts: [{{ name: sts, mountPath: /var/run/sts }}]
volumes:
  - name: sts
    projected:
      sources: [{{ serviceAccountToken: {{ audience: {}, path: token, expirationSeconds: 600 }} }}]
",
            self.exchange(),
            quoted(self.audience),
        )
    }

    fn bitbucket(&self) -> String {
        // An identity knows the environment by its id. A step names it.
        let deployment = self.environment.map_or("", |_| "\n        deployment: production");
        format!(
            "pipelines:
  default:
    - step:
        oidc: true{deployment}
        script:
          - ACCESS_TOKEN=$({})
",
            self.exchange(),
        )
    }

    fn circleci(&self) -> String {
        format!(
            "jobs:
  deploy:
    docker: [{{ image: cimg/base:current }}]
    steps:
      - run: |
          ACCESS_TOKEN=$({} --token-audience {})
workflows:
  deploy:
    jobs:
      # A job has ID tokens in a context only.
      - deploy: {{ context: [deploy] }}
",
            self.exchange(),
            word(self.audience),
        )
    }

    fn buildkite(&self) -> String {
        format!(
            "steps:
  - label: deploy
    command: |
      ACCESS_TOKEN=$$({})
",
            self.exchange(),
        )
    }

    fn azure_pipelines(&self) -> String {
        format!(
            "steps:
  - script: |
      ACCESS_TOKEN=$({})
    env: {{ SYSTEM_ACCESSTOKEN: $(System.AccessToken) }}
",
            self.exchange(),
        )
    }
}

/// A text as one word of a shell.
fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@%+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// A text as a value of a query, as short as that may be: `:` and `/` stand for themselves there (RFC
/// 3986 section 3.4).
fn in_query(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace("%3A", ":").replace("%2F", "/")
}

/// A text in quotes, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKLOAD: Workload<'_> = Workload {
        preset: None,
        server: "https://sts.example",
        account: "octo",
        audience: "https://aud.example",
        environment: None,
        branch: None,
    };

    #[test]
    fn each_snippet_is_filled_in() {
        for (preset, asks_for_audience) in [
            ("github-actions", true),
            ("gitlab", true),
            ("kubernetes", true),
            ("circleci", true),
            ("buildkite", true),
            ("google", true),
            ("aws", true),
            ("azure-devops", false),
            ("bitbucket", false),
            ("okta", false),
        ] {
            let code = Snippet::of(&Workload { preset: Some(preset), ..WORKLOAD }).code;
            assert!(code.contains("https://sts.example") && code.contains("octo"), "{code}");
            assert_eq!(code.contains("https://aud.example"), asks_for_audience, "{code}");
        }
    }

    #[test]
    fn a_shell_takes_no_text_for_a_command() {
        let hostile = Workload { server: "https://sts.example/$(id)", audience: "a' b&c", ..WORKLOAD };
        let code = |preset| Snippet::of(&Workload { preset: Some(preset), ..hostile }).code;
        assert!(code("okta").contains("--url 'https://sts.example/$(id)' --account"), "{}", code("okta"));
        assert!(code("circleci").contains(r"--token-audience 'a'\'' b&c')"), "{}", code("circleci"));
        let github = code("github-actions");
        assert!(github.contains("&audience=a%27+b%26c\"") && github.contains("'https://sts.example/$(id)'/token"));
        assert_eq!(in_query("https://sts.example"), "https://sts.example");
    }

    #[test]
    fn a_workflow_runs_in_the_environment_and_on_the_branch_that_the_identity_names() {
        let github = Workload { preset: Some("github-actions"), ..WORKLOAD };
        let code = Snippet::of(&Workload { environment: Some("production"), branch: Some("main"), ..github }).code;
        assert!(code.contains("    environment: \"production\"\n") && code.contains("branches: [\"main\"]"), "{code}");
        let code = Snippet::of(&github).code;
        assert!(!code.contains("environment:") && code.starts_with("permissions:"), "{code}");
    }
}
