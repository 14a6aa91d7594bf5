//! A model of tokens that come from one another, beside the service that it is compared with. It
//! shares no rule with the code.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use sts_jose::{Algorithm, OsEntropy};
use sts_testkit::{Forge, Key};
use sts_types::{ApiKey, Clock as _, Scope, UnixTime, rfc};

use super::{Fixture, entry, parameters};
use crate::chains::{Acting, Ask, From, Holder, Step};
use crate::support::NOW;

/// `robot` and `relay` may act for `octo`.
const CONFIG: &str = r#"
issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
issuers:
  ci: { issuer: "https://issuer.example", jwks_url: "https://issuer.example/keys" }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: [read, write] }
  other: { audience: "https://other.example.com", scopes: [read] }
service_accounts:
  octo:
    grants: { deploy: [read, write], other: [read] }
    delegation: { actors: [robot, relay] }
    identities:
      - { name: main, issuer: ci, subject: "job:main" }
      - { name: reads, issuer: ci, subject: "job:reads", scopes: [read] }
  robot:
    grants: { deploy: [read] }
    identities: [{ name: main, issuer: ci, subject: "job:robot" }]
  relay:
    grants: { deploy: [read] }
    identities: [{ name: main, issuer: ci, subject: "job:relay" }]
"#;

/// How long an ID token lives, and a token without another limit.
const ID_TOKEN_LIFE: i64 = 240;
const LIFE: i64 = 900;

static HOLDERS: LazyLock<[Key; 2]> = LazyLock::new(|| ["a", "b"].map(|kid| Key::new(Algorithm::ES256, kid)));

type Scopes = BTreeSet<&'static str>;

/// What the contract says of a token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    jwt: String,
    account: &'static str,
    root: From,
    api: &'static str,
    scopes: Scopes,
    expires_at: i64,
    /// The tokens that it came from, the nearest first.
    parents: Vec<usize>,
    /// All tokens that it ends with.
    depends_on: BTreeSet<usize>,
    /// Who acts, the latest first.
    actors: Vec<&'static str>,
    holder: Option<usize>,
    is_revoked: bool,
}

pub(crate) struct Model {
    fixture: Fixture,
    /// The wide key and the narrow one, while they are there.
    api_keys: [Option<ApiKey>; 2],
    pub(crate) tokens: Vec<Token>,
    proofs: usize,
}

impl Model {
    pub(crate) fn new() -> Self {
        let api_keys = [(); 2].map(|()| Some(ApiKey::generate(&OsEntropy)));
        let mut model = Self { fixture: Fixture::of(CONFIG.to_owned(), vec![]), api_keys, tokens: vec![], proofs: 0 };
        model.reload();
        model
    }

    fn reload(&mut self) {
        let entries = self.api_keys.iter().enumerate().filter_map(|(index, key)| {
            let scopes = (index == 1).then(|| vec![Scope::new("read").unwrap()]);
            key.as_ref().map(|key| super::ApiKeyEntry {
                scopes,
                name: format!("key {index}"),
                expires_at: UnixTime::from_secs(NOW + 1_000_000),
                ..entry(key)
            })
        });
        self.fixture.reload(entries.collect(), true);
    }

    fn now(&self) -> i64 {
        self.fixture.clock.now().as_secs()
    }

    fn is_rooted(&self, root: From) -> bool {
        match root {
            From::ApiKey { is_narrow } => self.api_keys[usize::from(is_narrow)].is_some(),
            From::IdToken(_) | From::Own(_) => true,
        }
    }

    pub(crate) fn is_active(&self, index: usize) -> bool {
        let is_sound = |index: &usize| {
            let token = &self.tokens[*index];
            !token.is_revoked && token.expires_at > self.now() && self.is_rooted(token.root)
        };
        is_sound(&index) && self.tokens[index].depends_on.iter().all(is_sound)
    }

    /// Whether the service says that it is active.
    pub(crate) async fn is_really_active(&self, index: usize) -> bool {
        self.fixture.is_active(&self.tokens[index].jwt).await
    }

    /// The token that the contract gives for a request, without its text. `None` if it gives none.
    fn expected(&self, ask: &Ask) -> Option<Token> {
        let mut token = self.proven(ask)?;
        self.let_act(ask, &mut token)?;
        if self.bindings(ask).any(|holder| token.holder != Some(holder)) {
            return None;
        }
        for parent in &token.parents {
            let parent = &self.tokens[*parent];
            if parent.api == ask.api {
                token.scopes.retain(|scope| parent.scopes.contains(scope));
            }
        }
        let asked: Scopes = ask.scope.split(' ').filter(|scope| !scope.is_empty()).collect();
        if token.scopes.is_empty() || !asked.is_subset(&token.scopes) {
            return None;
        }
        if !asked.is_empty() {
            token.scopes = asked;
        }
        token.expires_at = token.expires_at.min(self.now() + ask.life.unwrap_or(LIFE).min(LIFE));
        Some(token)
    }

    /// The keys that the presented tokens are bound to.
    fn bindings(&self, ask: &Ask) -> impl Iterator<Item = usize> {
        let subject = if let From::Own(index) = ask.from { self.tokens[index].holder } else { None };
        let actor = if let Acting::Own(index) = ask.acting { self.tokens[index].holder } else { None };
        subject.into_iter().chain(actor)
    }

    fn holder(&self, ask: &Ask) -> Option<usize> {
        match ask.holder {
            Holder::AsNeeded => self.bindings(ask).next(),
            Holder::Nobody => None,
            Holder::Is(index) => Some(index),
        }
    }

    /// What the caller proves: the account, and all that its root grants.
    fn proven(&self, ask: &Ask) -> Option<Token> {
        let base = |account, root, parents: Vec<usize>, depends_on, actors, expires_at| Token {
            jwt: String::new(),
            account,
            root,
            api: ask.api,
            scopes: granted(root, ask.api),
            expires_at,
            parents,
            depends_on,
            actors,
            holder: self.holder(ask),
            is_revoked: false,
        };
        match ask.from {
            From::IdToken(subject) => {
                let account = account_of(subject);
                let life = if matches!(ask.acting, Acting::Nobody) { LIFE } else { ID_TOKEN_LIFE };
                Some(base(account, ask.from, vec![], BTreeSet::new(), vec![], self.now() + life))
            }
            From::ApiKey { .. } => self
                .is_rooted(ask.from)
                .then(|| base("octo", ask.from, vec![], BTreeSet::new(), vec![], self.now() + LIFE)),
            From::Own(index) => {
                let parent = &self.tokens[index];
                if !self.is_active(index) || parent.parents.len() >= 3 {
                    return None;
                }
                let parents = [&[index][..], &parent.parents].concat();
                let depends_on = parent.depends_on.iter().copied().chain([index]).collect();
                Some(base(parent.account, parent.root, parents, depends_on, parent.actors.clone(), parent.expires_at))
            }
        }
    }

    /// Adds the actor. `None` if it may not act.
    fn let_act(&self, ask: &Ask, token: &mut Token) -> Option<()> {
        let actor = match ask.acting {
            Acting::Nobody => return Some(()),
            Acting::IdToken(subject) => {
                token.expires_at = token.expires_at.min(self.now() + ID_TOKEN_LIFE);
                account_of(subject)
            }
            Acting::Own(index) => {
                let own = &self.tokens[index];
                if !self.is_active(index) || own.parents.len() >= 3 || !own.actors.is_empty() {
                    return None;
                }
                token.depends_on.extend(own.depends_on.iter().copied().chain([index]));
                token.expires_at = token.expires_at.min(own.expires_at);
                own.account
            }
        };
        let may_act = token.account == "octo" && actor != "octo" && token.actors.len() < 4;
        let has_actors = !matches!(ask.from, From::ApiKey { .. });
        token.actors.insert(0, actor);
        (may_act && has_actors).then_some(())
    }

    /// Sends the request.
    async fn send(&mut self, ask: &Ask) -> Option<String> {
        let mut pairs: Vec<(&str, String)> = vec![("audience", ask.api.to_owned()), ("scope", ask.scope.to_owned())];
        pairs.extend(ask.life.map(|life| ("expires_in", life.to_string())));
        let exchange = ("grant_type", rfc::GRANT_TOKEN_EXCHANGE.to_owned());
        match ask.from {
            From::IdToken(subject) => pairs.extend([
                exchange,
                ("subject_token", self.id_token(subject)),
                ("subject_token_type", rfc::TOKEN_TYPE_ID_TOKEN.to_owned()),
            ]),
            From::Own(index) => pairs.extend([
                exchange,
                ("subject_token", self.tokens[index].jwt.clone()),
                ("subject_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN.to_owned()),
            ]),
            From::ApiKey { is_narrow } => {
                let key = self.api_keys[usize::from(is_narrow)].as_ref().map(|key| key.expose().to_string());
                pairs.extend([
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", "octo".to_owned()),
                    ("client_secret", key.unwrap_or_else(|| "sts_gone".to_owned())),
                ]);
            }
        }
        let (token, kind) = match ask.acting {
            Acting::Nobody => (String::new(), ""),
            Acting::IdToken(subject) => (self.id_token(subject), rfc::TOKEN_TYPE_ID_TOKEN),
            Acting::Own(index) => (self.tokens[index].jwt.clone(), rfc::TOKEN_TYPE_ACCESS_TOKEN),
        };
        pairs.extend([("actor_token", token), ("actor_token_type", kind.to_owned())]);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut parameters = parameters(&pairs);
        if let Some(holder) = self.holder(ask) {
            parameters.add_proof(self.proof(&HOLDERS[holder]));
        }
        self.fixture.send(&parameters, "192.0.2.1", true).await.ok()
    }

    fn id_token(&self, subject: &str) -> String {
        let now = self.now();
        self.fixture.issuer.token(&json!({ "sub": subject, "iat": now, "exp": now + ID_TOKEN_LIFE }))
    }

    fn proof(&mut self, key: &Key) -> String {
        self.proofs += 1;
        let claims = json!({
            "jti": format!("proof-{}", self.proofs), "htm": "POST", "htu": "https://sts.example.com/token", "iat": self.now(),
        });
        Forge::new(key, &claims).no_header("kid").header("typ", "dpop+jwt").header("jwk", key.jwk()).sign()
    }

    pub(crate) async fn take(&mut self, step: Step) {
        let count = self.tokens.len();
        match step {
            Step::Wait(seconds) => self.fixture.clock.advance(Duration::from_secs(seconds)),
            Step::EndApiKey { is_narrow } => {
                self.api_keys[usize::from(is_narrow)] = None;
                self.reload();
            }
            Step::Revoke(index) => {
                let Some(index) = newest(index, count) else { return };
                let service = &self.fixture.service;
                service.revoke_presented(&service.snapshot(), &self.tokens[index].jwt).await.unwrap();
                // Who presents what has expired revokes nothing, and need not.
                self.tokens[index].is_revoked = true;
            }
            Step::Ask(ask) => {
                let Some(ask) = among(ask, count) else { return };
                let expected = self.expected(&ask);
                let sent = self.send(&ask).await;
                assert_eq!(sent.is_some(), expected.is_some(), "{ask:?} of {:#?}", self.tokens);
                if let (Some(jwt), Some(token)) = (sent, expected) {
                    let token = Token { jwt, ..token };
                    self.check(&token);
                    self.tokens.push(token);
                }
            }
        }
    }

    /// Compares what a token says with the model.
    fn check(&self, token: &Token) {
        let claims = payload(&token.jwt);
        let scopes: Scopes =
            ["read", "write"].into_iter().filter(|scope| words(&claims["scope"]).contains(scope)).collect();
        assert_eq!(words(&claims["scope"]).len(), scopes.len());
        assert_eq!((&scopes, claims["exp"].as_i64()), (&token.scopes, Some(token.expires_at)), "{token:?}");
        assert_eq!(claims["sub"], token.account);
        assert_eq!(claims["aud"], format!("https://{}.example.com", token.api));
        let act = token.actors.iter().rev().fold(None, |act, actor| {
            Some(act.map_or_else(|| json!({ "sub": actor }), |act: Value| json!({ "sub": actor, "act": act })))
        });
        assert_eq!(claims.get("act"), act.as_ref());
        assert_eq!(claims.get("cnf").is_some(), token.holder.is_some());
        match token.parents.first().map(|parent| payload(&self.tokens[*parent].jwt)) {
            Some(parent) => {
                assert_eq!(claims["parent"], parent["jti"]);
                // A chain keeps what its first token was made on.
                for name in ["federated", "credential"] {
                    assert_eq!(claims.get(name), parent.get(name));
                }
                if parent.get("cnf").is_some() {
                    assert_eq!(claims["cnf"], parent["cnf"]);
                }
            }
            None => assert!(claims.get("parent").is_none()),
        }
    }
}

/// The request with tokens that there are. `None` if there is none yet.
fn among(ask: Ask, count: usize) -> Option<Ask> {
    let from = match ask.from {
        From::Own(index) => From::Own(newest(index, count)?),
        other => other,
    };
    let acting = match ask.acting {
        Acting::Own(index) => Acting::Own(newest(index, count)?),
        other => other,
    };
    Some(Ask { from, acting, ..ask })
}

/// The token at `index` from the end.
fn newest(index: usize, count: usize) -> Option<usize> {
    Some(count - 1 - index.checked_rem(count)?)
}

fn account_of(subject: &str) -> &'static str {
    match subject {
        "job:robot" => "robot",
        "job:relay" => "relay",
        _ => "octo",
    }
}

/// What a root grants at an API.
fn granted(root: From, api: &str) -> Scopes {
    let scopes: &[&str] = match (root, api) {
        (From::IdToken("job:main") | From::ApiKey { is_narrow: false }, "deploy") => &["read", "write"],
        (From::IdToken("job:robot" | "job:relay"), "other") => &[],
        _ => &["read"],
    };
    scopes.iter().copied().collect()
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_str().unwrap_or_default().split(' ').filter(|word| !word.is_empty()).collect()
}
