//! How many connections this process can hold. It is fewer than `limits.connections` if the system
//! gives it too few files or too little memory. Further connections then wait, and no open one is
//! ended.

use std::path::Path;

/// The most connections per listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) public: usize,
    pub(super) admin: usize,
    pub(super) metrics: usize,
}

/// The admin listener's connections, if there is room for them.
const ADMIN_CONNECTIONS: usize = 256;
/// Connections of the listener for the metrics alone: a scraper needs one, and it stands where others
/// may reach it.
const METRICS_CONNECTIONS: usize = 16;
/// Open files besides connections: fetches of keys, the store, logs.
const OTHER_FILES: usize = 128;
/// Memory besides connections, in octets.
const OTHER_MEMORY: usize = 32 << 20;
/// Memory that a limit of the process counts and a container does not, in octets: what the allocator and
/// the stacks of threads have mapped and not filled.
const UNFILLED_MEMORY: usize = 28 << 20;
/// The most memory that one connection takes, in octets: a head and a body of the largest size,
/// doubled for what the allocator cannot return at once.
const CONNECTION_MEMORY: usize = 2 * (128 + 64) * 1024;

impl Capacity {
    /// How many of the `wanted` connections this process can hold.
    pub(super) fn here(wanted: usize) -> Self {
        Self::of(wanted, open_files(), memory())
    }

    fn of(wanted: usize, files: Option<usize>, memory: Option<usize>) -> Self {
        // Keep files for the store, issuer keys and the other listeners. One connection too many
        // would take them.
        const OTHERS: usize = ADMIN_CONNECTIONS + METRICS_CONNECTIONS;
        let by_files = files.map(|limit| limit - (OTHERS + OTHER_FILES).min(limit / 4 * 3));
        let by_memory = memory.map(|limit| limit.saturating_sub(OTHER_MEMORY) / CONNECTION_MEMORY);
        let part = |most: usize, part: usize| by_memory.map_or(most, |all| most.min(all / part));
        let (admin, metrics) = (part(ADMIN_CONNECTIONS, 4), part(METRICS_CONNECTIONS, 16));
        let by_memory = by_memory.map(|all| all - admin - metrics);
        let public = [by_files, by_memory].into_iter().flatten().fold(wanted, usize::min);
        Self { public: public.max(1), admin: admin.max(1), metrics: metrics.max(1) }
    }
}

/// How many files this process may have open, if the system tells.
fn open_files() -> Option<usize> {
    limit(&read("/proc/self/limits")?, "Max open files")
}

/// How much memory this process may fill, if its container (cgroup) or its own limits say so.
fn memory() -> Option<usize> {
    let limits = read("/proc/self/limits").unwrap_or_default();
    let process_limits = ["Max data size", "Max address space"].map(|name| limit(&limits, name).map(fillable));
    let cgroup = read("/proc/self/cgroup").unwrap_or_default();
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let files =
        [root.join(cgroup).join("memory.max"), root.join("memory.max"), root.join("memory/memory.limit_in_bytes")];
    let groups = files.iter().filter_map(|file| read(file)?.trim().parse().ok());
    process_limits.into_iter().flatten().chain(groups).min()
}

/// How much of the memory of a limit of the process can be filled.
const fn fillable(limit: usize) -> usize {
    limit.saturating_sub(UNFILLED_MEMORY)
}

/// The soft limit of that name in `/proc/self/limits`. `None` if there is no limit.
fn limit(limits: &str, name: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c151_what_is_wanted_is_cut_to_the_files_and_the_memory_that_there_are() {
        let of = |files, memory| {
            let Capacity { public, admin, metrics } = Capacity::of(10_000, files, memory);
            (public, admin, metrics)
        };
        assert_eq!(of(None, None), (10_000, 256, 16));
        assert_eq!(of(Some(1 << 20), Some(64 << 30)), (10_000, 256, 16));
        assert_eq!(of(Some(1024), None), (624, 256, 16));
        assert_eq!(of(Some(64), None), (16, 256, 16));
        assert_eq!(of(None, Some(512 << 20)), (1008, 256, 16));
        assert_eq!(of(None, Some(64 << 20)), (59, 21, 5));
        assert_eq!(of(Some(64), Some(64 << 20)), (16, 21, 5));
        assert_eq!(of(Some(0), Some(0)), (1, 1, 1));
        assert_eq!(Capacity::of(5, Some(1024), Some(512 << 20)).public, 5);
    }

    #[test]
    fn limits_are_read_by_name_and_no_limit_is_none() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
                      Max data size             67108864             unlimited            bytes     \n\
                      Max open files            64                   20000                files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(limit(limits, "Max data size"), Some(67_108_864));
        assert_eq!(limit(limits, "Max open files"), Some(64));
        assert_eq!(limit(limits, "Max address space"), None);
        assert_eq!(limit(limits, "Max stack size"), None);
    }
}
