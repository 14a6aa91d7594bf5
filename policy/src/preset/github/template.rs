//! Customised subjects: a GitHub organisation can choose the claims that make up its subjects.

use sts_claims::ClaimSet;

use crate::finding::quoted;

/// The keys of the template behind a subject, in order. `None` if the subject is not made of the
/// token's own claims. The text alone cannot tell where a value ends, because it may contain
/// anything, even `:`. So the values come from the claims.
pub(super) fn of(claims: &ClaimSet, subject: &str) -> Option<Vec<String>> {
    /// Bound on the keys. The platform allows fewer.
    const MOST: usize = 16;
    let mut keys = Vec::new();
    let mut rest = subject;
    while keys.len() < MOST {
        let (key, after) = first(claims, rest)?;
        keys.push(key);
        match after.strip_prefix(':') {
            Some(more) => rest = more,
            None => return after.is_empty().then_some(keys),
        }
    }
    None
}

/// Explains a subject that does not follow GitHub's default template.
pub(super) fn note(claims: &ClaimSet, subject: &str) -> Option<String> {
    let keys = of(claims, subject)?;
    match keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["repo", "context"] => None,
        ["repo with ids", "context"] => Some(
            "the repository sends subjects with ids; match on claims with a `github:` block, which fits both forms"
                .to_owned(),
        ),
        keys => Some(format!(
            "your organisation sends the subject template {}; match on claims with a `github:` block, which fits every template",
            keys.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The longest key and value that `text` begins with, and the rest of the text.
fn first<'a>(claims: &ClaimSet, text: &'a str) -> Option<(String, &'a str)> {
    let claim = |name: &str| claims.text(name).unwrap_or_default();
    let escaped = |name: &str| claim(name).replace(':', "%3A");
    let (owner, name) = claim("repository").split_once('/').unwrap_or_default();
    let with_ids = format!("repo:{owner}@{}/{name}@{}", claim("repository_owner_id"), claim("repository_id"));
    let mut known = vec![
        ("repo".to_owned(), format!("repo:{}", claim("repository"))),
        ("repo with ids".to_owned(), with_ids),
        ("context".to_owned(), format!("environment:{}", escaped("environment"))),
        ("context".to_owned(), "pull_request".to_owned()),
        ("context".to_owned(), format!("ref:{}", escaped("ref"))),
    ];
    for (name, value) in claims.members() {
        if let Some(value) =
            value.as_str().filter(|value| !value.is_empty() && !matches!(name, "sub" | "ref" | "environment"))
        {
            known.push((name.to_owned(), format!("{name}:{}", value.replace(':', "%3A"))));
            known.push((name.to_owned(), format!("{name}:{value}")));
        }
    }
    let fits =
        known.into_iter().filter_map(|(key, text_of)| Some((text_of.len(), key, text.strip_prefix(text_of.as_str())?)));
    let whole = fits.filter(|(_, _, after)| after.is_empty() || after.starts_with(':'));
    whole.max_by_key(|(length, ..)| *length).map(|(_, key, after)| (key, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::token;
    use serde_json::json;

    #[test]
    fn c072_a_customised_subject_is_told_by_the_tokens_own_claims() {
        let claims = token(json!({ "environment": "prod:eu" }));
        for (subject, wanted) in [
            ("repo:octo-org/octo-repo:ref:refs/heads/main", Some("repo context")),
            ("repo:octo-org/octo-repo:pull_request", Some("repo context")),
            ("repo:octo-org/octo-repo:environment:prod%3Aeu", Some("repo context")),
            ("repo:octo-org@65/octo-repo@74:ref:refs/heads/main", Some("repo with ids context")),
            ("environment:prod%3Aeu:repository_owner:octo-org", Some("context repository_owner")),
            ("repo:octo-org/octo-repo:ref:refs/heads/main:actor:octocat", Some("repo context actor")),
            ("repository_owner_id:65:event_name:push", Some("repository_owner_id event_name")),
            ("repo:octo-org/octo-repo2:ref:refs/heads/main", None),
            ("repo:somebody/else:ref:refs/heads/main", None),
            ("", None),
        ] {
            let keys = of(&claims, subject).map(|keys| keys.join(" "));
            assert_eq!(keys.as_deref(), wanted, "{subject}");
        }
        assert_eq!(note(&claims, "repo:octo-org/octo-repo:ref:refs/heads/main"), None);
        let report = note(&claims, "repo:octo-org/octo-repo:ref:refs/heads/main:actor:octocat").unwrap();
        assert!(
            report.starts_with("your organisation sends the subject template `repo`, `context`, `actor`"),
            "{report}"
        );
    }
}
