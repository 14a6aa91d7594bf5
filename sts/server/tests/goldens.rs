//! Every wrong configuration under `tests/golden` is reported as the file beside it says. `STS_BLESS=1` writes those files.

use std::fs;
use std::path::Path;

use sts::compile::{Purpose, load};

fn environment(name: &str) -> Option<String> {
    match name {
        "STS_FORMAT" => Some("yaml, a secret".to_owned()),
        "STS_LISTEN" => Some("localhost".to_owned()),
        "STS_BROKEN" => Some("octo\n".to_owned()),
        _ => None,
    }
}

#[test]
fn every_wrong_configuration_is_reported_as_its_golden_file_says() {
    // Relative to the crate, so that no machine's path is in the goldens.
    let folder = Path::new("tests/golden");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    cases.sort();
    assert!(cases.len() >= 25, "{}", cases.len());
    let mut stale = Vec::new();
    for case in cases {
        let findings = load(&case, &environment, Purpose::Serve).map(|loaded| loaded.compiled.generation).unwrap_err();
        let rendered = format!("{}exit {}\n", findings.render(false), findings.exit_code());
        let golden = case.with_extension("txt");
        #[expect(clippy::disallowed_methods, reason = "a switch of the test run itself")]
        let bless = std::env::var("STS_BLESS").is_ok();
        if bless {
            fs::write(&golden, &rendered).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != rendered {
            stale.push(format!("{}:\n{rendered}", golden.display()));
        }
    }
    assert!(stale.is_empty(), "run with STS_BLESS=1 if these are right:\n{}", stale.join("\n"));
}
