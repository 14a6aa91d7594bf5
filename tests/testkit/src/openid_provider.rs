//! An OpenID provider on loopback, where people sign in. It checks what the standards let a provider
//! check, and a test can bend each of its answers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use sts_jose::{base64url, sha256};
use url::Url;

use crate::{Algorithm, Forge, Key, basic, form, now};

/// Signs the ID token of a sign-in, or makes something else in its place.
type Bend = Box<dyn Fn(Forge<'_>) -> String + Send>;
/// What the token endpoint answers, as status line and body.
type RawAnswer = (String, String);

/// A running provider. It stops when it is dropped.
pub struct OpenIdProvider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    key: Key,
    client_id: String,
    secret: Option<String>,
    /// Members that the discovery document has beside the usual ones, or in place of them.
    document: Map<String, Value>,
    codes: BTreeMap<String, Authorization>,
    issued: usize,
    bend: Option<Bend>,
    raw_answer: Option<RawAnswer>,
    is_silent: bool,
    is_over: bool,
    /// The forms that the token endpoint received.
    forms: Vec<BTreeMap<String, String>>,
    asked: BTreeMap<String, usize>,
}

/// What the provider remembers of an authorization request.
struct Authorization {
    redirect_uri: String,
    challenge: String,
    nonce: String,
    claims: Value,
}

impl std::fmt::Debug for OpenIdProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenIdProvider").finish_non_exhaustive()
    }
}

impl OpenIdProvider {
    /// Starts a provider that knows one client. A public client has no secret.
    #[must_use]
    pub fn start(client_id: &str, secret: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            key: Key::new(Algorithm::ES256, "provider"),
            client_id: client_id.to_owned(),
            secret: secret.map(str::to_owned),
            document: Map::new(),
            codes: BTreeMap::new(),
            issued: 0,
            bend: None,
            raw_answer: None,
            is_silent: false,
            is_over: false,
            forms: Vec::new(),
            asked: BTreeMap::new(),
        };
        let provider = Self { address, state: Arc::new(Mutex::new(state)) };
        let state = Arc::clone(&provider.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if state.lock().unwrap().is_over {
                    break;
                }
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(stream, address, &state));
            }
        });
        provider
    }

    /// Its `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its public keys.
    #[must_use]
    pub fn jwks(&self) -> Value {
        Key::set(&[&self.state().key])
    }

    /// Replaces a member of the discovery document. `null` removes it.
    pub fn document(&self, member: &str, value: impl Into<Value>) {
        self.state().document.insert(member.to_owned(), value.into());
    }

    /// What becomes of the next ID tokens, in place of being signed.
    pub fn bend(&self, bend: impl Fn(Forge<'_>) -> String + Send + 'static) {
        self.state().bend = Some(Box::new(bend));
    }

    /// Answers of the token endpoint: a status line such as `200 OK`, and a body.
    pub fn answer_tokens(&self, status: &str, body: &str) {
        self.state().raw_answer = Some((status.to_owned(), body.to_owned()));
    }

    /// From now on it accepts connections and never answers.
    pub fn fall_silent(&self) {
        self.state().is_silent = true;
    }

    /// The forms that the token endpoint received.
    #[must_use]
    pub fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.state().forms.clone()
    }

    /// How often a path was requested.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.state().asked.get(path).copied().unwrap_or(0)
    }

    /// A person with these claims signs in at the address that the console led to. Returns where the
    /// provider leads the browser next.
    ///
    /// # Panics
    /// If the request is not one that a provider may answer.
    #[must_use]
    pub fn sign_in(&self, location: &str, claims: &Value) -> String {
        let url = Url::parse(location).unwrap();
        assert!(location.starts_with(&format!("{}/authorize?", self.url())), "{location}");
        let mut parameters = BTreeMap::new();
        for (name, value) in url.query_pairs().into_owned() {
            assert!(parameters.insert(name, value).is_none(), "{location}");
        }
        let mut state = self.state();
        assert_eq!((&*parameters["response_type"], &parameters["client_id"]), ("code", &state.client_id), "{location}");
        assert_eq!(parameters["code_challenge_method"], "S256", "{location}");
        assert!(parameters["scope"].split(' ').any(|scope| scope == "openid"), "{location}");
        state.issued += 1;
        let code = format!("code-{}", state.issued);
        let authorization = Authorization {
            redirect_uri: parameters["redirect_uri"].clone(),
            challenge: parameters["code_challenge"].clone(),
            nonce: parameters["nonce"].clone(),
            claims: claims.clone(),
        };
        state.codes.insert(code.clone(), authorization);
        format!("{}?{}", parameters["redirect_uri"], form(&[("code", &code), ("state", &parameters["state"])]))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.lock() {
            state.is_over = true;
        }
        // Wakes the accepting thread, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut headers) = (String::new(), BTreeMap::new());
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        line.clear();
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut state = state.lock().unwrap();
    *state.asked.entry(path.clone()).or_default() += 1;
    if state.is_silent {
        drop(state);
        // Only the client can end this connection.
        let _ = reader.read(&mut [0]);
        return;
    }
    let issuer = format!("http://{address}");
    let (status, body) = match path.as_str() {
        "/.well-known/openid-configuration" => ("200 OK".to_owned(), state.discovery(&issuer).to_string()),
        "/keys" => ("200 OK".to_owned(), Key::set(&[&state.key]).to_string()),
        "/token" => state.token(&issuer, &headers, &body),
        _ => ("404 Not Found".to_owned(), "{}".to_owned()),
    };
    drop(state);
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    let _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes());
}

impl State {
    fn discovery(&self, issuer: &str) -> Value {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
        });
        for (member, value) in &self.document {
            document[member] = value.clone();
        }
        let Value::Object(members) = document else { unreachable!("an object") };
        members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
    }

    /// The token endpoint (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
    fn token(&mut self, issuer: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> RawAnswer {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        self.forms.push(form.clone());
        if let Some(raw) = &self.raw_answer {
            return raw.clone();
        }
        let error = |status: &str, code: &str| (status.to_owned(), json!({ "error": code }).to_string());
        if !self.is_client(headers.get("authorization"), &form) {
            return error("401 Unauthorized", "invalid_client");
        }
        let Some(authorization) = form.get("code").and_then(|code| self.codes.remove(code)) else {
            return error("400 Bad Request", "invalid_grant");
        };
        let verifier = form.get("code_verifier").map_or("", String::as_str);
        let is_of_request = form.get("grant_type").is_some_and(|grant| grant == "authorization_code")
            && form.get("redirect_uri") == Some(&authorization.redirect_uri)
            && base64url(&sha256(verifier.as_bytes()).0) == authorization.challenge;
        if !is_of_request {
            return error("400 Bad Request", "invalid_grant");
        }
        let token = self.id_token(issuer, &authorization);
        let answer =
            json!({ "access_token": "for the user info", "token_type": "Bearer", "expires_in": 60, "id_token": token });
        ("200 OK".to_owned(), answer.to_string())
    }

    fn is_client(&self, authorization: Option<&String>, form: &BTreeMap<String, String>) -> bool {
        let Some(secret) = &self.secret else { return form.get("client_id") == Some(&self.client_id) };
        if self.document.get("token_endpoint_auth_methods_supported") == Some(&json!(["client_secret_post"])) {
            return authorization.is_none() && form.get("client_secret") == Some(secret);
        }
        authorization
            .is_some_and(|value| *value == format!("Basic {}", basic(&encoded(&self.client_id), &encoded(secret))))
    }

    fn id_token(&self, issuer: &str, authorization: &Authorization) -> String {
        let mut claims = json!({
            "iss": issuer,
            "aud": self.client_id,
            "nonce": authorization.nonce,
            "iat": now(),
            "exp": now() + 300,
        });
        for (name, value) in authorization.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let forge = Forge::new(&self.key, &claims);
        match &self.bend {
            Some(bend) => bend(forge),
            None => forge.sign(),
        }
    }
}

/// Name and secret are encoded before they are joined (RFC 6749 section 2.3.1).
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
