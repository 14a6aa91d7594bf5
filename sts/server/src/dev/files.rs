//! The configuration files of `sts dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sts_jose::OsEntropy;
use sts_types::{Entropy as _, NewFileOwner, create_file};

use crate::start_error::StartError;

/// The paths of the files, and the secret in them.
pub(super) struct Files {
    pub(super) config: PathBuf,
    pub(super) accounts: PathBuf,
    /// The introspection secret of the API `deploy`.
    pub(super) secret: String,
}

impl Files {
    pub(super) fn write(
        directory: &Path,
        (public, admin): (SocketAddr, SocketAddr),
        issuer: SocketAddr,
    ) -> Result<Self, StartError> {
        let mut random = [0; 24];
        OsEntropy.fill(&mut random);
        let files = Self {
            config: directory.join("sts.yaml"),
            accounts: directory.join("accounts.yaml"),
            secret: sts_jose::base64url(&random),
        };
        let config = CONFIG
            .replace("PUBLIC", &public.to_string())
            .replace("ADMIN", &admin.to_string())
            .replace("ISSUER", &format!("http://{issuer}"));
        let write = |path: &Path, text: &str| {
            create_file(path, text.as_bytes(), NewFileOwner::Process)
                .map_err(|error| StartError::DataDir { path: path.to_owned(), error })
        };
        write(&files.config, &config)?;
        write(&files.accounts, ACCOUNTS)?;
        write(&directory.join("deploy.secret"), &files.secret)?;
        Ok(files)
    }
}

const CONFIG: &str = r#"issuer: http://PUBLIC
listen: PUBLIC
admin: { listen: "ADMIN" }
data_dir: data
log: { level: info }

issuers:
  github: { issuer: "ISSUER/github", preset: github-actions, allow_http: true }
  gitlab: { issuer: "ISSUER/gitlab", preset: gitlab, allow_http: true }
  cluster: { issuer: "ISSUER/kubernetes", preset: kubernetes, allow_http: true }

apis:
  deploy:
    audience: https://deploy.example.com
    scopes: ["deployments:create", "releases:read"]
    introspection_secret_file: deploy.secret

accounts: accounts.yaml
"#;

const ACCOUNTS: &str = r#"teams:
  deployers:
    grants: { deploy: ["deployments:create", "releases:read"] }

service_accounts:
  octo-deploy:
    teams: [deployers]
    identities:
      - name: main branch
        issuer: github
        github: { repository_owner_id: 65, repository_id: 74, ref: refs/heads/main }
      - name: gitlab
        issuer: gitlab
        gitlab: { project_id: 20, ref: main }
        scopes: ["releases:read"]
  octo-pod:
    grants: { deploy: ["releases:read"] }
    identities:
      - name: pod
        issuer: cluster
        kubernetes: { namespace: octo-ns, service_account: octo-sa }
        ttl: 5m

tests:
  - name: a pull request gets nothing
    token: { preset: github-actions, event_name: pull_request }
    account: octo-deploy
    expect: deny
    because: event_name
"#;
