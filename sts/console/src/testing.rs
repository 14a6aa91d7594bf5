//! A console with a fake admin API, and a browser that is signed in to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix_web::dev::Service as _;
use actix_web::http::header;
use actix_web::web::{Bytes, scope};
use actix_web::{App, HttpMessage as _, test};
use serde_json::{Value, json};
use sts_store::{LedgerFuture, SessionKey, SessionKind, SessionStore, StoredSession};
use sts_testkit::ManualClock;
use sts_types::{Digest256, Entropy, ObjectKind, RequestId, UnixTime};

use crate::{
    Actor, AdminApi, AdminTokenError, AdminTokenSource, ApiAnswer, ApiFuture, ApiRequest, BrowserRequest, Console,
    Method, Rights, Session, Sessions, SignedInBy,
};

const ORIGIN: &str = "http://127.0.0.1:9090";
const SESSION_ID: &str = "id-of-session";
/// The token of the session's forms.
pub(crate) const CSRF: &str = "csrf-of-session";
/// The id of every request.
pub(crate) const REQUEST_ID: &str = "01J8Z3QK5V6W7X8Y9ZABCDEFGH";

/// Markup, an attribute's end, a change of direction, an emoji, and length.
pub(crate) fn hostile() -> String {
    format!("\"><script>alert(1)</script><img src=x onerror='y'>\u{202e}\u{1f600}{}", "a".repeat(200))
}

/// What a fake admin API answers: the answers of a path are given in their order, the last one again and again.
#[derive(Default)]
pub(crate) struct FakeApi {
    answers: Mutex<Vec<(Method, String, ApiAnswer)>>,
    asked: Mutex<Vec<ApiRequest>>,
    is_of_files: bool,
}

impl FakeApi {
    /// Changes no object, as with `manage.kinds: []`.
    pub(crate) fn of_files(self) -> Self {
        Self { is_of_files: true, ..self }
    }

    /// Answers requests for `target`; one without a query string is for all of them.
    pub(crate) fn on(self, method: Method, target: &str, status: u16, body: Value) -> Self {
        let etag = body.get("revision").map(|revision| format!("\"{revision}\""));
        let body = body.to_string().into();
        self.answers.lock().unwrap().push((method, target.to_owned(), ApiAnswer { status, etag, body }));
        self
    }

    /// Answers as [`on`](Self::on), and no longer as before.
    pub(crate) fn instead_of(self, method: Method, target: &str, status: u16, body: Value) -> Self {
        self.answers.lock().unwrap().retain(|(other, path, _)| (*other, path.as_str()) != (method, target));
        self.on(method, target, status, body)
    }

    fn answer(&self, request: &ApiRequest) -> ApiAnswer {
        let path = request.target.split('?').next().unwrap_or_default();
        let mut answers = self.answers.lock().unwrap();
        let is_for = |(method, target, _): &(Method, String, ApiAnswer)| {
            *method == request.method && (*target == request.target || target == path)
        };
        let found = answers.iter().position(is_for);
        let Some(index) = found else {
            let detail = format!("the fake has no answer to {} {}", request.method.name(), request.target);
            let body = json!({ "detail": detail, "request_id": REQUEST_ID }).to_string().into();
            return ApiAnswer { status: 404, etag: None, body };
        };
        match answers.iter().filter(|answer| is_for(answer)).count() {
            1 => answers[index].2.clone(),
            _ => answers.remove(index).2,
        }
    }
}

impl AdminApi for FakeApi {
    fn call<'a>(&'a self, _: &'a Actor, request: ApiRequest) -> ApiFuture<'a> {
        let answer = self.answer(&request);
        self.asked.lock().unwrap().push(request);
        Box::pin(async { answer })
    }

    fn managed_kinds(&self) -> Vec<ObjectKind> {
        match self.is_of_files {
            true => Vec::new(),
            false => ObjectKind::ALL.to_vec(),
        }
    }
}

#[derive(Default)]
pub(crate) struct MemorySessions(Mutex<HashMap<SessionKey, StoredSession>>);

impl SessionStore for MemorySessions {
    fn create(&self, session: StoredSession) -> LedgerFuture<'_, ()> {
        self.0.lock().unwrap().insert(session.key, session);
        Box::pin(async { Ok(()) })
    }

    fn replace(&self, session: StoredSession) -> LedgerFuture<'_, bool> {
        let was_there = self.0.lock().unwrap().insert(session.key, session).is_some();
        Box::pin(async move { Ok(was_there) })
    }

    fn session(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        let found = self.0.lock().unwrap().get(&key).cloned();
        Box::pin(async { Ok(found) })
    }

    fn take(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        let taken = self.0.lock().unwrap().remove(&key);
        Box::pin(async { Ok(taken) })
    }

    fn forget_ended(&self, _: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Digest of the admin token.
const ADMIN_TOKEN: Digest256 = Digest256([7; 32]);

struct OneToken;

impl AdminTokenSource for OneToken {
    fn digest(&self) -> Result<Digest256, AdminTokenError> {
        Ok(ADMIN_TOKEN)
    }
}

/// A browser that is signed in.
pub(crate) struct Browser {
    console: Console,
    api: Arc<FakeApi>,
}

impl Browser {
    /// With the rights of administrators.
    pub(crate) async fn admin(api: FakeApi) -> Self {
        Self::signed_in(api, Rights::Admin).await
    }

    /// With the right to look.
    pub(crate) async fn reader(api: FakeApi) -> Self {
        Self::signed_in(api, Rights::Read).await
    }

    async fn signed_in(api: FakeApi, rights: Rights) -> Self {
        let (api, store, clock) =
            (Arc::new(api), Arc::new(MemorySessions::default()), Arc::new(ManualClock::at_millis(1_790_000_000_000)));
        let now = sts_types::Clock::now(&*clock);
        let session = Session {
            user: hostile(),
            rights,
            by: SignedInBy::Link,
            terms: ADMIN_TOKEN,
            csrf: CSRF.to_owned(),
            created: now,
            last_used: now,
        };
        let key = SessionKey { kind: SessionKind::Session, digest: sts_jose::sha256(SESSION_ID.as_bytes()) };
        store.create(StoredSession { key, until: session.until(), payload: json!(session) }).await.unwrap();
        let sessions = Arc::new(Sessions::new(store, clock, Arc::new(Zeros), Arc::new(OneToken)));
        Self { console: Console::new(api.clone(), sessions), api }
    }

    /// The page at `path`.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(test::TestRequest::get(), path, String::new()).await
    }

    /// The answer to a form with the token of the session.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", CSRF)
            .extend_pairs(fields)
            .finish();
        let request = test::TestRequest::post()
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .insert_header((header::ORIGIN, ORIGIN));
        self.send(request, path, body).await
    }

    /// [`post`](Self::post) of what [`Page::sent`] returns.
    pub(crate) async fn post_owned(&self, path: &str, fields: &[(String, String)]) -> Page {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(path, &fields).await
    }

    async fn send(&self, request: test::TestRequest, path: &str, body: String) -> Page {
        let body = Bytes::from(body);
        let service = scope("/console").configure(crate::routes(self.console.clone())).wrap_fn(move |request, next| {
            let (request_id, origin) = (RequestId::new(REQUEST_ID).unwrap(), ORIGIN.to_owned());
            let events = crate::SessionRecorder::new(std::sync::Arc::new(NoRecord));
            let browser = BrowserRequest { request_id, address: None, events, origin, body: body.clone() };
            request.extensions_mut().insert(browser);
            next.call(request)
        });
        let service = test::init_service(App::new().service(service)).await;
        // The listener encodes percent signs once more, so that the router decodes nothing.
        let path = path.replace('%', "%25").replace("/console/?", "/console?");
        let cookie = (header::COOKIE, format!("__Host-sts-console={SESSION_ID}"));
        let response = test::call_service(&service, request.uri(&path).insert_header(cookie).to_request()).await;
        let status = response.status().as_u16();
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (location, notice) = (text("location").to_owned(), text("set-cookie").to_owned());
        let body = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Page { status, location, notice, body }
    }

    /// The requests that the pages sent to the admin API, without those that only read.
    pub(crate) fn changes(&self) -> Vec<ApiRequest> {
        let asked = self.api.asked.lock().unwrap();
        asked.iter().filter(|request| request.method != Method::Get).cloned().collect()
    }
}

/// An answer of the console.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: String,
    /// The cookie with the notice for the next page.
    pub(crate) notice: String,
    pub(crate) body: String,
}

impl Page {
    /// Holds what is true of every page, with hostile text in every place that a stranger may fill.
    pub(crate) fn assert_sound(&self) {
        let page = &self.body;
        assert!(page.contains("&#34;&#62;&#60;script&#62;"), "nothing hostile is on: {page}");
        for markup in ["<script>", "<img", "\"&#62;", "<style", " style=", "javascript:", "{{"] {
            assert!(!page.contains(markup), "{markup} is on: {page}");
        }
        assert_eq!(page.matches("<h1").count(), 1, "{page}");
        assert_eq!(page.matches("<script").count(), 1, "only the script of the layout: {page}");
        for form in page.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap_or_default()) {
            let has_token = form.contains(&format!("name=\"csrf\" value=\"{CSRF}\""));
            assert_eq!(form.contains("method=\"post\""), has_token, "{form}");
        }
        self.assert_labelled();
    }

    /// Holds that each field has a label and each id is used once.
    fn assert_labelled(&self) {
        let ids: Vec<&str> = attributes(&self.body, " id=\"");
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "the id {id} is used twice: {}", self.body);
        }
        for target in attributes(&self.body, " for=\"") {
            assert!(ids.contains(&target), "there is no {target} for its label: {}", self.body);
        }
        for tag in ["<input", "<select", "<textarea"] {
            for field in self.body.split(tag).skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
                let is_labelled =
                    attributes(field, " id=\"").first().is_some_and(|id| self.body.contains(&format!("for=\"{id}\"")));
                assert!(
                    is_labelled || field.contains("type=\"hidden\"") || field.contains("aria-label"),
                    "{tag}{field}"
                );
            }
        }
    }
}

impl Page {
    /// What a browser sends when the page's first form is submitted untouched.
    pub(crate) fn sent(&self) -> Vec<(String, String)> {
        let form = self.body.split("<form class=\"panel form\"").nth(1).unwrap().split("</form>").next().unwrap();
        let mut sent = Vec::new();
        for tag in form.split('<').skip(1) {
            let (head, text) = tag.split_once('>').unwrap_or((tag, ""));
            let attribute = |name: &str| attributes(head, &format!(" {name}=\"")).first().map(|text| unescaped(text));
            let name = attribute("name").unwrap_or_default();
            match head.split([' ', '\n']).next().unwrap_or_default() {
                // A line loses its line breaks, a hidden value keeps them.
                "input" if head.contains("type=\"hidden\"") => {
                    sent.push((name, attribute("value").unwrap_or_default()))
                }
                "input" => sent.push((name, attribute("value").unwrap_or_default().replace(['\r', '\n'], ""))),
                "textarea" => sent.push((name, unescaped(text.strip_prefix('\n').unwrap_or(text)))),
                "select" => sent.push((name, chosen(form, tag))),
                _ => {}
            }
        }
        sent.retain(|(name, _)| name != "csrf");
        for (_, value) in &mut sent {
            *value = value.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        sent
    }
}

/// The selected option of the select that begins with `tag`, else its first one.
fn chosen(form: &str, tag: &str) -> String {
    let select = form.split(tag).nth(1).unwrap_or_default().split("</select>").next().unwrap_or_default();
    let options: Vec<&str> = select.split("<option").skip(1).filter_map(|option| option.split('>').next()).collect();
    let option = options.iter().find(|option| option.ends_with(" selected")).or(options.first());
    option.and_then(|option| attributes(option, " value=\"").first().map(|value| unescaped(value))).unwrap_or_default()
}

fn unescaped(text: &str) -> String {
    let marks = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    marks.iter().fold(text.to_owned(), |text, (escaped, mark)| text.replace(escaped, mark))
}

fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    page.split(name).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Records nothing.
struct NoRecord;

impl crate::RecordSession for NoRecord {
    fn record(&self, _: &BrowserRequest, _: crate::SessionEvent<'_>) {}
}
