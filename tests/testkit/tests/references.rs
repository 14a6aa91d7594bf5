//! Comments and pages stand on their own: none refers to a document outside of the repository.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; clippy sees only #[test] functions as tests")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What precedes a number or an id in a reference to such a document. The ids of tests/corpus are for
/// the names of tests.
const REFERENCES: [&str; 5] = ["requirement ", "requirements ", "issue #", "DESIGN", "STYLE.md"];

#[test]
fn no_comment_and_no_page_refers_to_what_is_not_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for file in texts(&root) {
        // This file names them.
        if file.ends_with("references.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            if REFERENCES.iter().any(|reference| refers(line, reference)) {
                found.push(format!("{}:{}: {line}", file.strip_prefix(&root).unwrap().display(), number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_requirement_is_a_reference_where_an_id_follows() {
    assert!(refers("/// RSA keys of these sizes (requirement J-7).", "requirement "));
    assert!(refers("// requirements J-1 to J-5", "requirements "));
    assert!(refers("// see DESIGN section 2", "DESIGN"));
    assert!(!refers("// a requirement of HTTP", "requirement "));
    assert!(!refers("// its requirements are few", "requirements "));
}

#[test]
fn what_the_architecture_page_names_is_in_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("sts/ARCHITECTURE.md")).unwrap();
    let sources: String = texts(&root)
        .iter()
        .filter(|file| file.extension().is_some_and(|own| own == "rs"))
        .map(|file| std::fs::read_to_string(file).unwrap_or_default())
        .collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: HashSet<&str> = sources.split(|c| !is_word(c)).collect();
    // Every other piece stands between back-ticks. Blocks have none within.
    let names = page.split('`').skip(1).step_by(2).filter(|name| name.chars().all(|c| is_word(c) || c == ':'));
    let is_of_code = |part: &&str| part.contains('_') || part.starts_with(|c: char| c.is_ascii_uppercase());
    let unknown: Vec<&str> =
        names.flat_map(|name| name.split("::")).filter(is_of_code).filter(|part| !words.contains(part)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "sts/ARCHITECTURE.md names what is not in the code");
}

#[test]
fn the_architecture_page_has_a_row_for_each_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("sts/ARCHITECTURE.md")).unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    // What fuzzing needs is no part of the product.
    let members = members.split('"').skip(1).step_by(2).filter(|member| *member != "tests/fuzz/targets");
    let missing: Vec<&str> = members.filter(|member| !page.contains(&format!("| [{member}]("))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "sts/ARCHITECTURE.md has no row for these crates");
}

#[test]
fn a_bench_that_a_text_names_is_one_of_the_package_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let texts = texts(&root);
    let manifests = texts.iter().filter(|file| file.ends_with("Cargo.toml"));
    let named =
        |table: &str| table.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    let mut benches = HashSet::new();
    for manifest in manifests {
        let text = std::fs::read_to_string(manifest).unwrap();
        let mut tables = text.split("[[bench]]");
        let Some(package) = tables.next().and_then(named) else { continue };
        benches.extend(tables.filter_map(named).map(|bench| (package.clone(), bench)));
    }
    assert!(benches.contains(&("sts".to_owned(), "speed".to_owned())));
    let mut unknown = Vec::new();
    for file in texts.iter().filter(|file| !file.ends_with("references.rs")) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for command in text.split("cargo bench ").skip(1) {
            let words: Vec<&str> = command.split(['`', '\n', ' ', '"', ',']).collect();
            let after = |options: &[&str]| words.iter().take(8).skip_while(|word| !options.contains(word)).nth(1);
            let (package, bench) = (after(&["-p", "--package"]), after(&["--bench"]));
            let is_known = benches.iter().any(|(own, one)| {
                package.is_none_or(|package| own == package) && bench.is_none_or(|bench| one == bench)
            });
            if !is_known {
                unknown.push(format!(
                    "{}: cargo bench {}",
                    file.display(),
                    words.iter().take(5).copied().collect::<Vec<_>>().join(" ")
                ));
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
}

/// Whether `line` has `reference`, followed by an id where that is what makes it one.
fn refers(line: &str, reference: &str) -> bool {
    let is_id = |text: &str| {
        let word = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default();
        let is_of_ids = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        word.chars().all(is_of_ids) && word.chars().any(|c| c.is_ascii_digit())
    };
    line.match_indices(reference).any(|(at, _)| {
        let after = line.get(at + reference.len()..).unwrap_or_default();
        !reference.ends_with([' ', '#']) || is_id(after)
    })
}

/// The sources and pages of the repository, outside of what builds leave.
fn texts(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with("target") && !name.starts_with('.') {
            found.extend(texts(&path));
        } else if path.extension().is_some_and(|own| ["rs", "md", "yaml", "toml", "py"].iter().any(|kind| own == *kind))
        {
            found.push(path);
        }
    }
    found
}
