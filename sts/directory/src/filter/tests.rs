use super::*;
use proptest::prelude::*;

fn filter(text: &str) -> UserFilter {
    UserFilter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_login_takes_its_place_escaped() {
    for (text, login, written) in [
        ("(uid={name})", "build", "(uid=build)"),
        ("(uid={name})", "*)(uid=*", r"(uid=\2a\29\28uid=\2a)"),
        ("(uid={name})", "a\\b\0", r"(uid=a\5cb\00)"),
        ("(uid={name})", "müller", r"(uid=m\c3\bcller)"),
        ("(mail={name}@corp)", "a", "(mail=a@corp)"),
        ("(&(objectClass=person)(|(uid={name})(mail={name})))", "a", "(&(objectClass=person)(|(uid=a)(mail=a)))"),
        ("(&(uid={name})(!(loginDisabled=TRUE)))", "a", "(&(uid=a)(!(loginDisabled=TRUE)))"),
        (r"(&(uid={name})(cn=\28x\29))", "a", r"(&(uid=a)(cn=\28x\29))"),
        (
            "(&(uid={name})(mail=*)(n>=5)(cn~=a)(cn=a*b)(ou:dn:=x))",
            "a",
            "(&(uid=a)(mail=*)(n>=5)(cn~=a)(cn=a*b)(ou:dn:=x))",
        ),
    ] {
        assert_eq!(filter(text).with(login).to_string(), written, "{text}");
    }
}

#[test]
fn an_error_says_what_is_missing() {
    let syntax = |at, expected| UserFilterError::Syntax { at, expected };
    for (text, error) in [
        ("", syntax(0, "`(`")),
        ("uid={name}", syntax(0, "`(`")),
        ("(uid={name}", syntax(11, "`)`")),
        ("(uid={name}))", syntax(12, "the end")),
        ("(uid=build)", UserFilterError::NoPlaceholder),
        ("({name}=build)", UserFilterError::Placeholder),
        ("(uid=)", syntax(5, "a value")),
        ("(uid)", syntax(1, "`attribute=value`")),
        ("(=x)", syntax(1, "an attribute's name")),
        ("(&)", syntax(2, "`(`")),
        (r"(uid=\x{name})", syntax(5, "a backslash with two hexadecimal digits")),
        ("(uid=(a){name})", syntax(5, "a value with `(` written as `\\28`")),
    ] {
        assert_eq!(UserFilter::parse(text).unwrap_err(), error, "{text}");
    }
    let deep = format!("{}(uid={{name}}){}", "(!".repeat(20), ")".repeat(20));
    assert_eq!(UserFilter::parse(&deep).unwrap_err(), UserFilterError::TooLarge);
    assert_eq!(UserFilter::parse(&"(".repeat(5000)).unwrap_err(), UserFilterError::TooLarge);
}

#[test]
fn an_entry_is_judged_by_what_is_known_of_it() {
    let uid = [b"Build".to_vec(), b"b2".to_vec()];
    let entry = |name: &str| (name == "uid").then_some(&uid[..]);
    for (text, login, may) in [
        ("(uid={name})", "build", true),
        ("(uid={name})", "B2", true),
        ("(uid={name})", "other", false),
        // Nothing is known of `mail`, so the server decides.
        ("(mail={name})", "other", true),
        ("(&(uid={name})(mail=x))", "other", false),
        ("(|(uid={name})(mail={name}))", "other", true),
        ("(!(uid={name}))", "build", false),
        ("(uid={name}*)", "other", true),
    ] {
        assert_eq!(filter(text).with(login).may_match(&entry), may, "{text} {login}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,64}|[()&|!=~<>:*\\\\{}a-z0-9é]{0,64}") {
        let _ = UserFilter::parse(&text);
    }

    #[test]
    fn no_login_changes_the_shape_of_a_filter(login in any::<String>()) {
        let written = filter("(&(a=b)(uid={name}))").with(&login).to_string();
        let value = written.strip_prefix("(&(a=b)(uid=").unwrap().strip_suffix("))").unwrap();
        prop_assert!(!value.contains(['(', ')', '*', '\0']));
        prop_assert_eq!(unescape(value), login.as_bytes());
    }
}
