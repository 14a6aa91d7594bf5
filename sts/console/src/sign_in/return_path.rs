//! Where a person goes after sign-in: a page of the console, never anywhere else.

use url::Url;

/// The first page.
pub(crate) const HOME: &str = "/console/";
/// The page that begins a sign-in.
const SIGN_IN: &str = "/console/sign-in";
/// The longest path that is kept.
const LONGEST: usize = 2048;
/// Paths that lead nowhere after sign-in.
const NO_PAGES: [&str; 4] = [SIGN_IN, "/console/callback", "/console/link", "/console/sign-out"];

/// The page that `asked` names, or the first one.
pub(super) fn return_path(asked: &str) -> String {
    page(asked).unwrap_or_else(|| HOME.to_owned())
}

/// The address that begins a sign-in and comes back to the page at `path`.
pub(crate) fn sign_in_path(path: &str) -> String {
    match return_path(path).as_str() {
        HOME => SIGN_IN.to_owned(),
        path => format!(
            "{SIGN_IN}?{}",
            url::form_urlencoded::Serializer::new(String::new()).append_pair("to", path).finish()
        ),
    }
}

/// As a browser reads it: `..`, backslashes and line breaks could lead elsewhere.
fn page(asked: &str) -> Option<String> {
    let is_local =
        asked.len() <= LONGEST && asked.starts_with('/') && !asked.contains(|c: char| c.is_control() || c == '\\');
    let own = Url::parse("https://console.invalid/").ok()?;
    let url = own.join(asked).ok().filter(|url| is_local && url.origin() == own.origin())?;
    let is_page = url.path().starts_with(HOME) && !NO_PAGES.contains(&url.path().trim_end_matches('/'));
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    is_page.then(|| format!("{}{query}", url.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c154_only_pages_of_the_console_are_returned_to() {
        for (asked, path) in [
            ("/console/", "/console/"),
            ("/console/denials?group_by=reason&x=%3Cb%3E", "/console/denials?group_by=reason&x=%3Cb%3E"),
            ("/console/tokens#x", "/console/tokens"),
            ("/console/a\"><script>", "/console/a%22%3E%3Cscript%3E"),
        ] {
            assert_eq!(return_path(asked), path);
        }
        for hostile in [
            "",
            "https://evil.example/console/",
            "//evil.example/console/",
            "/\\evil.example/console/",
            "\\\\evil.example/console/",
            "/console/../admin/v1/tokens",
            "/console/%2e%2e/admin/v1/tokens",
            "/console\\..\\..\\evil",
            "/\t/evil.example/console/",
            "javascript:alert(1)",
            "console/",
            "/consolex/",
            "/console",
            "/console/sign-in?to=/console/",
            "/console/callback?code=x",
            "/console/link/?code=x",
            &format!("/console/{}", "a".repeat(2048)),
        ] {
            assert_eq!(return_path(hostile), HOME, "{hostile}");
        }
    }

    #[test]
    fn the_page_that_was_asked_for_is_kept_on_the_way_to_the_provider() {
        assert_eq!(sign_in_path("/console/"), "/console/sign-in");
        assert_eq!(sign_in_path("/console/denials?a=b&c"), "/console/sign-in?to=%2Fconsole%2Fdenials%3Fa%3Db%26c");
    }
}
