//! A wrong wall clock for one process.

use crate::Site;
use std::process::Command;

/// A library to preload. It makes the wall clock return the system's time plus the seconds in a
/// file.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("SHIFTED_CLOCK");
    if (result == 0 && path && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        char text[32] = {0};
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"#;

/// A wall clock that a test can set ahead or behind at any time. The monotonic clock is right.
#[derive(Debug)]
pub struct ShiftedClock(Site);

impl ShiftedClock {
    /// A clock that is right until it is [set](Self::set).
    ///
    /// # Panics
    /// If there is no C compiler. A Rust toolchain needs one to link.
    #[must_use]
    pub fn new() -> Self {
        let site = Site::new();
        site.write("clock.c", SOURCE);
        site.write("shift", "0");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o", "clock.so", "clock.c"]).current_dir(site.root());
        assert!(compiler.status().expect("a C compiler").success());
        Self(site)
    }

    /// Sets it this many seconds after the right time, or before it.
    pub fn set(&self, seconds: i64) {
        self.0.replace("shift", seconds.to_string());
    }

    /// Shell commands to run before a server with this clock, for [`crate::Server::start_under`].
    #[must_use]
    pub fn environment(&self) -> String {
        let path = |name: &str| self.0.path(name).display().to_string();
        format!("export LD_PRELOAD='{}' SHIFTED_CLOCK='{}'", path("clock.so"), path("shift"))
    }
}

impl Default for ShiftedClock {
    fn default() -> Self {
        Self::new()
    }
}
