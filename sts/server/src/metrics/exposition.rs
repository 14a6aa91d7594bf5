//! Prometheus' text format, version 0.0.4.
//!
//! `prometheus-client` is not used: it writes OpenMetrics only. There the help and the type of a
//! counter stand under its name without `_total`, each help text gets another full stop, and the
//! answer ends in `# EOF`. A scraper that asks for version 0.0.4 would lose them.

use std::fmt::{Display, Write as _};

/// An exposition that is being written: families of samples, each under its `# HELP` and `# TYPE`.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
    family: Option<Family>,
}

/// A family of samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The labels of every sample, in this order. A histogram's buckets have `le` besides.
    pub(crate) labels: &'static [&'static str],
    /// One line.
    pub(crate) help: &'static str,
}

/// What a family's values are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Exposition {
    /// What is served as `Content-Type`.
    pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family.
    pub(crate) fn family(&mut self, family: Family) {
        let Family { name, kind, help, .. } = family;
        self.family = Some(family);
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    /// One sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample_of("", labels, value);
    }

    /// One sample of the family, under its name with `suffix`.
    pub(crate) fn sample_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let Some(family) = self.family else { return };
        debug_assert!(
            labels.iter().map(|(name, _)| *name).filter(|name| *name != "le").eq(family.labels.iter().copied()),
            "{} has other labels in the table",
            family.name
        );
        self.text.push_str(family.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            self.escape(value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn escape(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                _ => self.text.push(character),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples_with_escaped_labels() {
        let mut exposition = Exposition::default();
        let family = |labels| Family { name: "a_total", kind: Kind::Counter, labels, help: "Things." };
        exposition.family(family(&["x", "y"]));
        exposition.sample(&[("x", "a\\b\"c\nd"), ("y", "\u{e9}")], 0.5);
        exposition.family(family(&["x"]));
        exposition.sample_of("_sum", &[("x", "")], 2);
        let head = "# HELP a_total Things.\n# TYPE a_total counter\n";
        let want = "a_total{x=\"a\\\\b\\\"c\\nd\",y=\"\u{e9}\"} 0.5\n";
        assert_eq!(exposition.into_text(), format!("{head}{want}{head}a_total_sum{{x=\"\"}} 2\n"));
    }
}
