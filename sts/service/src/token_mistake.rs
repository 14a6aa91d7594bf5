//! Finds the likely mistake when the subject token is no token at all: the value was quoted,
//! masked, not filled in, or is something else. This runs only after the token's shape was refused.
//! The texts are constants and repeat no input.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::Value;
use sts_token::TokenRuleError;

use crate::reason::{Reason, RefusedError};

/// The refusal of a malformed subject token, with the mistake behind it if one is recognised.
pub(crate) fn explained(token: &str, fault: TokenRuleError) -> RefusedError {
    match (fault, mistake(token)) {
        (TokenRuleError::Malformed(_), Some(text)) => {
            RefusedError { detail: Some(text), ..Reason::TokenMalformed.into() }
        }
        (fault, _) => fault.into(),
    }
}

/// The mistake, and what to do.
fn mistake(token: &str) -> Option<Cow<'static, str>> {
    let bare = token.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    if let Some(text) = nothing(bare) {
        return Some(text);
    }
    let found = quoted(bare)
        .or_else(|| placeholder(bare))
        .or_else(|| masked(bare))
        .or_else(|| other_document(bare))
        .or_else(|| prefixed(bare))
        .or_else(|| other_token(bare))
        .or_else(|| place(bare));
    if let Some(text) = found {
        return Some(Cow::Borrowed(text));
    }
    json_document(bare).or_else(|| Some(Cow::Borrowed(blanks(token).or_else(|| encoded(bare))?)))
}

/// The words that languages and shells print for a missing value.
fn nothing(bare: &str) -> Option<Cow<'static, str>> {
    const WORDS: [&str; 9] = ["null", "undefined", "none", "nil", "nan", "true", "false", "[object Object]", "<nil>"];
    if bare.is_empty() {
        let text = "the subject token is blank: the variable or the command that it is taken from gave nothing";
        return Some(Cow::Borrowed(text));
    }
    let word = WORDS.iter().find(|word| bare.eq_ignore_ascii_case(word))?;
    Some(
        format!(
            "the subject token is the word `{word}`: the variable or JSON member that it is taken from is not there"
        )
        .into(),
    )
}

fn quoted(bare: &str) -> Option<&'static str> {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let is_quoted = bare.len() > 1 && QUOTES.iter().any(|quote| bare.starts_with(*quote) && bare.ends_with(*quote));
    let is_escaped = bare.starts_with("\\\"") || bare.starts_with("%22") || bare.starts_with("&quot;");
    let is_half_quoted = bare.starts_with(QUOTES) != bare.ends_with(QUOTES);
    (is_quoted || is_escaped || is_half_quoted).then_some(
        "the subject token is in quotes: send it without them (jq prints a text without quotes with --raw-output)",
    )
}

fn placeholder(bare: &str) -> Option<&'static str> {
    let between = |start: &str, end: &str| bare.len() > start.len() && bare.starts_with(start) && bare.ends_with(end);
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.: ".contains(&b));
    let is_in_braces = bare.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(is_name);
    let is_in_angles = bare.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).is_some_and(is_name);
    let is_named = ["your_", "your-", "env.", "process.env", "steps.", "secrets.", "os.environ"]
        .iter()
        .any(|start| bare.get(..start.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(start)));
    (bare.starts_with('$') || between("%", "%") || between("{{", "}}") || is_in_braces || is_in_angles || is_named)
        .then_some(
            "the subject token is the name of a variable that was not replaced by its value: check how this step is quoted and which shell runs it",
        )
}

fn masked(bare: &str) -> Option<&'static str> {
    let is_one_of = |c: char| matches!(c, '*' | '\u{2022}' | '\u{25cf}');
    let is_named = |name: &str| bare.to_ascii_lowercase().contains(name);
    (bare.contains("***") || bare.chars().all(is_one_of) || is_named("[masked]") || is_named("[redacted]")).then_some(
        "the subject token is masked, as logs show secrets: pass the variable itself, not what a log or an output printed",
    )
}

/// Documents other than JSON.
fn other_document(bare: &str) -> Option<&'static str> {
    let start: String = bare.chars().take(64).collect::<String>().to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml") {
        return Some(
            "the subject token is an HTML or XML page: the request for the ID token was answered with an error",
        );
    }
    if start.starts_with("-----begin") {
        return Some("the subject token is a PEM document: send the platform's ID token, not a key or certificate");
    }
    start.starts_with("curl:").then_some("the subject token is an error of curl: the request for the ID token failed")
}

fn prefixed(bare: &str) -> Option<&'static str> {
    const PREFIXES: [&str; 7] = ["bearer ", "bearer:", "bearer%20", "authorization:", "jwt ", "token ", "basic "];
    PREFIXES.iter().any(|prefix| bare.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))).then_some(
        "the subject token has a prefix such as Bearer, which belongs in an Authorization header: send the token alone",
    )
}

/// Credentials of platforms that are not ID tokens, by their prefix.
fn other_token(bare: &str) -> Option<&'static str> {
    const OTHER: [&str; 15] = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "glcbt-",
        "ya29.",
        "xoxb-",
        "hvs.",
        "sts_",
        "AKIA",
        "ASIA",
        "sk-",
    ];
    OTHER.iter().any(|start| bare.starts_with(start)).then_some(
        "the subject token is another credential of the platform (an access token or key): send the job's ID token, a JWT",
    )
}

/// The location of a token instead of the token.
fn place(bare: &str) -> Option<&'static str> {
    let is_path = bare.starts_with(['/', '@', '~']) || bare.starts_with("./") || bare.starts_with("../");
    if is_path || bare.starts_with("file:") {
        return Some("the subject token is the path of a file: send what the file holds");
    }
    (bare.starts_with("https://") || bare.starts_with("http://"))
        .then_some("the subject token is a URL: send the token that the platform answers there")
}

/// A whole JSON document, such as the answer of a platform's token endpoint.
fn json_document(bare: &str) -> Option<Cow<'static, str>> {
    /// Members in which platforms and libraries put an ID token.
    const MEMBERS: [&str; 10] = [
        "value",
        "id_token",
        "idToken",
        "oidcToken",
        "oidc_token",
        "token",
        "jwt",
        "identityToken",
        "access_token",
        "accessToken",
    ];
    if !bare.starts_with(['{', '[']) {
        return None;
    }
    let document = serde_json::from_str::<Value>(bare).ok();
    let member =
        MEMBERS.iter().find(|name| document.as_ref().is_some_and(|json| json.get(name).is_some_and(Value::is_string)));
    Some(match member {
        Some(name) => format!("the subject token is a JSON document: send the value of its member `{name}` alone").into(),
        None => "the subject token is a JSON document: send the token in it alone; if there is none, the platform has answered with an error".into(),
    })
}

/// Blanks and line breaks around or in a token.
fn blanks(token: &str) -> Option<&'static str> {
    if token.ends_with(['\n', '\r']) {
        return Some(
            "the subject token ends in a line break: cut it off, as by $(cat FILE) in a shell or printf in place of echo",
        );
    }
    if token.contains(['\n', '\r']) {
        return Some("the subject token has a line break in it: send it in one line, as by base64 -w0");
    }
    if token.chars().any(char::is_whitespace) {
        return Some(
            "the subject token has a blank in it: send the token alone, percent-encoded if the body is a form",
        );
    }
    token.chars().any(is_invisible).then_some(
        "the subject token has an invisible character in it, such as a byte order mark: write it as UTF-8 without one",
    )
}

/// A token with one encoding too many.
fn encoded(bare: &str) -> Option<&'static str> {
    let is_percent_encoded = bare
        .split('%')
        .skip(1)
        .any(|rest| rest.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())));
    if is_percent_encoded {
        return Some(
            "the subject token is percent-encoded once too often: the client that sends the form encodes it already",
        );
    }
    let codecs = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD];
    let is_token = |bytes: Vec<u8>| bytes.starts_with(b"eyJ") && bytes.iter().filter(|b| **b == b'.').count() == 2;
    let is_base64 = codecs.iter().any(|codec| codec.decode(bare.as_bytes()).is_ok_and(is_token));
    is_base64.then_some("the subject token is the base64 of a token: decode it first")
}

/// Zero-width characters that editors and shells put before or after a text.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of a token; its signature is nobody's.
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL3guZXhhbXBsZSJ9.c2lnbmF0dXJl";

    fn told(token: &str) -> String {
        mistake(token).map_or_else(String::new, Cow::into_owned)
    }

    #[test]
    fn fld45_what_is_no_token_is_named_as_what_it_is() {
        let cases: &[(&str, &[&str])] = &[
            ("is blank", &[" ", "\n", "\u{feff}", "\t\r\n"]),
            ("the word `n", &["null", "NULL", "None", "null\n", " nil "]),
            (
                "in quotes",
                &["\"eyJ.a.b\"", "'eyJ.a.b'", "\"\"", "\"eyJ.a.b\"\n", "\"eyJ.a.b", "%22eyJ.a.b%22", "\\\"eyJ.a.b\\\""],
            ),
            (
                "name of a variable",
                &[
                    "$TOKEN",
                    "${TOKEN}",
                    "${{ steps.oidc.outputs.token }}",
                    "$(cat /var/run/token)",
                    "%TOKEN%",
                    "{{ token }}",
                    "$env:TOKEN",
                    "<TOKEN>",
                    "{TOKEN}",
                    "YOUR_ID_TOKEN",
                    "env.TOKEN",
                    "$TOKEN\n",
                ],
            ),
            ("masked", &["***", "*", "eyJ***", "[MASKED]", "[REDACTED]", "\u{2022}\u{2022}\u{2022}"]),
            ("member `value`", &[r#"{"count":1,"value":"eyJ.a.b"}"#, " {\"value\":\"eyJ.a.b\"}\n"]),
            ("member `id_token`", &[r#"{"id_token":"x","access_token":"y"}"#]),
            (
                "answered with an error",
                &[
                    "{}",
                    r#"{"message":"no"}"#,
                    "[1]",
                    "{\"value\":\"cut",
                    "<html><body>",
                    "<!DOCTYPE html>",
                    "<?xml version",
                ],
            ),
            ("PEM", &["-----BEGIN PUBLIC KEY-----"]),
            (
                "a prefix such as Bearer",
                &["Bearer eyJ.a.b", "bearer:eyJ.a.b", "Authorization: Bearer eyJ.a.b", "JWT eyJ.a.b"],
            ),
            ("another credential", &["ghs_abcdef", "github_pat_x", "glpat-x", "ya29.x"]),
            ("path of a file", &["/var/run/secrets/token", "./token.jwt", "@token.txt", "file:///token"]),
            ("is a URL", &["https://token.actions.githubusercontent.com"]),
        ];
        for (what, tokens) in cases {
            for token in *tokens {
                assert!(told(token).contains(what), "{token:?}: {}", told(token));
            }
        }
    }

    #[test]
    fn fld45_what_was_done_to_a_token_is_named() {
        for (bent, what) in [
            (format!("{TOKEN}\n"), "ends in a line break"),
            (format!("{TOKEN}\r\n"), "ends in a line break"),
            (TOKEN.replacen('.', ".\n", 1), "a line break in it"),
            (format!("\n{TOKEN}"), "a line break in it"),
            (format!(" {TOKEN}"), "a blank in it"),
            (format!("{TOKEN} "), "a blank in it"),
            (TOKEN.replacen('.', ". ", 1), "a blank in it"),
            (format!("\u{feff}{TOKEN}"), "an invisible character"),
            (format!("{TOKEN}\u{200b}"), "an invisible character"),
            (TOKEN.replace('.', "%2E"), "percent-encoded once too often"),
            (format!("{TOKEN}%0A"), "percent-encoded once too often"),
            (BASE64.encode(TOKEN.as_bytes()), "base64 of a token"),
            (BASE64URL_NOPAD.encode(TOKEN.as_bytes()), "base64 of a token"),
            (format!("\"{TOKEN}\""), "in quotes"),
            (format!("Bearer {TOKEN}"), "a prefix such as Bearer"),
        ] {
            assert!(told(&bent).contains(what), "{bent:?}: {}", told(&bent));
        }
        for sound in [TOKEN, "x", "a.b.c", "eyJ.eyJ.x.y.z", "x.y"] {
            assert_eq!(told(sound), "", "{sound}");
        }
    }

    #[test]
    fn fld45_a_text_says_what_to_do_and_repeats_nothing() {
        let canary = "zzCANARYzz";
        for form in [
            "\"{}\"",
            "${}",
            "%{}%",
            "{{\"value\":\"{}\"}}",
            "{{\"{}\":1}}",
            "Bearer {}",
            "***{}",
            "/{}",
            "ghp_{}",
            "<{}>",
            "{}\n",
            "{}%0A",
        ] {
            let text = told(&form.replace("{{", "{").replace("}}", "}").replace("{}", canary));
            assert!(text.starts_with("the subject token ") && text.contains(": "), "{form}: {text}");
            assert!(text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{text}");
            assert!(!text.contains(canary), "{text}");
        }
    }
}
