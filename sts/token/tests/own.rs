//! What is taken for a token of ours: read by its signature, and compared with its record.

#![expect(clippy::unwrap_used, reason = "tests: what cannot go on is a failed test")]

use serde_json::{Value, json};
use sts_jose::{OsEntropy, sha256};
use sts_keyring::{KeyStoreSpec, Keyring, KeyringSpec};
use sts_testkit::{Algorithm, Forge, Key};
use sts_token::{OwnToken, OwnTokenError, PresentedToken};
use sts_types::{AccountId, Issuer, Jti, Kid, TokenRecord, UnixTime};

const NOW: i64 = 1_790_000_000;
/// The largest token that is read.
const MOST: usize = 32 * 1024;

struct Ours {
    keyring: Keyring,
    key: Key,
    issuer: Issuer,
}

impl Ours {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spec = KeyringSpec {
            store: KeyStoreSpec::Directory(directory.path().to_owned()),
            device: None,
            algorithms: vec![Algorithm::ES256],
            rotate_every: None,
            max_ttl: 3600,
        };
        let keyring = Keyring::in_directory(spec, directory.path(), &OsEntropy, at(0)).unwrap();
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()));
        let file: Value = files
            .filter_map(|content| serde_json::from_slice(&content.unwrap()).ok())
            .find(|file: &Value| file.get("pkcs8").is_some())
            .unwrap();
        let kid = keyring.signer(Algorithm::ES256, at(0)).unwrap().kid().to_string();
        let issuer = Issuer::new("https://sts.example.com").unwrap();
        Self { key: Key::of_server(&file, &kid), keyring, issuer }
    }

    fn forge(&self) -> Forge<'_> {
        let claims = json!({
            "iss": self.issuer.as_str(), "sub": "octo", "client_id": "octo", "aud": "https://deploy.example.com",
            "iat": NOW, "exp": NOW + 900, "jti": "0123456789abcdef0123456789", "scope": "a b",
        });
        Forge::new(&self.key, &claims).header("typ", "at+jwt")
    }

    fn read(&self, token: &str, now: i64) -> Result<OwnToken, OwnTokenError> {
        OwnToken::verify(token, &self.keyring, &self.issuer, at(now))
    }

    fn record_of(&self, token: &str) -> TokenRecord {
        let seed = include_bytes!("../../../tests/fuzz/seeds/record/record");
        let kid = Kid::new(self.key.kid().unwrap()).unwrap();
        TokenRecord { token_digest: sha256(token.as_bytes()), kid, ..serde_json::from_slice(seed).unwrap() }
    }

    /// A token of exactly that length.
    fn of_length(&self, length: usize) -> String {
        let padded = |header: usize, payload: usize| {
            self.forge().header("x", "x".repeat(header)).claim("pad", "p".repeat(payload)).sign()
        };
        let near = (length - padded(0, 0).len()) * 3 / 4;
        let pads = (0..4).flat_map(|header| (near - 8..near + 8).map(move |payload| (header, payload)));
        pads.map(|(header, payload)| padded(header, payload)).find(|token| token.len() == length).unwrap()
    }
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_secs(NOW + seconds)
}

#[test]
fn at06_only_an_access_token_of_our_issuer_under_our_key_and_in_time_is_read() {
    let ours = Ours::new();
    let own = ours.read(&ours.forge().sign(), 0).unwrap();
    assert_eq!((own.account().as_str(), own.scope().to_string().as_str()), ("octo", "a b"));
    for typ in ["AT+JWT", "application/at+jwt", "APPLICATION/AT+JWT"] {
        assert!(ours.read(&ours.forge().header("typ", typ).sign(), 0).is_ok(), "{typ}");
    }
    let other = Key::new(Algorithm::ES256, ours.key.kid().unwrap());
    use OwnTokenError::{Issuer, Key as NoKey, Malformed, Signature, Type};
    let claim = Malformed("a claim of an access token is missing or has the wrong type");
    for (what, token, fault) in [
        ("no typ", ours.forge().no_header("typ").sign(), Type),
        ("a plain JWT", ours.forge().header("typ", "JWT").sign(), Type),
        ("a prefix of another length", ours.forge().header("typ", "applicatioN/at+jwt2").sign(), Type),
        ("another prefix of that length", ours.forge().header("typ", "applicatiox/at+jwt").sign(), Type),
        ("only the prefix", ours.forge().header("typ", "application/").sign(), Type),
        ("no kid", ours.forge().no_header("kid").sign(), NoKey),
        ("another kid", ours.forge().header("kid", "other").sign(), NoKey),
        ("another issuer", ours.forge().claim("iss", "https://sts.example.com/").sign(), Issuer),
        ("another key", ours.forge().sign_with(|input| other.sign(input)), Signature),
        ("two audiences", ours.forge().claim("aud", json!(["https://deploy.example.com", "x"])).sign(), claim),
        ("no jti", ours.forge().no_claim("jti").sign(), claim),
        ("no end", ours.forge().no_claim("exp").sign(), claim),
    ] {
        assert_eq!(ours.read(&token, 0).err(), Some(fault), "{what}");
    }
    let token = ours.forge().sign();
    assert!(ours.read(&token, 899).is_ok());
    assert_eq!(ours.read(&token, 900).err(), Some(OwnTokenError::Expired));
}

#[test]
fn a_token_of_ours_is_read_up_to_32_kib_both_ways() {
    let ours = Ours::new();
    for (length, is_read) in [(20_000, true), (MOST, true), (MOST + 1, false)] {
        let token = ours.of_length(length);
        assert_eq!(ours.read(&token, 0).is_ok(), is_read, "{length}");
        assert_eq!(PresentedToken::read(&token, &ours.issuer).is_some(), is_read, "{length}");
    }
}

#[test]
fn in03_a_record_is_of_one_token_of_one_account_under_one_key() {
    let ours = Ours::new();
    let token = ours.forge().sign();
    let (own, record) = (ours.read(&token, 0).unwrap(), ours.record_of(&token));
    assert!(own.is_recorded_by(&record));
    for other in [
        TokenRecord { token_digest: sha256(b"another"), ..record.clone() },
        TokenRecord { account: AccountId::new("two").unwrap(), ..record.clone() },
        TokenRecord { kid: Kid::new("other").unwrap(), ..record },
    ] {
        assert!(!own.is_recorded_by(&other), "{other:?}");
    }
}

#[test]
fn in03_what_is_presented_is_live_by_its_own_record_only_in_time_and_while_its_key_is_published() {
    let ours = Ours::new();
    let token = ours.forge().sign();
    let presented = PresentedToken::read(&token, &ours.issuer).unwrap();
    let record = ours.record_of(&token);
    assert_eq!(*presented.jti(), record.jti);
    assert!(presented.is_live_by(&record, &ours.keyring, at(0)));
    assert!(presented.is_live_by(&record, &ours.keyring, at(899)));
    assert!(!presented.is_live_by(&record, &ours.keyring, at(900)));
    for other in [
        TokenRecord { token_digest: sha256(b"another"), ..record.clone() },
        TokenRecord { jti: Jti::new("another").unwrap(), ..record.clone() },
        TokenRecord { kid: Kid::new("other").unwrap(), ..record },
    ] {
        assert!(!presented.is_live_by(&other, &ours.keyring, at(0)), "{other:?}");
    }
    // Another signature over the same text is another token.
    let again = PresentedToken::read(&ours.forge().sign(), &ours.issuer).unwrap();
    assert!(!again.is_live_by(&ours.record_of(&token), &ours.keyring, at(0)));
    for (what, foreign) in [
        ("another issuer", ours.forge().claim("iss", "https://other.example.com").sign()),
        ("no jti", ours.forge().no_claim("jti").sign()),
        ("no payload", "a".to_owned()),
        ("no JSON", "a.YQ.a".to_owned()),
    ] {
        assert!(PresentedToken::read(&foreign, &ours.issuer).is_none(), "{what}");
    }
}
