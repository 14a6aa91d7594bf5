//! The stylesheet and the script, served under names that hold their digests.

use std::borrow::Cow;
use std::fmt::Write as _;

use rust_embed::RustEmbed;

/// Path that all assets stand under.
const ROOT: &str = "/console/assets/";

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

/// A file that pages load. Its name changes with its content, so a cache may keep it for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub content: Cow<'static, [u8]>,
}

/// The path under which pages load the asset; without a digest if there is no such asset.
#[must_use]
pub fn path(name: &str) -> String {
    let digested = Files::get(name).and_then(|file| digested(name, &file.metadata.sha256_hash()));
    format!("{ROOT}{}", digested.as_deref().unwrap_or(name))
}

/// The asset at `path`. A name with the digest of other content is no asset: caches would keep it for ever.
#[must_use]
pub fn find(path: &str) -> Option<Asset> {
    let name = Files::iter().find(|name| self::path(name) == path)?;
    let content_type = match name.rsplit_once('.')?.1 {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        _ => return None,
    };
    Some(Asset { content_type, content: Files::get(&name)?.data })
}

/// `console.css` as `console-0123456789abcdef.css`.
fn digested(name: &str, digest: &[u8]) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let mut hex = String::new();
    for byte in digest.iter().take(8) {
        let _written = write!(hex, "{byte:02x}");
    }
    Some(format!("{stem}-{hex}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_under_its_digest_only() {
        for (name, content_type) in
            [("console.css", "text/css; charset=utf-8"), ("console.js", "text/javascript; charset=utf-8")]
        {
            let asset = find(&path(name)).unwrap();
            assert_eq!(asset.content_type, content_type);
            assert!(!asset.content.is_empty());
            assert_eq!(find(&format!("{ROOT}{name}")), None);
        }
        assert_eq!(find(&path("console.css").replace("console-", "console-0")), None);
        assert_eq!(find(&path("../Cargo.toml")), None);
    }
}
