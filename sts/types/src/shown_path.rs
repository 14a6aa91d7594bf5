//! How an error message shows a path.

use std::path::Path;

/// Replaces a value that is not shown.
pub const HIDDEN_PATH: &str = "the value given (not shown: it does not look like a path, and may be a secret)";

/// Common file extensions. A value with one of them is taken for a file name.
const EXTENSIONS: &[&str] = &[
    "bak", "cer", "cfg", "conf", "crt", "csv", "d", "der", "env", "json", "jsonl", "jwks", "jwt", "key", "log", "md",
    "new", "old", "password", "pem", "pub", "redb", "seal", "secret", "tar", "token", "toml", "tsv", "txt", "yaml",
    "yml",
];

/// Prefixes of common services' secrets, in lower case.
const SECRET_PREFIXES: &[&str] = &[
    "eyj",
    "bearer ",
    "basic ",
    "dpop ",
    "sts_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "sk-",
    "akia",
    "asia",
    "xox",
    "-----begin",
];

/// Longest file name on any common system, in bytes.
const LONGEST_NAME: usize = 255;
/// From this length on, one piece with upper case, lower case and digits counts as random.
const SHORTEST_RANDOM: usize = 24;

/// `path` in back-ticks, or a placeholder if it looks like a token or secret. People paste a token
/// where a file's path is expected, and error messages end up in logs.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if looks_like_path(&text) { format!("`{text}`") } else { HIDDEN_PATH.to_owned() }
}

/// Whether `text` looks like a path. When in doubt it does not: a secret that was shown cannot be
/// taken back.
#[must_use]
pub fn looks_like_path(text: &str) -> bool {
    if text.is_empty() || text.chars().any(char::is_control) || text.starts_with(['{', '[', '"', '\'']) {
        return text.is_empty();
    }
    let parts = || text.split('/');
    let last = parts().next_back().unwrap_or_default();
    if parts().any(|part| part.len() > LONGEST_NAME || has_secret_prefix(part))
        || is_random(text)
        || parts().any(is_random)
        || is_hex(last)
    {
        return false;
    }
    let is_anchored = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start));
    is_anchored || text.contains('/') || is_file_name(text)
}

fn has_secret_prefix(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    SECRET_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// Whether `text` is one random value, as base64 encoders make it. A `/` may be one of its digits.
fn is_random(text: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-');
    let has = |test: fn(&u8) -> bool| text.bytes().any(|b| test(&b));
    // A value that starts with `/` and has two slashes or more is a path, unless it is padded like
    // base64.
    let is_padded = text.ends_with('=') || text.contains('+');
    let folders = text.matches('/').count();
    let is_hex = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex
        || text.len() >= SHORTEST_RANDOM
            && text.bytes().all(is_digit)
            && (is_padded || !text.starts_with('/') || folders < 2)
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
}

/// Whether `text` is hexadecimal with 128 bits or more. Only checked for the last part of a path:
/// containers have folders with such names.
fn is_hex(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether `text` has no `/` and a common file extension.
fn is_file_name(text: &str) -> bool {
    matches!(text, "." | "..")
        || text.rsplit_once('.').is_some_and(|(_, extension)| {
            EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)) && text.len() <= 100
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld58_what_may_be_a_secret_is_not_shown_in_place_of_a_path() {
        for secret in [
            "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
            "/tmp/eyJhbGciOiJFUzI1NiJ9",
            "hunter2",
            "correct horse battery staple",
            "sts_0123456789abABCDEFGH",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
            "q83vEjRW/JCrze8SNFZ4+KvN7xI0VniQ/83vEjRWeJA=",
            "/83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
            "Bearer abc",
            "{\"sub\":\"x\"}",
            "-----BEGIN PRIVATE KEY-----",
            "line\nline.txt",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "/etc/sts/q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
            "/etc/sts/0123456789abcdef0123456789abcdef",
            &"a".repeat(300),
            &format!("/tmp/{}", "a".repeat(300)),
        ] {
            assert!(!looks_like_path(secret), "{secret}");
            assert!(!shown_path(Path::new(secret)).contains(secret));
        }
    }

    #[test]
    fn a_path_is_shown() {
        for path in [
            "sts.yaml",
            "a b.txt",
            "deploy.secret",
            "data/admin.token",
            "/etc/sts/sts.yaml",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "/run/user/1000/sts",
            "./token",
            "../Keys2/new",
            ".",
            "/nix/store/0c9w5c0d9kq6bf5kvg7m1pqd8w2v6xzz-sts/etc/sts.yaml",
            "/var/lib/sts-0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(shown_path(Path::new(path)), format!("`{path}`"));
        }
    }
}
