//! `console:`. The OpenID provider where people sign in to the console, and who may.

use std::path::PathBuf;

use jwks_cache::{EntrySpec, KeySource, NetworkRule, ProxyUrl};
use sts_policy::ConsoleSpec;
use sts_types::{Algorithm, Audience, CheckCode, Issuer, Located, Scope};

use super::apis::scopes;
use super::conditions::conditions;
use super::issuer_keys::proxy;
use super::reader::{Fields, Reader};
use super::url::issuer_url;
use crate::objects::ConsoleProvider;
use crate::settings::Secret;
use crate::source::Span;
use crate::yaml::Node;

/// Scopes that make providers send what people are told apart by.
const DEFAULT_SCOPES: [&str; 3] = ["openid", "profile", "email"];
/// Without this scope a provider sends no ID token (OpenID Connect Core 1.0 section 3.1.2.1).
const OPENID: &str = "openid";
/// The name of the provider's keys in log lines and errors.
const ENTRY: &str = "console";

/// The contents of `console:`.
pub(crate) struct ConsoleDraft {
    rules: ConsoleSpec,
    client_id: Audience,
    scopes: Vec<Scope>,
    keys: EntrySpec,
    /// The file with the client's secret, not read yet.
    pub(crate) secret_file: Option<(PathBuf, Span)>,
}

impl ConsoleDraft {
    /// The provider, with the secret that was read from its file.
    pub(crate) fn with_secret(self, client_secret: Option<Secret>) -> ConsoleProvider {
        let Self { rules, client_id, scopes, keys, secret_file } = self;
        let client_secret_file = secret_file.map(|(path, _)| path);
        ConsoleProvider { rules, client_id, client_secret, client_secret_file, scopes, keys }
    }
}

/// Reads `console:`. Adds its CA file to `files`.
pub(crate) fn console(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    default_proxy: Option<&ProxyUrl>,
    files: &mut Vec<(PathBuf, Span)>,
) -> Option<ConsoleDraft> {
    let members = reader.section(fields, "console")?;
    let issuer = reader.required(&members, "issuer", provider);
    let client_id = reader.required(&members, "client_id", |reader, node| reader.name(node, Audience::new));
    let secret_file = members.node("client_secret_file").and_then(|node| Some((reader.secret_path(node)?, node.span)));
    let scopes = reader.optional(&members, "scopes", scopes);
    let admin = reader.optional(&members, "admin", conditions);
    let read = reader.optional(&members, "read", conditions);
    if !members.mentions("admin") && !members.mentions("read") {
        let help = "say who may change everything with `admin:`, and who may see everything with `read:`";
        reader.error(CheckCode::MissingKey, members.span, "`console` lets nobody in", help);
    }
    let ca_file = members.node("ca_file").and_then(|node| Some((reader.path(node)?, node.span)));
    files.extend(ca_file.clone());
    let own_proxy = reader.optional(&members, "proxy", proxy);
    let (issuer, is_http) = issuer?;
    let scopes = scopes.map(|scopes| scopes.into_iter().map(|scope| scope.value).collect());
    let keys = EntrySpec::new(ENTRY, issuer.value.as_str(), KeySource::Discovery).ok()?;
    Some(ConsoleDraft {
        client_id: client_id?.value,
        scopes: with_openid(scopes),
        keys: EntrySpec {
            algorithms: algorithms(),
            // This provider decides who administers the server, so its addresses are trusted, too.
            network: NetworkRule { allow_private_network: !is_http, allow_http: is_http },
            ca_file: ca_file.map(|(path, _)| path),
            // Plain http must not leave this host, so it never goes through the common proxy.
            proxy: own_proxy.unwrap_or_else(|| default_proxy.filter(|_| !is_http).cloned()),
            ..keys
        },
        rules: ConsoleSpec { issuer, admin, read },
        secret_file,
    })
}

/// Reads the provider's issuer, and whether it is plain http.
fn provider(reader: &mut Reader<'_>, node: &Node) -> Option<(Located<Issuer>, bool)> {
    let (issuer, checked) = issuer_url(reader, node)?;
    if checked.http && !checked.loopback {
        let message = "`issuer` uses plain http, which is allowed on loopback only";
        reader.error(CheckCode::PlainHttp, node.span, message, "write `https://...`");
        return None;
    }
    Some((issuer, checked.http))
}

fn with_openid(written: Option<Vec<Scope>>) -> Vec<Scope> {
    let mut scopes =
        written.unwrap_or_else(|| DEFAULT_SCOPES.iter().filter_map(|scope| Scope::new(scope).ok()).collect());
    if !scopes.iter().any(|scope| scope.as_str() == OPENID) {
        scopes.extend(Scope::new(OPENID).ok());
    }
    scopes
}

/// Every algorithm, RS256 first: keys of RSA without `alg` are bound to it (OpenID Connect Core 1.0
/// section 3.1.3.7).
fn algorithms() -> Vec<Algorithm> {
    let others = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::RS256);
    std::iter::once(Algorithm::RS256).chain(others).collect()
}
