use super::*;
use proptest::prelude::*;

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_of_one_name_are_equal() {
    for (left, right) in [
        ("CN=Deployers,OU=Groups,DC=corp", "cn=deployers,ou=GROUPS,dc=Corp"),
        ("CN=Deployers,DC=corp", "  CN = Deployers , DC =  corp "),
        (r"CN=a\;b\=c,DC=corp", r"CN=a\3Bb\3Dc,DC=corp"),
        (r"CN=a\,b,DC=corp", r"CN=a\2cb,DC=corp"),
        ("CN=a=b,DC=corp", r"CN=a\=b,DC=corp"),
        ("CN=two  words,DC=corp", "CN=Two Words,DC=corp"),
        (r"CN=\ a\ ,DC=corp", "CN=a,DC=corp"),
        ("OU=x+CN=y,DC=corp", "CN=Y + OU=X,DC=corp"),
        ("2.5.4.3=a,0.9.2342.19200300.100.1.25=corp", "CN=a,DC=corp"),
        ("OID.2.5.4.3=a,DC=corp", "commonName=a,DC=corp"),
        ("CN=#0c0161,DC=corp", "CN=A,DC=corp"),
        ("CN=#0401ff,DC=corp", "cn=#0401FF,dc=corp"),
        ("CN=Grüße ÄÖ,DC=corp", "cn=grÜße äö,dc=corp"),
        (r"CN=\C3\A4,DC=corp", "CN=Ä,DC=corp"),
    ] {
        assert_eq!(dn(left), dn(right), "{left} | {right}");
    }
}

#[test]
fn texts_of_different_names_differ() {
    for (left, right) in [
        ("CN=a,DC=corp", "CN=a,DC=corp,DC=com"),
        (r"CN=a\,OU=b,DC=corp", "CN=a,OU=b,DC=corp"),
        (r"CN=a\+OU=b,DC=corp", "CN=a+OU=b,DC=corp"),
        (r"CN=\#0c0161,DC=corp", "CN=#0c0161,DC=corp"),
        (r"CN=a\\,DC=corp", r"CN=a\\\\,DC=corp"),
        ("CN=jose,DC=corp", "CN=josé,DC=corp"),
        ("CN=ab,DC=corp", "CN=a b,DC=corp"),
        ("CN=a,DC=corp", "OU=a,DC=corp"),
    ] {
        assert_ne!(dn(left), dn(right), "{left} | {right}");
    }
}

#[test]
fn an_error_names_the_byte() {
    for (text, error) in [
        ("", DnError::Empty),
        ("   ", DnError::Empty),
        ("Deployers", DnError::Equals(9)),
        ("=x", DnError::Type(0)),
        ("CN=,DC=corp", DnError::Value(3)),
        ("CN=a,", DnError::Type(5)),
        ("CN=a,,DC=b", DnError::Type(5)),
        ("CN=a+,DC=b", DnError::Type(5)),
        ("CN=a;DC=b", DnError::Unescaped(4)),
        ("CN=\"a\",DC=b", DnError::Unescaped(3)),
        ("CN=a<b", DnError::Unescaped(4)),
        ("CN=a\0b", DnError::Unescaped(4)),
        (r"CN=a\", DnError::Escape(4)),
        (r"CN=a\x", DnError::Escape(4)),
        (r"CN=\ff,DC=b", DnError::Utf8(6)),
        ("CN=#,DC=b", DnError::Hex(3)),
        ("CN=#0c0,DC=b", DnError::Hex(3)),
        ("1..2=a", DnError::Type(0)),
        ("C.N=a", DnError::Type(0)),
        ("<SID=S-1-5-32-545>", DnError::Type(0)),
    ] {
        assert_eq!(Dn::parse(text).unwrap_err(), error, "{text}");
    }
    assert_eq!(Dn::parse(&format!("CN={}", "a".repeat(9000))).unwrap_err(), DnError::TooLong);
}

#[test]
fn an_entry_is_within_its_base_by_whole_rdns() {
    let base = dn("DC=corp,DC=example");
    assert!(dn("CN=a,dc=CORP,dc=example").is_within(&base) && base.is_within(&base));
    assert!(!dn("CN=a,DC=xcorp,DC=example").is_within(&base));
    assert!(!dn(r"CN=a\,DC\=corp,DC=example").is_within(&base));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,64}|[A-Za-z=,+\\\\#; <>\"0-9é]{0,64}") {
        let _ = Dn::parse(&text);
    }

    #[test]
    fn a_key_reads_back_as_itself(value in "[a-zA-Z ,+=#;\\\\\"<>é0-9]{1,24}") {
        prop_assume!(!value.trim().is_empty());
        let escaped: String = value.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let name = dn(&format!("CN={escaped},DC=corp"));
        prop_assert!(name.is_within(&dn("dc=corp")));
        // Every value that differs beyond case and spaces has another key.
        let other = dn(&format!("CN={escaped}x,DC=corp"));
        prop_assert_ne!(name, other);
    }
}
