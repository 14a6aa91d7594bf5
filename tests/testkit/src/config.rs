//! A configuration and its directory.

use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The main file as JSON, which is valid YAML. Its defaults let a server start on free loopback
/// ports.
#[derive(Clone, Debug)]
pub struct Config(Value);

impl Config {
    /// Our issuer in the defaults.
    pub const ISSUER: &'static str = "https://sts.example.com";

    /// A configuration without issuers, APIs and accounts. The limit on refusals is off, because
    /// most tests cause some. The drain is short, because most tests have no load balancer. Only
    /// one signing key is made, because an RSA key takes longer than the rest of the start.
    #[must_use]
    pub fn new() -> Self {
        Self(json!({
            "issuer": Self::ISSUER,
            "listen": "127.0.0.1:0",
            "admin": { "listen": "127.0.0.1:0" },
            "data_dir": "data",
            "log": { "format": "json" },
            "signing": { "algorithms": ["ES256"] },
            "limits": { "failures_per_second": 0 },
            "shutdown": { "drain": "2s" },
        }))
    }

    /// Sets the value at a path such as `issuers/github/audience`. Missing parents are created.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let place = path.split('/').fold(&mut self.0, |node, name| &mut node[name]);
        *place = value.into();
        self
    }

    /// Removes the value at a path.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = parent.split('/').filter(|part| !part.is_empty()).fold(&mut self.0, |node, name| &mut node[name]);
        parent.as_object_mut().unwrap().remove(name).expect("there is something to remove");
        self
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// A test's own directory, removed when dropped.
#[derive(Debug)]
pub struct Site(TempDir);

impl Site {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A directory with that configuration as `sts.yaml`.
    #[must_use]
    pub fn with(config: &Config) -> Self {
        let site = Self::new();
        site.write("sts.yaml", config.text());
        site
    }

    /// Writes a file, and creates its directories. A new file has mode 0600, as a secret must.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    /// Replaces a file atomically, as editors and orchestrators do: writes a new file beside it and
    /// renames it.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = format!("{name}.new");
        self.write(&beside, content);
        std::fs::rename(self.path(&beside), self.path(name)).unwrap();
    }

    /// The content of a file.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// A path inside the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.0.path()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
