//! Whatever a file holds, loading it ends in settings or in findings.

use std::fs;

use proptest::prelude::*;
use sts::compile::{Purpose, load};

/// Pieces of YAML that meet in odd ways.
fn yaml() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "issuer",
        "issuers",
        "tokens",
        "apis",
        "jwks",
        "identities",
        "service_accounts",
        "tests",
        "octo",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    - ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        "\"",
        "\\",
        "*",
        "&a ",
        "!t ",
        "|",
        ">",
        "#",
        " # ",
        "---\n",
        "...\n",
        "%",
        "@",
        "`",
        "\t",
        "\r\n",
        "${A}",
        "${",
        "\u{feff}",
        "入力",
        "\u{0}",
        "?",
        "? ",
        "<<",
        "~",
        "no",
        "1",
        "1e3",
        "15m",
        "https://a.example.com",
        "\u{202e}",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat()),
        any::<String>(),
        "[ -~\n]{0,200}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c147_no_text_makes_the_loader_panic_and_every_finding_renders_in_its_file(text in yaml(), under in prop::bool::ANY) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts.yaml");
        let text = if under { format!("issuer: https://sts.example.com\n{text}") } else { text };
        fs::write(&path, &text).unwrap();
        let findings = match load(&path, &|_| Some("v".to_owned()), Purpose::Serve) {
            Ok(loaded) => loaded.warnings,
            Err(findings) => {
                prop_assert!(findings.exit_code() > 0);
                findings
            }
        };
        let rendered = findings.render(true);
        let unsafe_to_show = |c| matches!(c, '\u{202e}' | '\u{0}');
        prop_assert!(!rendered.contains(unsafe_to_show));
        let lines = u32::try_from(text.split('\n').count()).unwrap();
        for place in findings.iter().filter_map(|finding| finding.place.as_ref()?.file()) {
            prop_assert!((1..=lines).contains(&place.line) && place.column >= 1, "{place:?}");
        }
    }
}
