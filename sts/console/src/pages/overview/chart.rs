//! A chart of exchanges by time: stacked bars, as the numbers that an SVG has.

use std::collections::BTreeMap;

use sts_api::{Activity, ActivityInterval};
use sts_types::UnixTime;

/// Width of the plot.
const WIDTH: f64 = 360.0;
/// Height of the plot.
const HEIGHT: f64 = 96.0;
/// The space between two bars, as a share of a bar.
const GAP: f64 = 0.2;
/// Reasons that have a series of their own. With what was granted and the others there are five.
const REASONS: usize = 3;
/// The looks of series, in their order from the bottom: classes of the stylesheet, which are patterns too.
const LOOKS: [&str; 5] = ["granted", "first", "second", "third", "other"];

/// What the bars are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// The reasons that were most frequent.
    reasons: Vec<String>,
}

impl Series {
    /// The series for the refusals of `activity`.
    pub(super) fn of(activity: &Activity) -> Self {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in activity.intervals.iter().flat_map(|interval| &interval.refused) {
            *totals.entry(reason).or_default() += count;
        }
        let mut totals: Vec<(&str, u64)> = totals.into_iter().collect();
        totals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Self { reasons: totals.into_iter().take(REASONS).map(|(reason, _)| reason.to_owned()).collect() }
    }

    /// What was granted, the frequent reasons, the rest.
    fn counts(&self, interval: &ActivityInterval) -> Vec<u64> {
        let refused: u64 = interval.refused.values().sum();
        let named: Vec<u64> =
            self.reasons.iter().map(|reason| interval.refused.get(reason).copied().unwrap_or(0)).collect();
        let rest = refused.saturating_sub(named.iter().sum()) + interval.abandoned;
        [interval.granted].into_iter().chain(named).chain([rest]).collect()
    }

    fn names(&self) -> Vec<String> {
        let granted = ["granted".to_owned()];
        granted.into_iter().chain(self.reasons.iter().cloned()).chain(["other refusals".to_owned()]).collect()
    }

    fn looks(&self) -> Vec<&'static str> {
        let [granted, .., other] = LOOKS;
        let reasons = LOOKS.iter().skip(1).take(self.reasons.len()).copied();
        [granted].into_iter().chain(reasons).chain([other]).collect()
    }
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    /// Begins every id of the chart.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What one sees, in words.
    pub(super) sentence: String,
    pub(super) labels: Vec<Label>,
    pub(super) bars: Vec<Bar>,
    pub(super) from: UnixTime,
    /// The height of the tallest bar.
    pub(super) most: u64,
    /// The names of all series, for the figures.
    pub(super) columns: Vec<String>,
    /// The figures of the intervals in which something happened.
    pub(super) rows: Vec<(UnixTime, Vec<u64>)>,
}

/// A series with its total.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) look: &'static str,
    pub(super) name: String,
    pub(super) total: u64,
}

/// The bar of one interval.
#[derive(Debug)]
pub(super) struct Bar {
    /// What it says, for those who point at it.
    pub(super) title: String,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) parts: Vec<Part>,
}

/// The part of a bar that one series has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) look: &'static str,
    pub(super) y: String,
    pub(super) height: String,
}

impl Chart {
    /// The chart of `activity` with `together` intervals a bar.
    pub(super) fn new(
        id: &'static str,
        title: &'static str,
        activity: &Activity,
        series: &Series,
        together: usize,
    ) -> Self {
        let bars: Vec<(UnixTime, Vec<u64>)> =
            activity.intervals.chunks(together).filter_map(|chunk| summed(chunk, series)).collect();
        let most = bars.iter().map(|(_, counts)| counts.iter().sum()).max().unwrap_or(0);
        let (looks, names) = (series.looks(), series.names());
        let total = |index: usize| bars.iter().filter_map(|(_, counts)| counts.get(index)).sum::<u64>();
        let labels = looks.iter().zip(&names).enumerate();
        let labels: Vec<Label> = labels
            .map(|(index, (look, name))| Label { look, name: name.clone(), total: total(index) })
            .filter(|label| label.total > 0 || label.look == "granted")
            .collect();
        let step = WIDTH / scale(bars.len().max(1) as u64);
        Self {
            id,
            title,
            sentence: sentence(title, &labels),
            labels,
            from: bars.first().map_or(activity.counted_since, |(start, _)| *start),
            bars: bars
                .iter()
                .enumerate()
                .filter(|(_, (_, counts))| counts.iter().any(|count| *count > 0))
                .map(|(index, (start, counts))| Bar {
                    title: spoken(*start, counts, &names),
                    x: written(step * scale(index as u64)),
                    width: written(step * (1.0 - GAP)),
                    parts: parts(counts, &looks, most),
                })
                .collect(),
            most,
            columns: names,
            rows: bars.into_iter().filter(|(_, counts)| counts.iter().any(|count| *count > 0)).collect(),
        }
    }
}

/// The sum of some intervals, with the start of the first.
fn summed(intervals: &[ActivityInterval], series: &Series) -> Option<(UnixTime, Vec<u64>)> {
    let start = intervals.first()?.start;
    let counts = intervals.iter().map(|interval| series.counts(interval));
    let sum = |all: Vec<u64>, one: Vec<u64>| all.iter().zip(one).map(|(all, one)| all + one).collect();
    Some((start, counts.reduce(sum)?))
}

fn parts(counts: &[u64], looks: &[&'static str], most: u64) -> Vec<Part> {
    let mut below = 0;
    let mut parts = Vec::new();
    for (count, look) in counts.iter().zip(looks).filter(|(count, _)| **count > 0) {
        below += count;
        let top = HEIGHT - HEIGHT * scale(below) / scale(most.max(1));
        let height = HEIGHT * scale(*count) / scale(most.max(1));
        parts.push(Part { look, y: written(top), height: written(height) });
    }
    parts
}

#[expect(clippy::cast_precision_loss, reason = "a chart of more than 2^52 requests may be off by one")]
fn scale(count: u64) -> f64 {
    count as f64
}

/// A number of an SVG.
fn written(number: f64) -> String {
    format!("{number:.2}")
}

/// What the chart shows, in a sentence.
fn sentence(title: &str, labels: &[Label]) -> String {
    let counts: Vec<String> = labels.iter().map(|label| format!("{} {}", label.total, label.name)).collect();
    if labels.iter().all(|label| label.total == 0) {
        return format!("{title}: no exchanges.");
    }
    format!("{title}: {}.", counts.join(", "))
}

fn spoken(start: UnixTime, counts: &[u64], names: &[String]) -> String {
    let counts = counts.iter().zip(names).filter(|(count, _)| **count > 0);
    let counts: Vec<String> = counts.map(|(count, name)| format!("{count} {name}")).collect();
    format!("{}: {}", start.to_rfc3339().unwrap_or_default(), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn activity(intervals: &[(u64, u64, Value)]) -> Activity {
        let intervals: Vec<Value> = (0..)
            .zip(intervals)
            .map(|(index, (granted, abandoned, refused))| {
                json!({ "start": index * 60, "granted": granted, "abandoned": abandoned, "refused": refused })
            })
            .collect();
        serde_json::from_value(json!({ "period": "hour", "counted_since": 0, "interval": 60, "intervals": intervals }))
            .unwrap()
    }

    fn totals(chart: &Chart) -> Vec<(&str, u64)> {
        chart.labels.iter().map(|label| (label.name.as_str(), label.total)).collect()
    }

    #[test]
    fn the_frequent_reasons_have_series_of_their_own_and_nothing_is_left_out() {
        let week = activity(&[(5, 1, json!({ "a": 1, "b": 9, "c": 4, "d": 3, "e": 2 })), (0, 0, json!({}))]);
        let chart = Chart::new("week", "Last week", &week, &Series::of(&week), 1);
        let expected = [("granted", 5), ("b", 9), ("c", 4), ("d", 3), ("other refusals", 4)];
        assert_eq!(totals(&chart), expected);
        assert_eq!(chart.sentence, "Last week: 5 granted, 9 b, 4 c, 3 d, 4 other refusals.");
        let looks: Vec<&str> = chart.bars[0].parts.iter().map(|part| part.look).collect();
        assert_eq!((looks, chart.most, chart.rows.len()), (LOOKS.to_vec(), 25, 1));
    }

    #[test]
    fn the_tallest_bar_fills_the_height_and_its_parts_stand_on_each_other() {
        let hour = activity(&[(3, 0, json!({ "a": 1 })), (2, 0, json!({}))]);
        let chart = Chart::new("hour", "Last hour", &hour, &Series::of(&hour), 1);
        let part = |look, y: &str, height: &str| Part { look, y: y.to_owned(), height: height.to_owned() };
        assert_eq!(chart.bars[0].parts, [part("granted", "24.00", "72.00"), part("first", "0.00", "24.00")]);
        assert_eq!(chart.bars[1].parts, [part("granted", "48.00", "48.00")]);
        assert_eq!((chart.bars[1].x.as_str(), chart.bars[1].width.as_str()), ("180.00", "144.00"));
    }

    #[test]
    fn intervals_are_put_together_and_an_empty_chart_says_so() {
        let all: Vec<(u64, u64, Value)> = (0..7).map(|_| (1, 0, json!({}))).collect();
        let week = activity(&all);
        let chart = Chart::new("week", "Last week", &week, &Series::of(&week), 6);
        assert_eq!(chart.rows, [(UnixTime::from_secs(0), vec![6, 0]), (UnixTime::from_secs(360), vec![1, 0])]);
        let none = activity(&[(0, 0, json!({}))]);
        let chart = Chart::new("hour", "Last hour", &none, &Series::of(&none), 1);
        assert!(chart.bars.is_empty() && chart.rows.is_empty());
        assert_eq!(chart.sentence, "Last hour: no exchanges.");
    }
}
