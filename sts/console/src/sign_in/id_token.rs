//! What only the client can check of an ID token: that it is meant for this client and this sign-in
//! (OpenID Connect Core 1.0 section 3.1.3.7), and the name of the person in it.

use std::borrow::Cow;

use sts_claims::{ClaimSet, Json, JsonKind};

/// The longest name of a person that is shown.
const LONGEST_NAME: usize = 254;
/// The longest `sub` (OpenID Connect Core 1.0 section 2).
const LONGEST_SUBJECT: usize = 255;

/// Why a verified ID token does not sign anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error("the ID token is for another client: its `aud` is not our `client_id`")]
    Audience,
    #[error("the ID token was issued to another client: its `azp` is not our `client_id`")]
    AuthorizedParty,
    #[error("the ID token has several audiences and no `azp` that says that it was issued to us")]
    NoAuthorizedParty,
    #[error("the ID token is not of this sign-in: its `nonce` is missing or another")]
    Nonce,
    #[error("the ID token has no `sub`")]
    NoSubject,
    #[error("`sub` of the ID token is empty, or longer than 255 characters")]
    SubjectLength,
}

/// Checks `aud`, `azp` and `nonce`.
pub(super) fn check(claims: &ClaimSet, client_id: &str, nonce: &str) -> Result<(), IdTokenError> {
    let audiences: Vec<Option<&str>> =
        claims.get("aud").into_iter().flat_map(Json::elements).map(Json::as_str).collect();
    if !audiences.contains(&Some(client_id)) {
        return Err(IdTokenError::Audience);
    }
    match claims.get("azp") {
        Some(azp) if azp.as_str() != Some(client_id) => return Err(IdTokenError::AuthorizedParty),
        None if audiences.len() > 1 => return Err(IdTokenError::NoAuthorizedParty),
        _ => {}
    }
    let given = claims.text("nonce").unwrap_or_default();
    if !sts_jose::constant_time_eq(given.as_bytes(), nonce.as_bytes()) {
        return Err(IdTokenError::Nonce);
    }
    Ok(())
}

/// Who signed in: a name for people, and the subject, which alone tells people apart.
pub(super) fn user(claims: &ClaimSet) -> Result<String, IdTokenError> {
    let subject = claims.text("sub").ok_or(IdTokenError::NoSubject)?;
    if subject.is_empty() || subject.chars().count() > LONGEST_SUBJECT {
        return Err(IdTokenError::SubjectLength);
    }
    let subject = shown_subject(subject);
    let email = claims.text("email").filter(|_| claims.get("email_verified").is_none_or(is_true));
    let names = [email, claims.text("preferred_username"), claims.text("name")];
    let name = names.into_iter().flatten().find(|name| is_plain(name));
    Ok(name.map_or_else(|| subject.to_string(), |name| format!("{name} ({subject})")))
}

/// Whether a claim says yes. Some providers write booleans as strings.
fn is_true(claim: Json<'_>) -> bool {
    matches!(claim.kind(), JsonKind::Bool(true)) || claim.as_str() == Some("true")
}

/// The subject as it is shown: as it is where it passes for nothing else, otherwise in quotes. Two
/// subjects are never shown alike.
fn shown_subject(subject: &str) -> Cow<'_, str> {
    if is_plain(subject) && !subject.contains(['"', '\\']) {
        return Cow::Borrowed(subject);
    }
    let escaped = subject.chars().map(|c| match c {
        // Within quotes a blank hides nothing.
        ' ' => c.to_string(),
        // Brackets set the subject off from the name.
        '(' | ')' => c.escape_unicode().to_string(),
        c if sts_types::hidden_char(c.encode_utf8(&mut [0; 4])).is_some() => c.escape_unicode().to_string(),
        c => c.escape_debug().to_string(),
    });
    Cow::Owned(format!("\"{}\"", escaped.collect::<String>()))
}

/// Whether a name can stand in a log line and on a page without passing for something else.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && sts_types::hidden_char(name).is_none()
        && !name.contains(['(', ')'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> ClaimSet {
        ClaimSet::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_is_of_this_client_and_this_sign_in() {
        for (text, expected) in [
            (r#"{"aud":"us","nonce":"n"}"#, Ok(())),
            (r#"{"aud":["us"],"nonce":"n","azp":"us"}"#, Ok(())),
            (r#"{"aud":["us","api"],"nonce":"n","azp":"us"}"#, Ok(())),
            (r#"{"aud":"them","nonce":"n","azp":"us"}"#, Err(IdTokenError::Audience)),
            (r#"{"nonce":"n"}"#, Err(IdTokenError::Audience)),
            (r#"{"aud":["us","api"],"nonce":"n"}"#, Err(IdTokenError::NoAuthorizedParty)),
            (r#"{"aud":["us","api"],"nonce":"n","azp":"api"}"#, Err(IdTokenError::AuthorizedParty)),
            (r#"{"aud":"us","nonce":"n","azp":["us"]}"#, Err(IdTokenError::AuthorizedParty)),
            (r#"{"aud":"us","nonce":"m"}"#, Err(IdTokenError::Nonce)),
            (r#"{"aud":"us","nonce":["n"]}"#, Err(IdTokenError::Nonce)),
            (r#"{"aud":"us"}"#, Err(IdTokenError::Nonce)),
        ] {
            assert_eq!(check(&claims(text), "us", "n"), expected, "{text}");
        }
    }

    #[test]
    fn a_person_is_told_by_the_subject_whatever_name_stands_beside_it() {
        for (text, expected) in [
            (r#"{"sub":"7","email":"ada@example.com","email_verified":true}"#, "ada@example.com (7)"),
            (r#"{"sub":"7","email":"ada@example.com"}"#, "ada@example.com (7)"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":"true"}"#, "ada@example.com (7)"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":"false"}"#, "7"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":"TRUE"}"#, "7"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":1}"#, "7"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":null}"#, "ada@example.com (7)"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":[true]}"#, "7"),
            (r#"{"sub":"7","email":"ada@example.com","email_verified":false,"name":"Ada"}"#, "Ada (7)"),
            (r#"{"sub":"7","preferred_username":"eve (8)"}"#, "7"),
            (r#"{"sub":"7","name":"a\u202eb"}"#, "7"),
            (r#"{"sub":"7","name":""}"#, "7"),
            (r#"{"sub":"ada@example.com"}"#, "ada@example.com"),
            (r#"{"sub":"ada@example.com (7)"}"#, r#""ada@example.com \u{28}7\u{29}""#),
            (r#"{"sub":"7) (8","name":"Ada"}"#, r#"Ada ("7\u{29} \u{28}8")"#),
            (r#"{"sub":"a\u202eb"}"#, r#""a\u{202e}b""#),
            (r#"{"sub":"a\nb"}"#, r#""a\u{a}b""#),
            (r#"{"sub":"\"7\""}"#, r#""\"7\"""#),
            (r#"{"sub":"a\\u{28}"}"#, r#""a\\u{28}""#),
        ] {
            assert_eq!(user(&claims(text)).unwrap(), expected, "{text}");
        }
        assert_eq!(user(&claims("{}")), Err(IdTokenError::NoSubject));
        for subject in [String::new(), "a".repeat(256)] {
            assert_eq!(user(&claims(&format!(r#"{{"sub":"{subject}"}}"#))), Err(IdTokenError::SubjectLength));
        }
    }
}
