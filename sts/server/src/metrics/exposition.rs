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
    family: &'static str,
}

/// What a family's values are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Exposition {
    /// What is served as `Content-Type`.
    pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. `help` is one line of ours.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample_of("", labels, value);
    }

    /// One sample of the family, under its name with `suffix`.
    pub(crate) fn sample_of(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.family);
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
        exposition.family("a_total", Kind::Counter, "Things.");
        exposition.sample(&[], 1);
        exposition.sample(&[("x", "a\\b\"c\nd"), ("y", "\u{e9}")], 0.5);
        exposition.sample_of("_sum", &[("x", "")], 2);
        let want = "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\na_total{x=\"a\\\\b\\\"c\\nd\",y=\"\u{e9}\"} 0.5\na_total_sum{x=\"\"} 2\n";
        assert_eq!(exposition.into_text(), want);
    }
}
