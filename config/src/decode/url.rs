//! Rules for URLs: https, or http on loopback, and nothing that gives one identifier two spellings.

use std::net::IpAddr;

use sts_types::{CheckCode, Issuer, Located, hidden_char};
use url::{Host, Url};

use super::reader::Reader;
use super::scalars::Text;
use crate::quote::quoted;
use crate::yaml::Node;

/// Reads an issuer that must be a URL.
pub(super) fn issuer_url(reader: &mut Reader<'_>, node: &Node) -> Option<(Located<Issuer>, Checked)> {
    let checked = checked_url(reader, node, "`issuer`", false)?;
    Some((reader.name(node, Issuer::new)?, checked.1))
}

/// Reads a URL. `query` tells whether it may have a query.
pub(super) fn checked_url(reader: &mut Reader<'_>, node: &Node, what: &str, query: bool) -> Option<(String, Checked)> {
    let text = reader.text(node)?;
    if refuse_hidden_char(reader, &text, what) {
        return None;
    }
    match check(&text.value, query) {
        Ok(checked) => Some((text.value, checked)),
        Err(unfit) => {
            if unfit.secret {
                reader.report.hide_line(text.span);
            }
            reader.error(unfit.code(), text.span, format!("{what} is not valid: {}", unfit.message), unfit.help);
            None
        }
    }
}

/// Reports an invisible character in `text`. With it, the text differs from what a reader sees.
pub(super) fn refuse_hidden_char(reader: &mut Reader<'_>, text: &Text, what: &str) -> bool {
    let Some(found) = hidden_char(&text.value) else { return false };
    let help = if text.value.contains('@') {
        // What stands before it may be a password.
        reader.report.hide_line(text.span);
        "write it without that character".to_owned()
    } else if text.variable.is_some() {
        "set the variable again without that character".to_owned()
    } else {
        let visible = text.value.chars().filter(|c| !c.is_whitespace() && hidden_char(&format!("x{c}x")).is_none());
        format!("write {}, by hand", quoted(&visible.collect::<String>()))
    };
    reader.error(CheckCode::HiddenCharacter, text.span, format!("{what} contains {found}"), help);
    true
}

/// What the rules need to know about a URL.
pub(super) struct Checked {
    /// Whether it is plain http.
    pub(super) http: bool,
    /// Whether its host is `localhost` or a loopback address.
    pub(super) loopback: bool,
    /// Whether its host is a public name, judging by the name alone.
    pub(super) public: bool,
}

/// A fault in a URL.
pub(super) struct UrlError {
    pub(super) message: &'static str,
    pub(super) help: &'static str,
    /// Whether the URL contains credentials, so that messages must not show it.
    pub(super) secret: bool,
}

impl UrlError {
    /// The rule that the URL breaks.
    pub(super) const fn code(&self) -> CheckCode {
        if self.secret { CheckCode::CredentialsInUrl } else { CheckCode::InvalidUrl }
    }
}

const fn unfit(message: &'static str, help: &'static str) -> UrlError {
    UrlError { message, help, secret: false }
}

/// Checks an issuer or key set URL (OpenID Connect Discovery section 2, RFC 8414 section 2).
pub(super) fn check(text: &str, query: bool) -> Result<Checked, UrlError> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(unfit(
            "it has a space, backslash or control character",
            "write `https://...`, and percent-encode such characters",
        ));
    }
    let http = text.starts_with("http://");
    if !http && !text.starts_with("https://") {
        return Err(unfit("it does not begin with `https://`", "write `https://HOST...`, in lower case"));
    }
    let url = Url::parse(text).map_err(|_| unfit("it is not a URL", "write `https://HOST...`"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError {
            secret: true,
            ..unfit("it contains a user name or password", "remove everything before the `@`")
        });
    }
    if text.contains('#') || (!query && text.contains('?')) {
        return Err(unfit("it has a query or a fragment", "remove everything from the first `?` or `#` on"));
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => return Err(unfit("it has no host", "write `https://HOST...`")),
    };
    let public = matches!(url.host(), Some(Host::Domain(name)) if !loopback && is_public(name));
    Ok(Checked { http, loopback, public })
}

/// Endings of names that are private to a network (RFC 6761, RFC 6762, RFC 8375, ICANN's
/// `internal`, and common practice).
const PRIVATE_ENDINGS: [&str; 11] =
    ["local", "localhost", "internal", "intranet", "private", "lan", "home", "corp", "arpa", "svc", "test"];

fn is_public(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, ending)| !PRIVATE_ENDINGS.contains(&ending))
}
