//! A strict parser of Prometheus' text format 0.0.4. It rejects everything that it does not expect.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample, by name.
pub type Labels = BTreeMap<String, String>;

/// Samples by name and labels.
#[derive(Debug)]
pub struct Exposition {
    samples: BTreeMap<(String, Labels), f64>,
    kinds: BTreeMap<String, String>,
}

impl Exposition {
    /// Parses a whole text.
    ///
    /// # Panics
    /// If it is malformed: a family without help or type or not in one piece, a sample outside its
    /// family or twice, a bad name, escape or number, a histogram whose buckets are not cumulative
    /// or do not match its count.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends, too");
        let mut exposition = Self { samples: BTreeMap::new(), kinds: BTreeMap::new() };
        let mut family = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("words of help");
                assert!(is_name(name) && !words.is_empty(), "{line}");
                let kind =
                    lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '));
                let kind = kind.unwrap_or_else(|| panic!("no type follows: {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                assert!(exposition.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                family = name.to_owned();
                continue;
            }
            assert!(!line.starts_with('#'), "{line}");
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let suffixes: &[&str] =
                if exposition.kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            assert!(exposition.samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
        exposition.check_histograms();
        exposition
    }

    /// The value of the sample of that name with exactly these labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The labels of every sample of that name.
    pub fn labels_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Labels> {
        self.samples.keys().filter(move |(other, _)| other == name).map(|(_, labels)| labels)
    }

    /// Every value of a label, in any sample.
    #[must_use]
    pub fn label_values(&self, label: &str) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|(_, labels)| labels.get(label)).map(String::as_str).collect()
    }

    fn check_histograms(&self) {
        for (family, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            for labels in self.labels_of(&format!("{family}_count")) {
                let mut buckets: Vec<(f64, f64)> = Vec::new();
                for ((name, other), count) in &self.samples {
                    let mut rest = other.clone();
                    if let (true, Some(bound)) = (*name == format!("{family}_bucket"), rest.remove("le"))
                        && rest == *labels
                    {
                        buckets.push((number(&bound), *count));
                    }
                }
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family} {labels:?}: {buckets:?}");
                let (bound, count) = buckets.last().expect("buckets");
                assert!(
                    bound.is_infinite()
                        && Some(count) == self.samples.get(&(format!("{family}_count"), labels.clone()))
                );
                assert!(self.samples.contains_key(&(format!("{family}_sum"), labels.clone())));
            }
        }
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    let mut rest = rest;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, behind) = quoted(behind);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match behind.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, number(value))
}

/// The unescaped text up to the closing quote, and the rest.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next() {
                Some((_, '\\')) => '\\',
                Some((_, '"')) => '"',
                Some((_, 'n')) => '\n',
                other => panic!("no escape: {other:?}"),
            }),
            _ => value.push(character),
        }
    }
    panic!("no closing quote: {text}")
}

fn number(text: &str) -> f64 {
    if text == "+Inf" {
        return f64::INFINITY;
    }
    assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{text}");
    text.parse().unwrap()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# HELP a_total Things.\n# TYPE a_total counter\n";

    #[test]
    fn labels_are_unescaped() {
        let read = Exposition::parse(&format!("{HEAD}a_total{{x=\"a\\\\b\\\"c\\nd\"}} 1.5\n"));
        assert_eq!(read.value("a_total", &[("x", "a\\b\"c\nd")]), Some(1.5));
        assert_eq!(read.value("a_total", &[]), None);
    }

    #[test]
    fn what_is_not_well_formed_is_not_read() {
        let histogram = |rest: &str| format!("# HELP h Times.\n# TYPE h histogram\nh_bucket{{le=\"1\"}} {rest}");
        drop(Exposition::parse(&histogram("1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n")));
        for bad in [
            format!("{HEAD}a_total 1"),
            format!("{HEAD}a_total 1\na_total 2\n"),
            format!("{HEAD}b_total 1\n"),
            format!("{HEAD}a_total{{x=\"y\" 1\n"),
            format!("{HEAD}a_total{{x=\"\\x\"}} 1\n"),
            format!("{HEAD}a_total{{x=\"y\",x=\"z\"}} 1\n"),
            format!("{HEAD}a_total  1\n"),
            format!("{HEAD}a_total nan\n"),
            format!("{HEAD}{HEAD}"),
            "# HELP a_total Things.\na_total 1\n".to_owned(),
            "a_total 1\n".to_owned(),
            histogram("3\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"),
            histogram("1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 3\n"),
            histogram("1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n"),
        ] {
            assert!(std::panic::catch_unwind(|| drop(Exposition::parse(&bad))).is_err(), "{bad}");
        }
    }
}
