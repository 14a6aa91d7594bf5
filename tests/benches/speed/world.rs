//! What is exchanged: GitHub's claims as it makes them, under keys of ours, and the configurations that take them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Forge, Key, Sample, Site, form, now};

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";
pub(crate) const DEPLOY: &str = "https://deploy.example.com";
/// Accounts in a large policy have so many identities each.
pub(crate) const IDENTITIES_OF_AN_ACCOUNT: u32 = 10;
/// Accounts in a file of a large policy.
const ACCOUNTS_OF_A_FILE: usize = 1_000;

/// The issuer's key, and a directory for what is sent.
pub(crate) struct World {
    pub(crate) key: Key,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { key: Key::new(Algorithm::RS256, "38826b17"), directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A job's token, unlike any of another `number`.
    pub(crate) fn token(&self, number: usize) -> Forge<'_> {
        let iat = now() - 5;
        let mut claims = Sample::of("github-actions").at(iat);
        claims["aud"] = Config::ISSUER.into();
        claims["exp"] = (iat + 7200).into();
        claims["jti"] = format!("8d3a2f61-5f0e-4c58-9f1b-{number:012}").into();
        claims["run_id"] = number.to_string().into();
        Forge::new(&self.key, &claims).header("x5t", "ykNaY4qM_ta4k2TgZOCEYLkcYlA")
    }

    /// A file of exchanges, one a line: `count` tokens, each made by `token`, with further parameters.
    pub(crate) fn exchanges(
        &self,
        name: &str,
        count: usize,
        parameters: &[(&str, &str)],
        token: impl Fn(usize) -> String + Sync,
    ) -> PathBuf {
        self.bodies(name, count, |number| {
            let token = token(number);
            let fixed = [("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", token.as_str())];
            form(&fixed.iter().chain(parameters).copied().collect::<Vec<_>>())
        })
    }

    /// A file of bodies, one a line; those of a name are made once.
    pub(crate) fn bodies(&self, name: &str, count: usize, body: impl Fn(usize) -> String + Sync) -> PathBuf {
        let path = self.path(name);
        if !path.exists() {
            let half = |range: std::ops::Range<usize>| range.map(|number| body(number) + "\n").collect::<String>();
            let (first, second) = std::thread::scope(|scope| {
                let first = scope.spawn(|| half(0..count / 2));
                let second = half(count / 2..count);
                (first.join().unwrap(), second)
            });
            let mut out = BufWriter::new(File::create(&path).unwrap());
            out.write_all(first.as_bytes()).and_then(|()| out.write_all(second.as_bytes())).unwrap();
        }
        path
    }

    /// The configuration that every scenario begins with: one issuer, one API, one account with one identity.
    pub(crate) fn config(&self) -> Config {
        Config::new()
            .with("issuers/github", json!({ "issuer": ISSUER, "jwks": Key::set(&[&self.key]) }))
            .with(
                "apis/deploy",
                json!({ "audience": DEPLOY, "scopes": ["deployments:create", "releases:read"],
                        "introspection_secret_file": "deploy.secret" }),
            )
            .with("accounts", "accounts-*.yaml")
    }
}

/// The secret of the API, for introspection.
pub(crate) const SECRET: &str = "s3cret-of-the-deploy-api";

/// A directory with that configuration, and with so many accounts, of so many identities each, beside the one that the tokens are for.
pub(crate) fn site(config: &Config, accounts: usize, identities: usize) -> Site {
    let site = Site::with(config);
    site.write("deploy.secret", SECRET);
    site.write("accounts-0.yaml", own_account());
    for file in 0..accounts.div_ceil(ACCOUNTS_OF_A_FILE) {
        let from = file * ACCOUNTS_OF_A_FILE;
        site.write(
            &format!("accounts-{}.yaml", file + 1),
            others(from..accounts.min(from + ACCOUNTS_OF_A_FILE), identities),
        );
    }
    site
}

/// The account of the tokens: its last identity takes them.
fn own_account() -> String {
    let mut text = String::from(
        "teams:\n  deployers:\n    grants: { deploy: [\"deployments:create\", \"releases:read\"] }\n\
         service_accounts:\n  octo-deploy:\n    teams: [deployers]\n    identities:\n",
    );
    for number in 1..IDENTITIES_OF_AN_ACCOUNT {
        writeln!(
            text,
            "      - {{ name: env{number}, issuer: github, github: {{ repository: octo-org/octo-repo, repository_id: 74, environment: env{number} }} }}"
        )
        .unwrap();
    }
    text.push_str(
        "      - { name: main, issuer: github, github: { repository: octo-org/octo-repo, repository_id: 74, ref: refs/heads/main } }\n",
    );
    text
}

fn others(accounts: std::ops::Range<usize>, identities: usize) -> String {
    let mut text = String::from("service_accounts:\n");
    for account in accounts {
        write!(text, "  a{account}:\n    grants: {{ deploy: [\"releases:read\"] }}\n    identities:\n").unwrap();
        for number in 0..identities {
            let repository = 1_000 + account * identities + number;
            writeln!(
                text,
                "      - {{ name: r{number}, issuer: github, github: {{ repository: octo-org/r{repository}, repository_id: {repository}, ref: refs/heads/main }} }}"
            )
            .unwrap();
        }
    }
    text
}

/// The same configuration with other issuers beside.
pub(crate) fn with_issuers(config: Config, count: usize) -> Config {
    (1..count).fold(config, |config, number| {
        let key = Key::new(Algorithm::ES256, &format!("other-{number}"));
        let entry = json!({ "issuer": format!("https://issuer-{number}.example.com"), "jwks": Key::set(&[&key]) });
        config.with(&format!("issuers/other{number}"), entry)
    })
}

/// A form that introspects `token`.
pub(crate) fn introspection(token: &str) -> String {
    form(&[("token", token)])
}

/// The access token in an answer.
pub(crate) fn access_token(answer: &Value) -> String {
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
