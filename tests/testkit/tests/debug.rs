//! A type that holds a secret writes its own `Debug`: a derived one would print it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// Fields whose content a derived `Debug` must not print.
const SECRET_TYPES: [&str; 3] = ["Zeroizing<", "hmac::Key", ": PrivateKey"];
const SECRET_NAMES: [&str; 8] =
    ["jwt", "access_token", "subject_token", "actor_token", "password", "pkcs8", "client_secret", "assertion"];

#[test]
fn no_derived_debug_covers_a_field_that_holds_a_secret() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["sts", "config", "policy", "jwks-cache"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 200, "{}", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let faults = faults(&text);
            faults.into_iter().map(|fault| format!("{}: {fault}", file.display())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_secret_under_a_derived_debug_is_found() {
    let item = |derive: &str, field: &str| format!("#[derive({derive})]\npub struct Held {{\n    {field},\n}}\n");
    for field in ["pub key: Zeroizing<Vec<u8>>", "jwt: String", "pub access_token: Option<String>"] {
        assert_eq!(faults(&item("Clone, Debug", field)).len(), 1, "{field}");
        assert_eq!(faults(&item("Clone", field)), Vec::<String>::new(), "{field}");
    }
    assert_eq!(faults("#[derive(Debug)]\nstruct Held(Zeroizing<String>);\n").len(), 1);
    for field in ["password_file: Option<PathBuf>", "token_digest: Digest256", "jwt: Digest256"] {
        assert_eq!(faults(&item("Debug", field)), Vec::<String>::new(), "{field}");
    }
}

/// The lines of secrets in types of `text` that derive `Debug`.
fn faults(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let derives = (0..lines.len()).filter(|index| {
        lines[*index].trim_start().starts_with("#[derive(")
            && lines[*index].split(['(', ')', ',']).any(|name| name.trim() == "Debug")
    });
    derives.flat_map(|index| item(&lines[index..]).filter(|line| is_secret(line)).map(str::to_owned)).collect()
}

/// The lines of the item below its `derive`.
fn item<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let end = lines.iter().position(|line| {
        line.len() - line.trim_start().len() == indent && (line.ends_with('}') || line.trim_end().ends_with(';'))
    });
    lines[..end.map_or(lines.len(), |end| end + 1)].iter().copied()
}

fn is_secret(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("//") {
        return false;
    }
    let named = line.split_once(": ").is_some_and(|(name, kind)| {
        SECRET_NAMES.contains(&name.rsplit(' ').next().unwrap_or_default())
            && ["String", "str", "Vec<u8>"].iter().any(|text| kind.contains(text))
    });
    named || SECRET_TYPES.iter().any(|kind| line.contains(kind))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !["target", "tests", "benches"].iter().any(|name| path.ends_with(name)) {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
