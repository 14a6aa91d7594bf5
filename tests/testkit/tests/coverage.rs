//! `tests/COVERAGE.md`: which test shows which row of the requirements and of the attack corpus (`tests/corpus/ids.tsv`).
//!
//! A test shows the rows that its name begins with: `c031_j02_a_header_is_one_json_object`, `o2_05_...`, `tx01_to_tx05_...`. A
//! row without a test needs a reason in `tests/corpus/reasons.tsv`. `STS_BLESS=1` writes the table anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; clippy sees only #[test] functions as tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A row of `ids.tsv`.
struct Row<'a> {
    id: &'a str,
    level: &'a str,
    title: &'a str,
}

#[test]
fn every_row_has_a_test_or_a_reason_and_the_table_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (ids, reasons) = (read(&root.join("tests/corpus/ids.tsv")), read(&root.join("tests/corpus/reasons.tsv")));
    let rows: Vec<Row<'_>> = ids.lines().map(|line| row(line).expect("id, level and title")).collect();
    let reasons: BTreeMap<&str, &str> =
        reasons.lines().map(|line| line.split_once('\t').expect("id and reason")).collect();

    let mut tests: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for file in sources(&root) {
        let place = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        for name in functions(&read(&file)) {
            for id in shown_by(name) {
                tests.entry(id).or_default().insert((place.clone(), name.to_owned()));
            }
        }
    }

    let known: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
    let unknown: Vec<&str> =
        tests.keys().map(String::as_str).chain(reasons.keys().copied()).filter(|id| !known.contains(id)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "no rows of tests/corpus/ids.tsv");
    let bare: Vec<&str> =
        known.iter().copied().filter(|id| !tests.contains_key(*id) && !reasons.contains_key(id)).collect();
    assert_eq!(bare, Vec::<&str>::new(), "neither a test begins with these ids nor does reasons.tsv have them");

    let (table, committed) = (render(&rows, &tests, &reasons), root.join("tests/COVERAGE.md"));
    if std::env::var_os("STS_BLESS").is_some() {
        std::fs::write(&committed, &table).unwrap();
    }
    assert!(
        read(&committed) == table,
        "tests/COVERAGE.md is stale: run `STS_BLESS=1 cargo test -p sts-testkit --test coverage`"
    );
}

#[test]
fn a_name_shows_the_ids_that_it_begins_with() {
    let shown = |name: &str| shown_by(name).join(" ");
    assert_eq!(shown("c031_j02_a_header_is_c9"), "C-31 J-2");
    assert_eq!(shown("tx14_o2_04_o2_05_credentials"), "TX-14 O2-4 O2-5");
    assert_eq!(shown("tx01_to_tx03_c010_the_shape"), "TX-1 TX-2 TX-3 C-10");
    assert_eq!(shown("md1_x"), "MD-1");
    assert_eq!(shown("es256_signs"), "");
    assert_eq!(shown("o2_x"), "");
    assert_eq!(shown("f1_fld04_a_family"), "F-1 FLD-4");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut columns = line.split('\t');
    Some(Row { id: columns.next()?, level: columns.next()?, title: columns.next()? })
}

/// The Rust files of the repository, outside of what builds leave.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names of the functions in a file. That one which is named after a row is a test is for reviewers to see.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let (before, after) = line.split_once("fn ")?;
        let is_item =
            before.trim_start().split(' ').all(|word| ["", "pub", "pub(crate)", "pub(super)", "async"].contains(&word));
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        is_item.then(|| after.split_at(end).0)
    })
}

/// Prefixes of row ids. `C` is the attack corpus, `F` a finding of a security review, `FLD` a fault met in the field.
const STANDARDS: [&str; 17] =
    ["tx", "j", "bc", "sb", "at", "md", "rv", "in", "dp", "mt", "ri", "ja", "br", "c", "o2", "f", "fld"];

/// The ids that a name begins with.
fn shown_by(name: &str) -> Vec<String> {
    let mut found: Vec<(&str, u16)> = Vec::new();
    let mut words = name.split('_').peekable();
    let mut is_range = false;
    while let Some(word) = words.next() {
        if word == "to" && !found.is_empty() {
            is_range = true;
            continue;
        }
        let Some((standard, number)) =
            (if word == "o2" { words.next().map(|number| ("o2", number)) } else { split(word) })
        else {
            break;
        };
        let Some((standard, number)) = STANDARDS.iter().find(|own| **own == standard).zip(number.parse::<u16>().ok())
        else {
            break;
        };
        let first = found.last().filter(|_| is_range).map_or(number, |(_, last)| last + 1);
        found.extend((first..=number).map(|number| (*standard, number)));
        is_range = false;
    }
    found.into_iter().map(|(standard, number)| format!("{}-{number}", standard.to_uppercase())).collect()
}

/// A word as letters and the number after them.
fn split(word: &str) -> Option<(&str, &str)> {
    Some(word.split_at(word.find(|c: char| c.is_ascii_digit())?))
}

fn render(
    rows: &[Row<'_>],
    tests: &BTreeMap<String, BTreeSet<(String, String)>>,
    reasons: &BTreeMap<&str, &str>,
) -> String {
    let mut table = "# Which test shows what\n\n\
        Generated from the names of the tests: `STS_BLESS=1 cargo test -p sts-testkit --test coverage`. Levels: M the standard demands it, \
        S it recommends it, P our own rule, A an attack or a fault (`c001_...`).\n"
        .to_owned();
    let mut standard = "";
    for Row { id, level, title } in rows {
        let own = id.split_once('-').map_or("", |(standard, _)| standard);
        if own != standard {
            standard = own;
            table.push_str("\n| id | level | what | shown by |\n|---|---|---|---|\n");
        }
        let shown = tests.get(*id).map_or_else(
            || reasons.get(id).copied().unwrap_or_default().to_owned(),
            |tests| tests.iter().map(|(place, name)| format!("[{name}](../{place})")).collect::<Vec<_>>().join("<br>"),
        );
        writeln!(table, "| {id} | {level} | {title} | {shown} |").unwrap();
    }
    table
}
