//! Issuers of one form, such as `https://oidc.eks.{region}.amazonaws.com/id/{cluster}`.
//!
//! A template decides whether a text is such an issuer, and finds the value of each variable. A
//! variable stays within one label of the host or one segment of the path. Its value has only
//! characters that cannot end that part or have a meaning in a URL. Each text therefore has at most
//! one reading, and no value can reach into the next part.

mod parse;

use std::fmt;

use regex::Regex;

use crate::Issuer;

/// Limit of a variable's value, in bytes.
const LONGEST_VALUE: usize = 128;

/// The configured rule for a variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSpec {
    /// One of these values.
    OneOf(Vec<String>),
    /// A value that this regular expression matches as a whole.
    Pattern(String),
}

/// The form of a family's issuers.
#[derive(Clone)]
pub struct IssuerTemplate {
    text: String,
    /// The text before the first variable.
    head: String,
    variables: Vec<Variable>,
}

#[derive(Clone)]
struct Variable {
    name: String,
    place: UrlPart,
    rule: VariableRule,
    /// The rest of the label or segment after the variable.
    suffix: String,
    /// The text after that, up to the next variable.
    then: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlPart {
    Host,
    Path,
}

#[derive(Clone)]
enum VariableRule {
    OneOf(Vec<String>),
    Pattern(Regex, String),
    /// Any value that its part of the URL allows.
    Anything,
}

/// A fault in a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct TemplateError {
    /// The variable with the faulty rule; none if the template itself is faulty.
    pub variable: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl TemplateError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { variable: None, message: message.into(), help: help.into() }
    }

    fn of(self, variable: &str) -> Self {
        Self { variable: Some(variable.to_owned()), ..self }
    }
}

impl IssuerTemplate {
    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its variables, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.as_str())
    }

    /// The variables with a pattern. Their possible values cannot be listed.
    pub fn open_variables(&self) -> impl Iterator<Item = &str> {
        let open = self.variables.iter().filter(|variable| !matches!(variable.rule, VariableRule::OneOf(_)));
        open.map(|variable| variable.name.as_str())
    }

    /// The listed values of the variable `name`; `None` if it has a pattern or does not exist.
    #[must_use]
    pub fn listed(&self, name: &str) -> Option<&[String]> {
        match &self.variables.iter().find(|variable| variable.name == name)?.rule {
            VariableRule::OneOf(values) => Some(values),
            VariableRule::Pattern(..) | VariableRule::Anything => None,
        }
    }

    /// Whether `issuer` has this form.
    #[must_use]
    pub fn covers(&self, issuer: &str) -> bool {
        self.read(issuer, |_, _| {}).is_some()
    }

    /// The values of the variables in `issuer`, in order; `None` if it does not have this form.
    #[must_use]
    pub fn values<'a>(&'a self, issuer: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut values = Vec::with_capacity(self.variables.len());
        self.read(issuer, |name, value| values.push((name, value)))?;
        Some(values)
    }

    /// Whether the variable `name` accepts `value`.
    #[must_use]
    pub fn accepts(&self, name: &str, value: &str) -> bool {
        self.variables.iter().any(|variable| variable.name == name && variable.accepts(value))
    }

    /// The issuer with the variables' values from `value_of`; `None` if one is missing or not
    /// accepted.
    #[must_use]
    pub fn member(&self, value_of: impl Fn(&str) -> Option<String>) -> Option<Issuer> {
        self.write(|variable| {
            // A variable with a list of values has a default: the first of them.
            let listed = match &variable.rule {
                VariableRule::OneOf(values) => values.first().cloned(),
                VariableRule::Pattern(..) | VariableRule::Anything => None,
            };
            let value = value_of(&variable.name).or(listed)?;
            variable.accepts(&value).then_some(value)
        })
    }

    /// An example of an issuer of this form that ignores the variables' rules. It serves to check
    /// what all members have in common, such as the scheme.
    #[must_use]
    pub fn outline(&self) -> Option<Issuer> {
        self.write(|_| Some("x".to_owned()))
    }

    /// The same form without patterns: such a variable accepts everything that its part of the URL
    /// allows. A pattern can only narrow, so a statement about this form holds for every family of
    /// this form.
    #[must_use]
    pub fn without_patterns(&self) -> Self {
        let open = |variable: &Variable| match variable.rule {
            VariableRule::OneOf(_) => variable.clone(),
            VariableRule::Pattern(..) | VariableRule::Anything => {
                Variable { rule: VariableRule::Anything, ..variable.clone() }
            }
        };
        Self { variables: self.variables.iter().map(open).collect(), ..self.clone() }
    }

    /// The same form, in which each variable stands for whatever its place allows: to see what a text has in each place.
    #[must_use]
    pub fn without_rules(&self) -> Self {
        let open = |variable: &Variable| Variable { rule: VariableRule::Anything, ..variable.clone() };
        Self { variables: self.variables.iter().map(open).collect(), ..self.clone() }
    }

    /// Whether an issuer can have both forms. Two patterns at the same position count as
    /// overlapping.
    #[must_use]
    pub fn may_overlap(&self, other: &Self) -> bool {
        let (pieces, other_pieces) = (self.pieces(), other.pieces());
        pieces.len() == other_pieces.len() && pieces.iter().zip(&other_pieces).all(|(own, other)| own.may_equal(other))
    }

    fn write(&self, value: impl Fn(&Variable) -> Option<String>) -> Option<Issuer> {
        let mut text = self.head.clone();
        for variable in &self.variables {
            text += &value(variable)?;
            text += &variable.suffix;
            text += &variable.then;
        }
        Issuer::new(&text).ok()
    }

    /// Reads `issuer` as this template. There is at most one way.
    fn read<'a>(&'a self, issuer: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
        let mut rest = issuer.strip_prefix(self.head.as_str())?;
        for variable in &self.variables {
            let end = rest.find(|c| !variable.place.allows(c)).unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end)?;
            let value = part.strip_suffix(variable.suffix.as_str())?;
            if !variable.accepts(value) {
                return None;
            }
            each(&variable.name, value);
            rest = after.strip_prefix(variable.then.as_str())?;
        }
        rest.is_empty().then_some(())
    }

    /// The labels of the host and the segments of the path, in order.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let (scheme, rest) = self.text.split_once("://").unwrap_or(("", &self.text));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let labels = authority.split_inclusive(['.', ':']).map(|part| (part, part.strip_suffix(['.', ':'])));
        let segments = path.split_inclusive('/').map(|part| (part, part.strip_suffix('/')));
        let parts = std::iter::once((scheme, None)).chain(labels).chain(segments);
        parts.map(|(part, text)| self.piece(part, text.unwrap_or(part))).collect()
    }

    /// The piece for `part`. `text` is `part` without its separator.
    fn piece<'a>(&'a self, part: &'a str, text: &'a str) -> Piece<'a> {
        let end = part.strip_prefix(text).unwrap_or_default();
        let name = text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.0)));
        let variable = name.and_then(|(before, name)| {
            let variable = self.variables.iter().find(|variable| variable.name == name)?;
            Some((before, variable))
        });
        match variable {
            Some((before, variable)) => Piece { text: before, end, variable: Some(variable) },
            None => Piece { text, end, variable: None },
        }
    }
}

impl Variable {
    fn accepts(&self, value: &str) -> bool {
        if value.is_empty()
            || value.len() > LONGEST_VALUE
            || !value.chars().all(|c| self.place.allows(c))
            || (self.place == UrlPart::Path && is_dots(value))
        {
            return false;
        }
        match &self.rule {
            VariableRule::OneOf(values) => values.iter().any(|allowed| allowed == value),
            VariableRule::Pattern(regex, _) => regex.is_match(value),
            VariableRule::Anything => true,
        }
    }
}

impl UrlPart {
    /// Characters of a value. In the host: those of a lower-case label. In the path: the unreserved
    /// ones (RFC 3986 section 2.3), because none of them ends a segment or has a second spelling.
    fn allows(self, c: char) -> bool {
        match self {
            Self::Host => c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
            Self::Path => c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~'),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Host => "lower-case letters, digits and `-`",
            Self::Path => "letters, digits, `-`, `.`, `_` and `~`",
        }
    }
}

/// Segments that URL parsers resolve as relative.
fn is_dots(value: &str) -> bool {
    matches!(value, "." | "..")
}

/// A label of the host or a segment of the path.
struct Piece<'a> {
    /// Its text, up to its variable if it has one.
    text: &'a str,
    /// The separator after it.
    end: &'a str,
    variable: Option<&'a Variable>,
}

impl Piece<'_> {
    fn may_equal(&self, other: &Self) -> bool {
        let is_one_text = match (self.variable, other.variable) {
            (None, None) => self.text == other.text,
            (Some(_), None) => self.fits(other.text),
            (None, Some(_)) => other.fits(self.text),
            (Some(mine), Some(theirs)) => match (&mine.rule, &theirs.rule) {
                (VariableRule::OneOf(values), _) => values.iter().any(|value| other.fits(&self.with(value))),
                (_, VariableRule::OneOf(values)) => values.iter().any(|value| self.fits(&other.with(value))),
                (
                    VariableRule::Pattern(..) | VariableRule::Anything,
                    VariableRule::Pattern(..) | VariableRule::Anything,
                ) => {
                    (self.text.starts_with(other.text) || other.text.starts_with(self.text))
                        && (mine.suffix.ends_with(&theirs.suffix) || theirs.suffix.ends_with(&mine.suffix))
                }
            },
        };
        is_one_text && self.end == other.end
    }

    /// Whether `text` has this form.
    fn fits(&self, text: &str) -> bool {
        let value = |variable: &Variable| text.strip_prefix(self.text)?.strip_suffix(variable.suffix.as_str());
        self.variable.is_some_and(|variable| value(variable).is_some_and(|value| variable.accepts(value)))
    }

    fn with(&self, value: &str) -> String {
        format!("{}{value}{}", self.text, self.variable.map_or("", |variable| variable.suffix.as_str()))
    }
}

impl PartialEq for VariableRule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneOf(this), Self::OneOf(other)) => this == other,
            (Self::Pattern(_, this), Self::Pattern(_, other)) => this == other,
            (Self::Anything, Self::Anything) => true,
            _ => false,
        }
    }
}

/// Equal if text and rules are equal.
impl PartialEq for IssuerTemplate {
    fn eq(&self, other: &Self) -> bool {
        let rules = |of: &Self| of.variables.iter().map(|variable| variable.rule.clone()).collect::<Vec<_>>();
        self.text == other.text && rules(self) == rules(other)
    }
}

impl fmt::Debug for IssuerTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const EKS: &str = "https://oidc.eks.{region}.amazonaws.com/id/{cluster}";

    fn rules(list: &[(&str, &[&str])]) -> BTreeMap<String, VariableSpec> {
        let spec = |values: &[&str]| match values {
            [pattern] => VariableSpec::Pattern((*pattern).to_owned()),
            values => VariableSpec::OneOf(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        list.iter().map(|(name, values)| ((*name).to_owned(), spec(values))).collect()
    }

    fn template(text: &str, list: &[(&str, &[&str])]) -> IssuerTemplate {
        IssuerTemplate::new(text, &rules(list)).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
    }

    fn eks() -> IssuerTemplate {
        template(EKS, &[("region", &["eu-west-1", "us-east-2"]), ("cluster", &["[0-9A-F]{32}"])])
    }

    fn said(text: &str, list: &[(&str, &[&str])]) -> String {
        let errors = IssuerTemplate::new(text, &rules(list)).expect_err(text);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_member_is_read_in_the_one_way_there_is() {
        let cluster = "0123456789ABCDEF0123456789ABCDEF";
        let issuer = format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}");
        assert_eq!(eks().values(&issuer), Some(vec![("region", "eu-west-1"), ("cluster", cluster)]));
        let mixed =
            template("https://k8s-{env}-a.example.com/t-{team}.x/end", &[("env", &["[a-z-]+"]), ("team", &[".*"])]);
        assert_eq!(
            mixed.values("https://k8s-prod-a-a.example.com/t-a.x.x/end"),
            Some(vec![("env", "prod-a"), ("team", "a.x")])
        );
    }

    #[test]
    fn c077_what_is_not_of_the_form_byte_for_byte_is_no_member() {
        let template = eks();
        let cluster = "0123456789ABCDEF0123456789ABCDEF";
        for other in [
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}/"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}?x"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}#x"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}\n"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com//id/{cluster}"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com:443/id/{cluster}"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com.evil.example/id/{cluster}"),
            format!("https://oidc.eks.evil.example/x.amazonaws.com/id/{cluster}"),
            format!("https://oidc.eks.eu-west-1@evil.example/.amazonaws.com/id/{cluster}"),
            format!("https://oidc.eks.eu-west-3.amazonaws.com/id/{cluster}"),
            format!("https://oidc.eks.EU-WEST-1.amazonaws.com/id/{cluster}"),
            format!("http://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{}", cluster.to_lowercase()),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{cluster}0"),
            format!("https://oidc.eks.eu-west-1.amazonaws.com/id/..%2f{cluster}"),
            "https://oidc.eks.eu-west-1.amazonaws.com/id/".to_owned(),
            EKS.to_owned(),
            String::new(),
        ] {
            assert_eq!(template.values(&other), None, "{other}");
        }
    }

    #[test]
    fn no_value_reaches_out_of_its_place_whatever_the_pattern() {
        let open = template("https://{host}.example.com/{path}", &[("host", &["(?s).*"]), ("path", &["(?s).*"])]);
        assert!(open.covers("https://a.example.com/b"));
        for other in [
            "https://a.b.example.com/c",
            "https://evil.example/x.example.com/c",
            "https://user@a.example.com/c",
            "https://a:80.example.com/c",
            "https://A.example.com/c",
            "https://a_b.example.com/c",
            "https://a.example.com/b/c",
            "https://a.example.com/b?c",
            "https://a.example.com/b%2fc",
            "https://a.example.com/..",
            "https://a.example.com/.",
            "https://a.example.com/",
            "https://.example.com/b",
            "https://é.example.com/b",
            "https://a.example.com/é",
        ] {
            assert!(!open.covers(other), "{other}");
        }
        assert!(!open.covers(&format!("https://a.example.com/{}", "b".repeat(129))));
    }

    #[test]
    fn a_wrong_template_is_told_with_what_to_write() {
        for (text, list, wanted) in [
            ("https://a.example", &[][..], "no variable"),
            ("https://{a}{b}.example.com", &[("a", &["x"][..]), ("b", &["x"])][..], "same part of the URL"),
            ("https://{a}-{b}.example.com", &[("a", &["x"]), ("b", &["x"])], "same part of the URL"),
            ("https://e.example/{a}.{b}", &[("a", &["x"]), ("b", &["x"])], "same part of the URL"),
            ("https://{sub}.example.com", &[("sub", &["x"])], "registered claim"),
            ("https://{a}.{a}.example.com", &[("a", &["x"])], "is used twice"),
            ("https://{a}.com", &[("a", &["x"])], "whose host"),
            ("https://{a}", &[("a", &["x"])], "whose host"),
            ("https://x.{a}/b", &[("a", &["x"])], "whose host"),
            ("https://{a}.168.0.1/b", &[("a", &["x"])], "whose host"),
            ("https://{a}..com/b", &[("a", &["x"])], "whose host"),
            ("https://a.example:{port}/", &[("port", &["x"])], "the port"),
            ("{scheme}://a.example/", &[("scheme", &["x"])], "the scheme"),
            ("{a}", &[("a", &["x"])], "not a URL"),
            ("https://a.example/{b", &[], "no partner"),
            ("https://a.example/b}", &[], "no partner"),
            ("https://a.example/{B}", &[], "not a variable"),
            ("https://a.example/{}", &[], "not a variable"),
            ("https://a.example/{b}?c", &[("b", &["x"])], "not the form of an issuer"),
            ("https://u@a.example/{b}", &[("b", &["x"])], "not the form of an issuer"),
            ("https://a.example/{b}", &[], "`{b}` has no rule"),
            ("https://a.example/{b}", &[("b", &["x"]), ("c", &["x"])], "no variable `{c}`"),
            ("https://a.example/{b}", &[("b", &["("])], "not a regular expression"),
            ("https://a.example/{b}", &[("b", &["x)|(y"])], "not a regular expression"),
            ("https://a.example/{b}", &[("b", &[])], "no value"),
            ("https://a.example/{b}", &[("b", &["a", "c/d"])], "`c/d` cannot stand there"),
            ("https://a.example/{b}", &[("b", &["a", ".."])], "`..` cannot stand there"),
            ("https://{b}.a.example/", &[("b", &["a", "x.y"])], "`x.y` cannot stand there"),
        ] {
            let said = said(text, list);
            assert!(said.contains(wanted), "{text}: wanted {wanted}, got {said}");
        }
    }

    #[test]
    fn members_are_written_with_values_that_may_stand_there() {
        let cluster = "0123456789ABCDEF0123456789ABCDEF";
        let of = |region: Option<&str>, cluster: Option<&str>| {
            let pick = |name: &str| if name == "region" { region } else { cluster }.map(str::to_owned);
            eks().member(pick).map(|issuer| issuer.to_string())
        };
        let wanted = |region| Some(format!("https://oidc.eks.{region}.amazonaws.com/id/{cluster}"));
        assert_eq!(of(None, Some(cluster)), wanted("eu-west-1"));
        assert_eq!(of(Some("us-east-2"), Some(cluster)), wanted("us-east-2"));
        assert_eq!(of(Some("mars-1"), Some(cluster)), None);
        assert_eq!(of(None, None), None);
        assert_eq!(eks().open_variables().collect::<Vec<_>>(), ["cluster"]);
        assert!(eks().accepts("region", "eu-west-1") && !eks().accepts("region", "x") && !eks().accepts("zone", "x"));
        assert_eq!(eks().outline().unwrap().as_str(), "https://oidc.eks.x.amazonaws.com/id/x");
    }

    #[test]
    fn templates_overlap_unless_a_part_keeps_them_apart() {
        let open: &[(&str, &[&str])] = &[("a", &["[a-z]+"])];
        let of = |text: &str| template(text, open);
        let listed = |text: &str, values: &'static [&'static str]| template(text, &[("a", values)]);
        for (own, other, overlap) in [
            (of("https://e.example/{a}"), of("https://e.example/{a}"), true),
            (of("https://e.example/{a}"), of("https://e.example/x-{a}"), true),
            (of("https://e.example/y-{a}"), of("https://e.example/x-{a}"), false),
            (of("https://e.example/y-{a}"), of("https://e.example/y-z{a}"), true),
            (of("https://e.example/{a}-y"), of("https://e.example/{a}x-y"), true),
            (of("https://e.example/{a}-y"), of("https://e.example/{a}-x"), false),
            (of("https://e.example/{a}"), of("https://f.example/{a}"), false),
            (of("https://e.example/{a}"), of("https://e.example/{a}/b"), false),
            (of("https://e.example/{a}/c"), of("https://e.example/{a}/b"), false),
            (of("https://{a}.e.example/b"), of("https://x.e.example/{a}"), true),
            (of("https://{a}.e.example/b"), of("https://x.e.example/b-{a}"), false),
            (listed("https://e.example/{a}", &["x", "y"]), listed("https://e.example/{a}", &["z", "w"]), false),
            (listed("https://e.example/{a}", &["x", "y"]), listed("https://e.example/{a}", &["y", "w"]), true),
            (listed("https://e.example/{a}", &["X", "Y"]), of("https://e.example/{a}"), false),
            (of("https://e.example/{a}"), listed("https://e.example/{a}", &["X", "y"]), true),
            (listed("https://{a}.e.example/b", &["x", "y"]), of("https://z.e.example/{a}"), false),
        ] {
            assert_eq!(own.may_overlap(&other), overlap, "{own:?} {other:?}");
            assert_eq!(other.may_overlap(&own), overlap, "{other:?} {own:?}");
        }
    }

    proptest! {
        /// For every member, inserting its values again gives the same text: the reader skips and
        /// adds nothing.
        #[test]
        fn c077_reading_and_writing_a_member_agree(
            host in "[a-zA-Z0-9.@:/-]{1,8}",
            path in "[a-zA-Z0-9._~%/?#:-]{1,8}",
            tail in "(/end)?[ -~]{0,3}",
        ) {
            let open = template("https://k-{host}.example.com/p/{path}/end", &[("host", &[".*"]), ("path", &[".*"])]);
            let text = format!("https://k-{host}.example.com/p/{path}{tail}");
            if let Some(values) = open.values(&text) {
                let again = open.member(|name| {
                    values.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
                });
                prop_assert_eq!(again.as_ref().map(|issuer| issuer.as_str()), Some(text.as_str()));
                prop_assert_eq!(values, [("host", host.as_str()), ("path", path.as_str())]);
            }
        }

        /// If one text fits two templates, they overlap.
        #[test]
        fn a_text_of_two_forms_shows_that_they_overlap(
            parts in prop::collection::vec(prop::sample::select(vec!["a", "b", "{v}", "a{v}", "{v}a", "b{v}", "{v}."]), 2),
            others in prop::collection::vec(prop::sample::select(vec!["a", "b", "{w}", "a{w}", "{w}b"]), 2),
            text in "[ab]{1,2}[.]?/[ab]{1,2}[.]?",
            open in any::<bool>(),
        ) {
            let form = |parts: &[&str], name: &str| {
                let text = format!("https://e.example/{}", parts.join("/"));
                let values: &[&str] = if open { &["[ab.]*"] } else { &["a", "ab", "b."] };
                IssuerTemplate::new(&text, &rules(&[(name, values)])).ok()
            };
            if let (Some(own), Some(other)) = (form(&parts, "v"), form(&others, "w")) {
                let text = format!("https://e.example/{text}");
                prop_assert!(!(own.covers(&text) && other.covers(&text)) || own.may_overlap(&other), "{:?} {:?}", own, other);
            }
        }
    }

    #[test]
    fn templates_are_the_same_with_the_same_text_and_rules() {
        let form = "https://i.example/{tenant}";
        let of = |text: &str, values: &[&str]| template(text, &[("tenant", values)]);
        let all = [
            of(form, &["a", "b"]),
            of(form, &["b", "c"]),
            of(form, &["[a-z]+"]),
            of(form, &["[0-9]+"]),
            of("https://o.example/{tenant}", &["[0-9]+"]),
            of(form, &["[0-9]+"]).without_patterns(),
        ];
        for (at, own) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(*own == other.clone(), at == other_at, "{at} {other_at}");
            }
        }
    }

    #[test]
    fn the_listed_values_are_those_of_that_variable() {
        let listed = |name: &str| eks().listed(name).map(<[String]>::to_vec);
        assert_eq!(listed("region"), Some(vec!["eu-west-1".to_owned(), "us-east-2".to_owned()]));
        assert_eq!((listed("cluster"), listed("zone")), (None, None));
    }
}
