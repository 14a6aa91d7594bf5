//! The process, as Prometheus' own clients tell of it.

use std::fs;

use super::exposition::Exposition;
use super::families;

/// Reads `/proc/self`. What cannot be read is left out.
pub(super) fn render(out: &mut Exposition) {
    let process = Process::read();
    for (family, value) in [
        (families::PROCESS_START, process.start),
        (families::PROCESS_CPU, process.cpu),
        (families::PROCESS_MEMORY, process.memory),
        (families::PROCESS_FILES, process.files),
        (families::PROCESS_MOST_FILES, process.most_files),
    ] {
        if let Some(value) = value {
            out.family(family);
            out.sample(&[], value);
        }
    }
}

#[derive(Default)]
struct Process {
    start: Option<f64>,
    cpu: Option<f64>,
    memory: Option<f64>,
    files: Option<f64>,
    most_files: Option<f64>,
}

impl Process {
    fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
        let stat = Stat::parse(&stat);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            start: stat.as_ref().zip(boot).map(|(stat, boot)| boot + stat.start),
            cpu: stat.as_ref().map(|stat| stat.cpu),
            memory: resident(&status),
            // The directory itself is open while it is read.
            files: fs::read_dir("/proc/self/fd").ok().map(|files| as_value(files.count().saturating_sub(1) as u64)),
            most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(as_value),
        }
    }
}

/// The unit of times there: `USER_HZ`, which is 100 a second on every processor that we run on.
const TICKS: f64 = 100.0;

/// What `/proc/self/stat` says: seconds since the boot, and seconds.
#[derive(Debug, PartialEq)]
struct Stat {
    start: f64,
    cpu: f64,
}

impl Stat {
    /// Fields by proc(5). The name of the program, in parentheses, may hold blanks.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        // The first of these is field 3.
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        let seconds = |count: u64| as_value(count) / TICKS;
        Some(Self { start: seconds(field(22)?), cpu: seconds(field(14)?.saturating_add(field(15)?)) })
    }
}

/// `VmRSS` of `/proc/self/status`, in bytes.
fn resident(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(as_value(kibibytes.saturating_mul(1024)))
}

fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[expect(clippy::cast_precision_loss, reason = "samples are floating-point numbers")]
fn as_value(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_found_behind_any_name_of_a_program() {
        let text = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 12345 1000000 256 18446744073709551615 1 1 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { start: 123.45, cpu: 2.0 });
        assert_eq!(Stat::parse(""), None);
        assert_eq!(resident("Name:\tsts\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 1\n"), Some(1_700_000_000.0));
    }
}
