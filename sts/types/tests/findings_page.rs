//! `deploy/docs/findings.md` lists the codes of `sts check`, as the code has them. `STS_BLESS=1`
//! writes the list anew.

use std::path::Path;

use sts_types::CheckCode;

const BEGIN: &str = "<!-- codes -->\n";
const END: &str = "<!-- /codes -->\n";

#[test]
fn the_page_of_findings_lists_every_code_with_its_meaning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/findings.md");
    let page = std::fs::read_to_string(&path).expect("the page can be read");
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the list begins");
    let (_, after) = rest.split_once(END).expect("the page marks where the list ends");
    let rows = CheckCode::ALL.iter().map(|code| format!("| `{}` | {} |\n", code.as_str(), code.meaning()));
    let table: String = std::iter::once("| code | meaning |\n|---|---|\n".to_owned()).chain(rows).collect();
    let fresh = format!("{before}{BEGIN}{table}{END}{after}");
    let is_blessed = std::env::var_os("STS_BLESS").is_some();
    if is_blessed {
        std::fs::write(&path, &fresh).expect("the page can be written");
    }
    assert!(
        is_blessed || page == fresh,
        "deploy/docs/findings.md is stale: run `STS_BLESS=1 cargo test -p sts-types --test findings_page`"
    );
}
