//! Input that is not a signed ID token, and kinds of tokens that are not exchanged.

use sts_claims::Json;
use sts_policy::Diagnosis;
use sts_types::Algorithm;
use sts_types::rfc::parameter;

use super::view::{TokenView, shown_misfit, shown_text};

/// Prefixes of other credentials, and what they are.
const BEGINNINGS: [(&str, &str, &str); 16] = [
    (
        "ya29.",
        "an opaque access token of Google",
        "request an ID token: the metadata server's `identity` URL with `?audience=`",
    ),
    ("ghs_", "an installation token of GitHub (`GITHUB_TOKEN`)", GITHUB),
    ("ghp_", "a personal access token of GitHub", GITHUB),
    ("gho_", "an OAuth token of GitHub", GITHUB),
    ("ghu_", "a user token of GitHub", GITHUB),
    ("github_pat_", "a personal access token of GitHub", GITHUB),
    ("glpat-", "a personal access token of GitLab", "use a token of the job's `id_tokens`"),
    ("glcbt-", "a job token of GitLab (`CI_JOB_TOKEN`)", "use a token of the job's `id_tokens`"),
    ("AKIA", "an access key of AWS", AWS),
    ("ASIA", "a temporary access key of AWS", AWS),
    ("hvs.", "a token of Vault", "send the platform's ID token"),
    ("sts_", "an API key of ours", "send it as the secret of `grant_type=client_credentials`"),
    ("xoxb-", "a token of Slack", "send the platform's ID token"),
    ("-----BEGIN", "a key or certificate in PEM", "send the platform's ID token, and replace the key if it is private"),
    ("<", "an XML or HTML document (a SAML assertion or a web page)", "send the platform's ID token as a JWT"),
    ("PHNhbWw", "a SAML assertion", "send the platform's ID token as a JWT"),
];
const GITHUB: &str =
    "call the runner's `ACTIONS_ID_TOKEN_REQUEST_URL` (`permissions: id-token: write`) and send the `value` it answers";
const AWS: &str = "send the token of `GetWebIdentityToken`, or the projected file of IRSA";

/// No JWS at all, or one that is not accepted.
pub(super) fn malformed(token: &TokenView<'_>) -> Option<Diagnosis> {
    let text = token.request.token?;
    let found = |what: &str, fix: &str| {
        let cause = format!("the subject token is {what}");
        Some(
            Diagnosis::new("", cause)
                .at(parameter::SUBJECT_TOKEN)
                .actual(what)
                .expected("a signed ID token (a JWT of three parts)")
                .fix(fix),
        )
    };
    if text.len() > sts_jose::MAX_TOKEN_BYTES {
        let size = format!("{} bytes", text.len());
        return found(
            &format!("{size} long, at most {} bytes are read", sts_jose::MAX_TOKEN_BYTES),
            "request a token with fewer claims (group lists are what mostly makes one long)",
        );
    }
    if let Some((what, fix)) = in_place_of_a_token(text) {
        return found(&what, &fix);
    }
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        [_, _, _] => {}
        // A remembered token has lost its signature.
        [_, _] if token.claims.is_some() && !token.request.refused.text().contains("three parts") => return None,
        [_, _, _, _, _] => {
            return found(
                "encrypted (a JWE of five parts)",
                "have the issuer send a signed token (JWS), not an encrypted one",
            );
        }
        [_] => {
            return found(
                "one opaque text without dots",
                "send the platform's ID token, not an access token or a name of it",
            );
        }
        parts => {
            return found(
                &format!("a text of {}, and a signed token has three parts", counted(parts.len())),
                "send the whole token, as the platform gave it",
            );
        }
    }
    broken_part(token, &parts)
}

fn counted(parts: usize) -> String {
    format!("{parts} parts separated by dots")
}

/// A malformed JWS, with the part at fault.
fn broken_part(token: &TokenView<'_>, parts: &[&str]) -> Option<Diagnosis> {
    let found = |claim: &str, actual: String, expected: &str, fix: &str| {
        let cause = format!("the token's {claim} is {actual}, expected {expected}");
        Some(Diagnosis::new("", cause).at(claim).actual(actual).expected(expected).fix(fix))
    };
    for (name, part) in ["header", "payload", "signature"].into_iter().zip(parts) {
        if sts_jose::decode_base64url(part).is_some() {
            continue;
        }
        let what = match part {
            part if part.contains(['+', '/']) => "in the other base64 alphabet (`+` and `/`)",
            part if part.contains('=') => "base64 with padding (`=`)",
            part if part.chars().any(|c| c.is_whitespace() || c.is_control()) => "interrupted by blanks or line breaks",
            part if part.contains("...") || part.contains('…') => "cut",
            _ => "not base64url, or cut",
        };
        return found(
            name,
            what.to_owned(),
            "base64url without padding",
            "send the token as the platform gave it, unbroken",
        );
    }
    if token.header.is_none() {
        return found(
            "header",
            "not a strict JSON object".to_owned(),
            "a JSON object without duplicate members",
            "send the token as the platform gave it",
        );
    }
    for member in ["crit", "b64", "zip", "enc"] {
        if token.header.as_ref().and_then(|header| header.get(member)).is_some() {
            let cause = format!("`{member}` is in the header, and no such member is understood");
            let found = Diagnosis::new("", cause).at(member).actual("in the header").expected("no such member");
            return Some(found.fix("have the issuer sign without it"));
        }
    }
    if token.claims.is_none() {
        return found(
            "payload",
            "not a strict JSON object".to_owned(),
            "a JSON object without duplicate members, at most 64 deep",
            "have the issuer send claims as strict JSON",
        );
    }
    None
}

/// A text that is no token, or a wrapped token.
fn in_place_of_a_token(text: &str) -> Option<(String, String)> {
    let same = |what: &str, fix: &str| Some((what.to_owned(), fix.to_owned()));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return same("empty", "set it: the variable or file that should hold the token is empty");
    }
    if matches!(trimmed, "null" | "undefined" | "None" | "nil" | "true" | "false") {
        return same(
            "the word of an absent value, not a token",
            "check the step that asks for the token: it answered none",
        );
    }
    if trimmed.starts_with("${") || trimmed.starts_with("$(") || trimmed.starts_with('$') || trimmed.contains("{{") {
        return same(
            "a variable that was not expanded",
            "expand it: `${{ ... }}` and `$NAME` are not expanded inside single quotes",
        );
    }
    if trimmed.bytes().all(|byte| byte == b'*') {
        return same("masked (`***`)", "pass the token itself: a secret that was printed to a log is masked there");
    }
    if text.ends_with(['\n', '\r']) {
        return same("followed by a line break", "send it without the line break (`tr -d '\\n'`, `printf %s`)");
    }
    if text != trimmed {
        return same("surrounded by blanks", "send it without blanks");
    }
    let bearer = trimmed.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
    if bearer {
        return same("wrapped in `Bearer `", "send the token without the word `Bearer`");
    }
    if trimmed.len() > 1 && trimmed.starts_with(['"', '\'', '`']) {
        return same("in quotes", "send it without quotes (`jq -r` prints none)");
    }
    if trimmed.starts_with(['{', '[']) {
        let (what, fix) = document(trimmed);
        return same(what, fix);
    }
    if trimmed.starts_with("http://") || trimmed.starts_with("https://") {
        return same("a URL", "send what the URL answers");
    }
    if trimmed.starts_with('/') && !trimmed.contains(char::is_whitespace) && trimmed.len() < 512 {
        return same("a path", "send the content of the file");
    }
    if trimmed.contains('%') && trimmed.contains('.') && !trimmed.contains(' ') {
        return same("URL-encoded twice", "encode it once");
    }
    let begins = |(start, _, _): &&(&str, &str, &str)| trimmed.starts_with(start);
    BEGINNINGS.iter().find(begins).map(|(_, what, fix)| ((*what).to_owned(), (*fix).to_owned()))
}

/// A JSON document that is no token, and what to send.
fn document(text: &str) -> (&'static str, &'static str) {
    let has = |member: &str| text.contains(&format!("\"{member}\""));
    if has("keys") && has("kty") {
        (
            "a key set (JWKS), not a token",
            "send the token that one of these keys signs; the key set belongs under `jwks_file` of the issuer entry",
        )
    } else if has("value") {
        ("the whole JSON answer of the token request", "send its `value` (`jq -r .value`)")
    } else if has("access_token") || has("id_token") {
        ("the whole JSON answer of a token endpoint", "send its `id_token`")
    } else {
        ("a JSON document", "send the token alone, not the document that holds it")
    }
}

/// An algorithm that the entry does not accept, or that no entry does.
pub(super) fn algorithm(token: &TokenView<'_>) -> Option<Diagnosis> {
    let alg = token.header.as_ref()?.get("alg");
    let actual = alg.map_or_else(|| "absent".to_owned(), |alg| shown_misfit(&alg.to_value()));
    let accepted: Vec<&str> = match token.entry() {
        Some(trust) => trust.algorithms.iter().map(|algorithm| algorithm.name()).collect(),
        None => Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect(),
    };
    let accepted = accepted.join(", ");
    let of = token.entry().map_or(String::new(), |trust| format!(" by issuer entry `{}`", trust.entry));
    let cause = format!("`alg` is {actual}, expected one of {accepted}{of}");
    let found = Diagnosis::new("", cause).at("alg").actual(actual.clone()).expected(accepted);
    let known = alg.and_then(Json::as_str).and_then(Algorithm::from_name);
    Some(match (known, token.entry()) {
        (Some(known), Some(trust)) => found.fix(format!(
            "add `{}` to `algorithms` of issuer entry `{}`, or have the issuer sign by one of these",
            known.name(),
            trust.entry
        )),
        _ if actual.starts_with("\"HS") => found
            .fix("have the issuer sign by a key pair (RS256, ES256): a shared secret proves nothing to a third party"),
        _ => found.fix("have the issuer sign by RS256 or ES256"),
    })
}

/// A kind of token that is not exchanged: its `typ`, or a `cnf`.
pub(super) fn kind(token: &TokenView<'_>) -> Option<Diagnosis> {
    if token.claim("cnf").is_some() {
        let actual = token.shown_claim("cnf").unwrap_or_default();
        let cause = "the token has a `cnf`: it is bound to a key, and whoever sends it here cannot show that key";
        let found = Diagnosis::new("", cause).at("cnf").actual(actual).expected("no `cnf`");
        return Some(found.fix("request a token that is not bound to a key (no DPoP, no mTLS)"));
    }
    let typ = token.header_text("typ")?;
    let listed: Vec<String> =
        token.entry().into_iter().flat_map(|trust| trust.types.iter().map(|algorithm| shown_text(algorithm))).collect();
    let expected = [&["absent".to_owned(), "\"JWT\"".to_owned()][..], &listed].concat().join(" or ");
    let bare = typ.to_ascii_lowercase();
    let what = match bare.strip_prefix("application/").unwrap_or(&bare) {
        "at+jwt" => " (an access token)",
        "logout+jwt" => " (a logout token)",
        "dpop+jwt" => " (a DPoP proof)",
        "secevent+jwt" => " (a security event)",
        "token-introspection+jwt" => " (an answer of introspection)",
        "statuslist+jwt" => " (a status list)",
        _ => "",
    };
    let cause = format!("`typ` of the header is {}{what}, expected {expected}", shown_text(typ));
    let found = Diagnosis::new("", cause).at("typ").actual(shown_text(typ)).expected(expected);
    let ours = token.claim_text("iss") == Some(token.snapshot.issuer.as_str());
    Some(match (ours, what, token.entry()) {
        (true, ..) => found.fix("send a token of ours as `subject_token_type=urn:ietf:params:oauth:token-type:access_token`, and an ID token as it is"),
        (_, "" | " (an access token)", Some(trust)) => found.fix(format!(
            "present an ID token, or list it under `types` of issuer entry `{}`: `types: [{typ:?}]`",
            trust.entry
        )),
        _ => found.fix("present an ID token"),
    })
}
