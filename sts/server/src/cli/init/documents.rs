//! The files that `sts init` writes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sts_api::{Snippet, Workload};

use super::answers::filled;
use super::platform::{Fixed, Platform, Question, Target};

/// What was answered.
pub(super) struct Answered {
    pub(super) platform: &'static Platform,
    /// The answers to the platform's questions, by their names.
    pub(super) answers: BTreeMap<&'static str, String>,
    pub(super) issuer: String,
    pub(super) server: String,
    pub(super) account: String,
    pub(super) api: String,
    pub(super) api_audience: String,
    pub(super) scopes: Vec<String>,
}

/// A text in quotes, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The names as a list in YAML.
fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| self::quoted(name)).collect();
    format!("[{}]", quoted.join(", "))
}

/// What is not `answer` and looks like it: where a number is expected, a number.
fn another(answer: &str) -> String {
    if answer.bytes().all(|byte| byte.is_ascii_digit()) { format!("{answer}0") } else { format!("{answer}-2") }
}

impl Answered {
    fn filled(&self, template: &str) -> String {
        filled(template, &self.answers)
    }

    fn entry(&self) -> &'static str {
        self.platform.preset.name()
    }

    /// The audience that the platform's tokens have.
    fn audience(&self) -> String {
        self.platform.audience.map_or_else(|| self.server.clone(), |audience| self.filled(audience))
    }

    pub(super) fn configuration(&self) -> String {
        let Self { server, issuer, api, api_audience, .. } = self;
        let (entry, server, issuer, api_audience) =
            (self.entry(), quoted(server), quoted(issuer), quoted(api_audience));
        let mut members = String::new();
        if sts_policy::Preset::for_issuer(&self.issuer) != Some(self.platform.preset) {
            let _ = write!(members, "\n    preset: {entry}");
        }
        for (name, value) in self.platform.entry {
            let _ = write!(members, "\n    {name}: {}", self.filled(value));
        }
        let scopes = listed(&self.scopes);
        format!(
            "issuer: {server}   # the `iss` of our tokens; clients and verifiers reach the server here
# Behind a proxy that ends TLS: listen: 0.0.0.0:8080 and behind_tls_proxy: [ADDRESS/32]
# Without one: listen: 0.0.0.0:8443 and tls: {{ cert_file: tls.crt, key_file: tls.key }}
listen: 127.0.0.1:8080
data_dir: data   # the record of tokens, our signing keys, the admin token

# Whose ID tokens are accepted.
issuers:
  {entry}:
    issuer: {issuer}{members}

# What our access tokens are for.
apis:
  {api}:
    audience: {api_audience}
    scopes: {scopes}

accounts: accounts/*.yaml
"
        )
    }

    pub(super) fn accounts(&self) -> String {
        let Self { platform, account, api, .. } = self;
        let (entry, scopes) = (self.entry(), listed(&self.scopes));
        let mut text = format!(
            "service_accounts:
  {account}:
    grants: {{ {api}: {scopes} }}
    identities:
      - name: {entry}
        issuer: {entry}
"
        );
        if platform.audience.is_some() {
            let _ = writeln!(text, "        audience: {}   # what these tokens have", quoted(&self.audience()));
        }
        for (_, template) in self.subjects() {
            let _ = writeln!(text, "        subject: {}", quoted(&self.filled(template)));
        }
        let conditions = self.conditions();
        if !conditions.is_empty() {
            let _ = writeln!(text, "        {}:", platform.preset.short_rule_key().unwrap_or("claims"));
        }
        for (name, yaml) in conditions {
            let _ = writeln!(text, "          {name}: {yaml}");
        }
        text.push_str("\n# Run by `sts check` and at every load. A load whose tests fail is refused.\ntests:\n");
        text + &self.tests()
    }

    /// The questions whose answers are the subject.
    fn subjects(&self) -> impl Iterator<Item = (&'static Question, &'static str)> {
        self.platform.questions.iter().filter_map(|question| match question.target {
            Target::Subject(template) => Some((question, template)),
            _ => None,
        })
    }

    /// The conditions of the identity beside its subject: name and value in YAML.
    fn conditions(&self) -> Vec<(&'static str, String)> {
        let asked = self.platform.questions.iter().filter_map(|question| {
            let name = match question.target {
                Target::Member => question.name,
                Target::Claim(claim) => claim,
                Target::Subject(_) | Target::Text => return None,
            };
            Some((name, quoted(self.answers.get(question.name)?)))
        });
        asked.chain(self.platform.fixed.iter().map(|fixed| (fixed.name, self.filled(fixed.yaml)))).collect()
    }

    fn claim_of_fixed(&self, fixed: &Fixed) -> &'static str {
        self.platform.claim_of(fixed.name, Target::Member).unwrap_or(fixed.name)
    }

    /// A token of the workload, as far as it differs from a typical one of the platform.
    fn token(&self) -> Map<String, Value> {
        let mut token = Map::from_iter([("preset".to_owned(), json!(self.entry()))]);
        for (claim, template) in self.platform.token {
            set(&mut token, claim, json!(self.filled(template)));
        }
        for question in self.platform.questions {
            let (Some(claim), Some(answer)) =
                (self.platform.claim_of(question.name, question.target), self.answers.get(question.name))
            else {
                continue;
            };
            let value = match question.target {
                Target::Subject(template) => self.filled(template),
                _ => answer.clone(),
            };
            set(&mut token, claim, json!(value));
        }
        for fixed in self.platform.fixed {
            set(&mut token, self.claim_of_fixed(fixed), self.json(fixed.good));
        }
        if self.platform.audience.is_some() {
            set(&mut token, "aud", json!(self.audience()));
        }
        token
    }

    fn json(&self, template: &str) -> Value {
        serde_json::from_str(&self.filled(template)).unwrap_or_default()
    }

    fn tests(&self) -> String {
        let (account, entry, title) = (&self.account, self.entry(), self.platform.preset.title());
        let token = self.token();
        let scopes = listed(&self.scopes);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "  - name: {}\n    token: {}\n    account: {account}\n    expect: {{ account: {account}, identity: {entry}, scopes: {scopes} }}",
            quoted(&format!("{title}: the workload gets its token")),
            json!(token),
        );
        for (what, claim, value) in self.attacks() {
            let mut attack = token.clone();
            set(&mut attack, claim, value);
            let because = match claim {
                "sub" if self.subjects().next().is_some() => "subject",
                "aud" => "audience",
                claim => claim,
            };
            let _ = writeln!(
                text,
                "  - name: {}\n    token: {}\n    account: {account}\n    expect: deny\n    because: {}",
                quoted(&format!("{title}: {what}")),
                json!(attack),
                quoted(because),
            );
        }
        text
    }

    /// Tokens that get nothing: what they are, and the claim that is another one.
    fn attacks(&self) -> Vec<(String, &'static str, Value)> {
        let mut attacks = Vec::new();
        for question in self.platform.questions {
            let (Some(claim), Some(answer)) =
                (self.platform.claim_of(question.name, question.target), self.answers.get(question.name))
            else {
                continue;
            };
            let name = question.name;
            attacks.push((format!("another {name}"), claim, json!(another(answer))));
            if !matches!(question.target, Target::Subject(_)) && claim != "sub" {
                attacks.push((format!("no {name}"), claim, Value::Null));
            }
        }
        let fixed = self.platform.fixed.iter();
        attacks.extend(fixed.map(|fixed| (fixed.what.to_owned(), self.claim_of_fixed(fixed), self.json(fixed.bad))));
        let more = self.platform.attacks.iter();
        attacks.extend(more.map(|attack| (attack.what.to_owned(), attack.claim, self.json(attack.value))));
        attacks.push(("a token for another service".to_owned(), "aud", json!("https://other.example.com")));
        attacks
    }

    pub(super) fn snippet(&self) -> Snippet {
        let of = |name: &str| self.answers.get(name).map(String::as_str);
        Snippet::of(&Workload {
            preset: Some(self.entry()),
            server: &self.server,
            account: &self.account,
            audience: &self.audience(),
            environment: of("environment"),
            branch: of("ref").and_then(|git_ref| git_ref.strip_prefix("refs/heads/")),
        })
    }
}

/// Sets a claim, by its name or a pointer (RFC 6901).
fn set(claims: &mut Map<String, Value>, path: &str, value: Value) {
    let Some(pointer) = path.strip_prefix('/') else {
        claims.insert(path.to_owned(), value);
        return;
    };
    let mut names = pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).peekable();
    let mut place = claims;
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            place.insert(name, value);
            return;
        }
        let child = place.entry(name).or_insert_with(|| json!({}));
        let Value::Object(child) = child else { return };
        place = child;
    }
}
