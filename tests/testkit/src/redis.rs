//! A real redis-server on loopback, alone or in a group, and a client for it that shares no code
//! with ours.

use crate::watchdog::watchdog;
use crate::{free_address, until};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running `redis-server`. It is killed when it is dropped, and when this process ends.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    sentinel: bool,
    directory: TempDir,
    child: Option<Child>,
    watchdog: Option<Child>,
    /// User and password for [`command`](Self::command).
    login: Option<(String, String)>,
}

/// A reply of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisReply {
    /// A status, a number or a string.
    Text(String),
    /// An error.
    Error(String),
    /// Nil.
    Nil,
    /// A list.
    List(Vec<RedisReply>),
}

impl RedisReply {
    /// The text.
    ///
    /// # Panics
    /// If it is not a text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The texts of a list.
    ///
    /// # Panics
    /// If it is not a list of texts.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::List(list) => list.iter().map(Self::text).collect(),
            other => panic!("no list: {other:?}"),
        }
    }
}

impl RedisServer {
    /// A server without persistence.
    #[must_use]
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with these further lines in its configuration file.
    #[must_use]
    pub fn with(lines: &str) -> Self {
        Self::new(lines, false)
    }

    /// A sentinel with these further lines in its configuration file.
    #[must_use]
    pub fn sentinel(lines: &str) -> Self {
        Self::new(lines, true)
    }

    fn new(lines: &str, sentinel: bool) -> Self {
        // Another process may take the port before redis-server does.
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            // The nodes of a Cluster talk to each other 10,000 ports higher, which exist for these.
            let port = free_address().port();
            let path = directory.path().join("redis.conf");
            let mut config = format!("dir {}\nbind 127.0.0.1\nlogfile redis.log\n", directory.path().display());
            if !lines.lines().any(|line| line.starts_with("port ") || line.starts_with("tls-port ")) {
                writeln!(config, "port {port}").unwrap();
            }
            if !sentinel {
                config.push_str("save \"\"\n");
            }
            writeln!(config, "{}", lines.replace("{port}", &port.to_string())).unwrap();
            std::fs::write(&path, config).unwrap();
            let mut server = Self { port, sentinel, directory, child: None, watchdog: None, login: None };
            if server.launch() {
                return server;
            }
        }
        panic!("no redis-server could be started");
    }

    /// Uses this user from now on.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `redis://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A file in its directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Kills it, as a crash would.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn kill(&mut self) {
        for mut child in [self.watchdog.take(), self.child.take()].into_iter().flatten() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port and files.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        assert!(self.launch(), "{}", std::fs::read_to_string(self.path("redis.log")).unwrap_or_default());
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// The reply to one command, over a new connection.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn command(&self, parts: &[&str]) -> RedisReply {
        self.try_command(parts).unwrap_or_else(|error| panic!("{parts:?}: {error}"))
    }

    /// The reply to one command, over a new connection.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn try_command(&self, parts: &[&str]) -> std::io::Result<RedisReply> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut reader = BufReader::new(stream);
        if let Some((user, password)) = &self.login {
            ask(&mut reader, &["AUTH", user, password])?;
        }
        ask(&mut reader, parts)
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    /// If it fails.
    pub fn order(&self, parts: &[&str]) {
        let reply = self.command(parts);
        assert!(!matches!(reply, RedisReply::Error(_)), "{parts:?}: {reply:?}");
    }

    /// Every key that it holds.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.command(&["KEYS", "*"]).texts().into_iter().map(str::to_owned).collect()
    }

    /// Whether it has started. It has not if another process took its port.
    fn launch(&mut self) -> bool {
        let _ = std::fs::remove_file(self.path("redis.log"));
        let mut command = Command::new("redis-server");
        command.arg(self.path("redis.conf"));
        if self.sentinel {
            command.arg("--sentinel");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("redis-server is installed");
        let mut ended = false;
        until("redis-server to be ready", || {
            ended = child.try_wait().unwrap().is_some();
            // Another process may answer at the port, so look at this server's own log.
            let log = std::fs::read_to_string(self.path("redis.log")).unwrap_or_default();
            ended || log.contains("Ready to accept connections") || log.contains("Sentinel ID is")
        });
        if ended {
            return false;
        }
        self.watchdog = Some(watchdog(&child, self.directory.path()));
        self.child = Some(child);
        true
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        for mut child in [self.watchdog.take(), self.child.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ask(reader: &mut BufReader<TcpStream>, parts: &[&str]) -> std::io::Result<RedisReply> {
    let mut request = format!("*{}\r\n", parts.len());
    for part in parts {
        write!(request, "${}\r\n{part}\r\n", part.len()).unwrap();
    }
    reader.get_mut().write_all(request.as_bytes())?;
    read(reader)
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<RedisReply> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let (kind, rest) = line.trim_end().split_at(1);
    let count = || rest.parse::<i64>().unwrap();
    Ok(match kind {
        "+" | ":" => RedisReply::Text(rest.to_owned()),
        "-" => RedisReply::Error(rest.to_owned()),
        "$" if count() < 0 => RedisReply::Nil,
        "$" => {
            let mut bytes = vec![0; usize::try_from(count()).unwrap() + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            RedisReply::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" if count() < 0 => RedisReply::Nil,
        "*" => RedisReply::List((0..count()).map(|_| read(reader)).collect::<Result<_, _>>()?),
        other => panic!("{other}{rest}"),
    })
}
