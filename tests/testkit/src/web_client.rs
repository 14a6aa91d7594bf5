//! A person's browser, as far as a server can tell: cookies, and forms that pages gave it.

use crate::{OpenIdProvider, Request, Response, Server, form, send};
use serde_json::Value;
use std::net::SocketAddr;

/// The cookie of a console session.
const COOKIE: &str = "__Host-sts-console";
/// The cookie of a sign-in that has begun.
const SIGN_IN_COOKIE: &str = "__Host-sts-sign-in";

/// A browser at a console. It has the session cookie that the server set last, and sends `Origin`
/// with a form as browsers do.
#[derive(Clone, Debug)]
pub struct WebClient {
    address: SocketAddr,
    /// The id of the session, if there is one.
    pub session: Option<String>,
    /// The browser's part of a sign-in that has begun.
    pub sign_in: Option<String>,
}

impl WebClient {
    /// A browser without a session.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, session: None, sign_in: None }
    }

    /// A browser that opened a link of `sts console link`.
    ///
    /// # Panics
    /// If the link opens no session.
    #[must_use]
    pub fn signed_in(server: &Server) -> Self {
        let mut client = Self::new(server.admin());
        let opened = client.open_link(&console_link(server));
        assert_eq!(opened.status, 303, "{}", opened.text());
        assert!(client.session.is_some(), "{opened:?}");
        client
    }

    /// The same browser at another replica. Cookies know nothing of ports.
    #[must_use]
    pub fn at(&self, server: &Server) -> Self {
        Self { address: server.admin(), ..self.clone() }
    }

    /// Opens a link of `sts console link` and presses its button.
    pub fn open_link(&mut self, link: &str) -> Response {
        let (_, target) = link.split_once("/console/").expect("a link into the console");
        let page = self.get(&format!("/console/{target}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let code = hidden_field(&page.text(), "code").expect("the page of a link has its code");
        self.send(self.form("/console/link", &[("code", &code)]))
    }

    /// Signs in at `provider` as a person with these claims, and returns what the callback answers.
    pub fn sign_in_at(&mut self, provider: &OpenIdProvider, claims: &Value) -> Response {
        let location = self.begin_sign_in("/console/sign-in");
        let back = provider.sign_in(&location, claims);
        self.arrive(&back)
    }

    /// Begins a sign-in. Returns where the console leads.
    ///
    /// # Panics
    /// If it leads nowhere.
    pub fn begin_sign_in(&mut self, target: &str) -> String {
        let begun = self.get(target);
        assert_eq!(begun.status, 303, "{}", begun.text());
        begun.header("location").expect("a place to sign in").to_owned()
    }

    /// Follows a link of another site to this address: the cookie of the session, which is strict, does
    /// not come along.
    pub fn arrive(&mut self, url: &str) -> Response {
        let target = url.find("/console").map_or(url, |at| &url[at..]);
        let session = self.session.take();
        let response = self.send(Request::get(target));
        self.session = self.session.take().or(session);
        response
    }

    /// Reads a page.
    pub fn get(&mut self, target: &str) -> Response {
        self.send(Request::get(target))
    }

    /// Sends the form `fields` to `target`, with the session's token as the page `from` has it.
    ///
    /// # Panics
    /// If the page has no form.
    pub fn submit(&mut self, from: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let page = self.get(from);
        let token = hidden_field(&page.text(), "csrf");
        let token = token.unwrap_or_else(|| panic!("{from} has no form: {} {}", page.status, page.text()));
        let mut all = vec![("csrf", &*token)];
        all.extend_from_slice(fields);
        self.send(self.form(target, &all))
    }

    /// A form as one of the console's own pages sends it.
    #[must_use]
    pub fn form(&self, target: &str, fields: &[(&str, &str)]) -> Request {
        let body = form(fields);
        let request = Request::new("POST", target).body("application/x-www-form-urlencoded", body);
        request.header("Origin", &format!("http://{}", self.address)).header("Sec-Fetch-Site", "same-origin")
    }

    /// Sends `request` with the session cookie, and keeps the cookie of the answer.
    pub fn send(&mut self, request: Request) -> Response {
        let cookies = [(COOKIE, &self.session), (SIGN_IN_COOKIE, &self.sign_in)];
        let cookies = cookies.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = if cookies.is_empty() { request } else { request.header("Cookie", &cookies) };
        let response = send(self.address, &request);
        for (_, value) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            let value = (!value.is_empty()).then(|| value.to_owned());
            match name {
                COOKIE => self.session = value,
                SIGN_IN_COOKIE => self.sign_in = value,
                _ => {}
            }
        }
        response
    }
}

/// A new link, as `sts console link` prints it.
///
/// # Panics
/// If the command fails.
#[must_use]
pub fn console_link(server: &Server) -> String {
    let made = server.cli(&["console", "link"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    made.stdout.trim().to_owned()
}

/// The value of the first hidden field of that name.
#[must_use]
pub fn hidden_field(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("type=\"hidden\" name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}
