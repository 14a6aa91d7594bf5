//! The tables.

use std::fmt::Write as _;

/// What is written.
#[derive(Default)]
pub(crate) struct Report(String);

impl Report {
    /// Begins a section.
    pub(crate) fn section(&mut self, title: &str, text: &str) {
        writeln!(self.0, "\n## {title}\n\n{text}").unwrap();
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        self.0.push('\n');
        self.0.push_str(&line(&head.iter().map(ToString::to_string).collect::<Vec<_>>()));
        self.0.push_str(&line(
            &head.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }.to_owned()).collect::<Vec<_>>(),
        ));
        rows.iter().for_each(|row| self.0.push_str(&line(row)));
    }

    pub(crate) fn text(&self) -> String {
        format!("{}{}", preamble(), self.0)
    }
}

fn preamble() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let find = |text: &str, name: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([':', '\t', ' ']).to_owned()))
    };
    let processor = find(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = find(&read("/proc/meminfo"), "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<f64>().ok());
    format!(
        "# How fast it is\n\n\
         Written by `make bench`. Machine: {processor}, {cores} cores, {:.0} GiB of memory, virtual. The server has one core to itself; the \
         load generator (wrk), and Redis where it takes part, have the other. Processor time is the server process's own, in and out of \
         the kernel, and noisy by a tenth; instructions are what callgrind counts of the process outside the kernel, and repeatable. \
         *bare* is a handler of the same HTTP stack that reads the form, verifies one RS256 signature and makes one ES256 signature by \
         keys held parsed, and checks nothing. Every row of a table was measured in turn with the others, round by round; a row tells \
         of the round in its middle, and a ratio of processor times is the one in the middle of those of each round.\n",
        memory.unwrap_or_default() / 1024.0 / 1024.0
    )
}

/// A ratio.
pub(crate) fn times(value: f64, base: f64) -> String {
    format!("{:.2}", value / base)
}

pub(crate) fn us(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.1} ms", value / 1000.0)
    } else if value >= 100.0 {
        format!("{value:.0} us")
    } else {
        format!("{value:.1} us")
    }
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
