//! Tables for people.

use sts_types::{UnixTime, one_line};

use super::explain::rfc3339;

/// Formats rows as aligned columns with titles.
pub(super) fn table(titles: &[&str], rows: Vec<Vec<String>>, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut lines: Vec<Vec<String>> = vec![titles.iter().map(|title| (*title).to_owned()).collect()];
    // A cell that began another line would look like a row.
    lines.extend(rows.into_iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()));
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The value, or a dash.
pub(super) fn or_dash(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The time, or a dash.
pub(super) fn moment(at: Option<UnixTime>) -> String {
    or_dash(at.map(rfc3339))
}
