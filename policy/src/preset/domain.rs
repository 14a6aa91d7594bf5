//! Registrable domains, according to the Public Suffix List.

use super::suffix_list::{Section, suffix};

/// The part of `host` that its owner registered with a registry: `example.co.uk` for
/// `ci.example.co.uk`.
pub(super) fn registered(host: &str) -> Option<&str> {
    let mut found = suffix(host)?;
    // A private suffix is the domain of a company that gives out names below it. Go up to what the
    // company itself registered.
    while found.section == Some(Section::Private) {
        found = suffix(found.text.split_once('.')?.1)?;
    }
    with_one_label_more(host, found.text)
}

/// The suffix of `host` below which anybody can get a name, from a registry or from a hosting
/// company.
pub(super) fn public_suffix(host: &str) -> Option<PublicSuffix<'_>> {
    let found = suffix(host)?;
    Some(PublicSuffix { text: found.text, is_company: found.section? == Section::Private })
}

/// A suffix below which anybody can get a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PublicSuffix<'a> {
    pub(super) text: &'a str,
    /// Whether a company gives out the names, rather than a registry.
    pub(super) is_company: bool,
}

impl PublicSuffix<'_> {
    /// The name directly below the suffix that contains `host`.
    pub(super) fn name_in<'h>(&self, host: &'h str) -> Option<&'h str> {
        with_one_label_more(host, self.text)
    }
}

/// `suffix` with the label before it in `host`.
fn with_one_label_more<'h>(host: &'h str, suffix: &str) -> Option<&'h str> {
    let before = host.strip_suffix(suffix)?.strip_suffix('.')?;
    host.get(before.rfind('.').map_or(0, |dot| dot + 1)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registered_part_of_a_host_is_found() {
        for (host, wanted) in [
            ("ci.example.co.uk", Some("example.co.uk")),
            ("example.com", Some("example.com")),
            ("token.actions.githubusercontent.com", Some("githubusercontent.com")),
            ("acme.s3.amazonaws.com", Some("amazonaws.com")),
            ("acme.s3.cn-north-1.amazonaws.com.cn", Some("amazonaws.com.cn")),
            ("oidc.eks.{region}.amazonaws.com", Some("amazonaws.com")),
            ("octo.github.io", Some("github.io")),
            ("a.idp.example", Some("idp.example")),
            ("com", None),
            ("localhost", None),
        ] {
            assert_eq!(registered(host), wanted, "{host}");
        }
    }

    #[test]
    fn a_suffix_that_gives_names_to_anybody_is_found() {
        let of = |host| public_suffix(host).map(|suffix| (suffix.text, suffix.is_company, suffix.name_in(host)));
        assert_eq!(of("x.octo.github.io"), Some(("github.io", true, Some("octo.github.io"))));
        assert_eq!(of("{x}.co.uk"), Some(("co.uk", false, Some("{x}.co.uk"))));
        assert_eq!(of("{x}.acme.com"), Some(("com", false, Some("acme.com"))));
        assert_eq!(of("{x}.acme.example"), None, "nobody registers there");
    }
}
