//! A configuration and the directory that it lives in.

use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The main file as JSON, which is YAML, with defaults that let a server start on loopback at ports of its own choice.
#[derive(Clone, Debug)]
pub struct Config(Value);

impl Config {
    /// Our issuer, as the defaults have it.
    pub const ISSUER: &'static str = "https://sts.example.com";

    /// A configuration without issuers, APIs and accounts. The limit on refusals is off: most tests provoke them. The drain is
    /// short: most tests have no balancer. One kind of
    /// key is made, since making an RSA key takes longer than all the rest of a start.
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

    /// With the value at a path such as `issuers/github/audience`; what lies between is made.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let place = path.split('/').fold(&mut self.0, |node, name| &mut node[name]);
        *place = value.into();
        self
    }

    /// Without the value at a path.
    ///
    /// # Panics
    /// When there is none.
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

/// A directory of a test's own, removed when dropped.
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

    /// Writes a file, making the directories on the way. A new one has mode 0600, as a secret must.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    /// Writes a file in one step, as editors and orchestrators do: whole beside it, then renamed over it.
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

    /// A path in it.
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
