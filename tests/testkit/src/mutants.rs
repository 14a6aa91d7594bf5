//! Mutations of one valid token, from a seeded generator.

use crate::{Forge, base64url, hmac};
use serde_json::{Map, Value};

/// An endless series of mutations of one token. About half of them are signed by its real key, so
/// that they reach the checks of claims as well as those of signatures.
pub struct Mutants<'a> {
    random: Random,
    honest: Forge<'a>,
}

impl std::fmt::Debug for Mutants<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutants").finish_non_exhaustive()
    }
}

impl<'a> Mutants<'a> {
    /// The mutations of `honest` for this seed, the same on every machine.
    #[must_use]
    pub fn new(seed: u64, honest: Forge<'a>) -> Self {
        Self { random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), honest }
    }
}

impl Iterator for Mutants<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        Some(mutant(&mut self.random, &self.honest))
    }
}

fn mutant(random: &mut Random, honest: &Forge<'_>) -> String {
    let (mut header, mut payload) = (honest.header_bytes().to_vec(), honest.payload_bytes().to_vec());
    for _ in 0..=random.below(3) {
        let part = if random.below(3) == 0 { &mut header } else { &mut payload };
        bend(random, part);
    }
    let bent = honest.clone().raw_header(header).raw_payload(payload);
    let mut token = match random.below(8) {
        0 => bent.sign_with(|_| honest.key().sign(honest.input().as_bytes())),
        1 => bent.sign_with(|_| Vec::new()),
        2 => bent.sign_with(|input| hmac("HS256", &honest.key().public_bytes(), input)),
        3 => bent.sign_with(|input| honest.key().sign(input).into_iter().rev().collect()),
        _ => bent.sign(),
    };
    // Now and then, mutate the text of the whole token.
    if random.below(6) == 0 {
        let at = random.below(token.len());
        match random.below(5) {
            0 => token.insert_str(at, random.pick(&["=", ".", " ", "+", "/", "\n", "_", "A"])),
            1 => drop(token.remove(at)),
            2 => token.truncate(at),
            3 => token.push_str(random.pick(&["=", ".", "A", ".e30"])),
            _ => token = token.replacen('.', &format!(".{}", base64url(b"{}")), 1),
        }
    }
    token
}

/// xorshift64*: the same mutations for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }
}

const MEMBERS: &[&str] = &[
    "alg", "typ", "kid", "crit", "b64", "jwk", "jku", "cty", "zip", "iss", "sub", "aud", "exp", "nbf", "iat", "jti",
    "cnf", "custom",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1",
    "1.5",
    "1e400",
    "9007199254740993",
    "18446744073709551616",
    "1790000000",
    "1790000060",
    "1789999940",
    "1790000600.5",
    "179e7",
    r#""""#,
    r#"" ""#,
    r#""1790000600""#,
    r#""ES256""#,
    r#""none""#,
    r#""es256""#,
    r#""HS256""#,
    r#""JWT""#,
    r#""at+jwt""#,
    r#""k""#,
    r#""https://issuer.example""#,
    r#""https://issuer.example/""#,
    r#""\ud800""#,
    r#""\u0000""#,
    "[]",
    "{}",
    r#"["https://issuer.example"]"#,
    "[[]]",
    r#"{"a":1,"a":2}"#,
];

/// One mutation of a JSON text.
fn bend(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    match random.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => {
            bytes.remove(at);
        }
        2 => bytes.insert(at, b"\"{}[],:\\ \0\xffe"[random.below(12)]),
        3 => bytes.truncate(at),
        4 => bytes.extend_from_slice(random.pick(&[" ", "{}", "x", "\n", "\u{feff}"]).as_bytes()),
        5 => {
            let spelt = random.pick(&[r#""s\u0075b""#, r#""Sub""#, r#""sub ""#]);
            *bytes = String::from_utf8_lossy(bytes).replacen(r#""sub""#, spelt, 1).into_bytes();
        }
        _ => {
            let (name, value) = (random.pick(MEMBERS), random.pick(VALUES));
            match (serde_json::from_slice::<Map<String, Value>>(bytes), serde_json::from_str(value)) {
                // Replaces the member that is there.
                (Ok(mut members), Ok(value)) if random.below(2) == 0 => {
                    members.insert(name.to_owned(), value);
                    *bytes = Value::Object(members).to_string().into_bytes();
                }
                // Adds a member, perhaps of the same name.
                _ if bytes.last() == Some(&b'}') => {
                    bytes.pop();
                    bytes.extend_from_slice(format!(r#","{name}":{value}}}"#).as_bytes());
                }
                _ => {}
            }
        }
    }
}
