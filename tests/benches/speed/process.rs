//! A server under measurement: on a core of its own, with what the system tells of its time and memory.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of the server; load generator and Redis share the others.
pub(crate) const SERVER_CORE: &str = "0";
/// The cores of everything else.
pub(crate) const OTHER_CORES: &str = "1-255";
/// The cores that all share where nothing has its own.
pub(crate) const SHARED_CORES: &str = "0-1";

/// A process that serves. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) public: SocketAddr,
    /// From its start until it told its address.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts `command` behind `prefix`, and waits for the line that says `public=ADDRESS`. What it prints goes to the file `log`.
    pub(crate) fn start_by(prefix: &[&str], command: &[&str], directory: &Path, log: &Path) -> Self {
        Self::spawn(prefix, command, directory, &[], log, |printed| address(printed, "public"))
    }

    /// The same, for a server that was told its `address`, and says `ready`.
    pub(crate) fn start_on(
        address: &str,
        prefix: &[&str],
        command: &[&str],
        directory: &Path,
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Self {
        let address = address.parse().unwrap();
        let ready = |printed: &str| printed.lines().any(|line| line == "ready").then_some(address);
        Self::spawn(prefix, command, directory, environment, log, ready)
    }

    fn spawn(
        prefix: &[&str],
        command: &[&str],
        directory: &Path,
        environment: &[(&str, &str)],
        log: &Path,
        ready: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Self {
        // Appended to, so that it may be emptied while it is written to.
        let _ = std::fs::remove_file(log);
        let out = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let words: Vec<&str> = prefix.iter().chain(command).copied().collect();
        let began = Instant::now();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(directory)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        loop {
            let text = std::fs::read_to_string(log).unwrap();
            if let Some(public) = ready(&text) {
                return Self { child, log: log.to_owned(), public, ready_after: began.elapsed() };
            }
            assert!(child.try_wait().unwrap().is_none(), "{words:?} ended: {text}");
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Keeps all its threads on these cores from now on.
    pub(crate) fn keep_on(&self, cores: &str) {
        let done = Command::new("taskset").args(["-acp", cores, &self.pid().to_string()]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Has it end by itself, and waits for that.
    pub(crate) fn end(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(asked.success() && self.child.wait().unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It and the processes that it started.
    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
            next += 1;
        }
        pids
    }

    /// Nanoseconds on a processor so far, of all threads, in and out of the kernel.
    pub(crate) fn cpu_nanos(&self) -> u64 {
        let tasks = self.pids().into_iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap());
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Ticks of the clock in the kernel and outside it so far, of which the share tells.
    pub(crate) fn ticks(&self) -> Ticks {
        let mut ticks = Ticks { user: 0.0, system: 0.0 };
        for pid in self.pids() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            // The name, in parentheses, may hold spaces.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            ticks.user += fields[11].parse::<f64>().unwrap();
            ticks.system += fields[12].parse::<f64>().unwrap();
        }
        ticks
    }

    /// How many system calls it makes while `work` is done, by strace.
    pub(crate) fn system_calls<T>(&self, work: impl FnOnce() -> T) -> (f64, T) {
        let table = self.log.with_extension("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&table);
        for pid in self.pids() {
            strace.args(["-p", &pid.to_string()]);
        }
        let mut strace = strace.stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(strace.stderr.take().unwrap()).lines();
        // It says so once all threads are traced.
        let attached = told.next().unwrap().unwrap();
        assert!(attached.contains("attached"), "strace: {attached}");
        let done = work();
        let ended = Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
        assert!(ended.success());
        told.for_each(drop);
        let _ = strace.wait().unwrap();
        let text = std::fs::read_to_string(&table).unwrap();
        let _ = std::fs::remove_file(&table);
        let total = text.lines().find(|line| line.ends_with(" total")).unwrap();
        if crate::option("CALLS").is_some() {
            eprintln!("{text}");
        }
        (total.split_whitespace().nth(3).unwrap().parse().unwrap(), done)
    }

    /// Resident memory when it is idle, in MiB. The allocator returns what has been free for a second.
    pub(crate) fn idle_mib(&self) -> f64 {
        std::thread::sleep(Duration::from_secs(4));
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Throws away what it has printed so far.
    pub(crate) fn forget_log(&self) {
        File::options().write(true).open(&self.log).unwrap().set_len(0).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Times on a processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// The address behind `name`, in a line of text or of JSON.
fn address(log: &str, name: &str) -> Option<SocketAddr> {
    log.split([' ', ',', '{', '}', '\n']).find_map(|word| {
        let value = word.replace('"', "");
        value.strip_prefix(name)?.strip_prefix(['=', ':'])?.parse().ok()
    })
}
