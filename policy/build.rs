//! Turns the Public Suffix List into the form that `src/preset/suffix_list.rs` searches.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment alone")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::path::Path;

const LIST: &str = "src/preset/public_suffix_list.dat";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    let list = std::fs::read_to_string(LIST)?;
    let folder = std::env::var("OUT_DIR").map_err(Error::other)?;
    std::fs::write(Path::new(&folder).join("suffixes.txt"), searchable(&list)?)
}

/// One line for each name that has rules or longer names below it, in bytewise order: the name, a
/// blank, and the letters that `kinds_of_rules` explains. Most names have a plain ICANN rule and
/// nothing below, and there the blank and the letter are left out.
fn searchable(list: &str) -> Result<String> {
    let mut names: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    let mut is_private = false;
    for line in list.lines() {
        is_private |= line.contains("===BEGIN PRIVATE DOMAINS===");
        let Some(rule) = line.split_whitespace().next().filter(|word| !word.starts_with("//")) else { continue };
        let (name, kind) = match (rule.strip_prefix("*."), rule.strip_prefix('!'), is_private) {
            (Some(parent), _, false) => (parent, 'I'),
            (Some(parent), _, true) => (parent, 'P'),
            (_, Some(exception), _) => (exception, '!'),
            (_, _, false) => (rule, 'i'),
            (_, _, true) => (rule, 'p'),
        };
        // Hosts are spelled either way: URLs have punycode, people write Unicode.
        for spelling in [name, &punycode(name)?] {
            names.entry(spelling.to_owned()).or_default().insert(kind);
            for (dot, _) in spelling.match_indices('.') {
                let (_, end) = spelling.split_at(dot + 1);
                names.entry(end.to_owned()).or_default().insert('.');
            }
        }
    }
    Ok(names.iter().map(|(name, kinds)| line_of(name, &kinds.iter().collect::<String>())).collect())
}

fn punycode(name: &str) -> Result<String> {
    let ascii = url::quirks::domain_to_ascii(name);
    if ascii.is_empty() || name.contains(['*', '!']) {
        return Err(Error::other(format!("{LIST}: `{name}` is no domain name, or a rule of an unknown form")));
    }
    Ok(ascii)
}

fn line_of(name: &str, kinds: &str) -> String {
    if kinds == "i" { format!("{name}\n") } else { format!("{name} {kinds}\n") }
}
