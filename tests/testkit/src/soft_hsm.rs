//! A PKCS#11 device in software: SoftHSM, with one token in a folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Where Debian and Fedora put the module.
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// A device with a token. Its keys are gone when it is dropped.
#[derive(Debug)]
pub struct SoftHsm {
    folder: TempDir,
    module: PathBuf,
}

impl SoftHsm {
    /// The label of the token.
    pub const LABEL: &str = "sts signing";
    /// The PIN of its user.
    pub const PIN: &str = "user-pin-4711";

    /// A device.
    ///
    /// # Errors
    /// Why there can be none on this machine.
    ///
    /// # Panics
    /// If the token cannot be made.
    pub fn start() -> Result<Self, String> {
        let module = MODULES.iter().find(|path| Path::new(path).exists());
        let Some(module) = module.filter(|_| Path::new("/usr/bin/softhsm2-util").exists()) else {
            return Err("no PKCS#11 device: softhsm2 not installed (see .ci/prerequisites)".to_owned());
        };
        let hsm = Self { folder: tempfile::tempdir().unwrap(), module: module.into() };
        std::fs::create_dir(hsm.tokens()).unwrap();
        let config = format!("directories.tokendir = {}\nobjectstore.backend = file\n", hsm.tokens().display());
        std::fs::write(hsm.config(), config).unwrap();
        let arguments =
            ["--init-token", "--free", "--label", Self::LABEL, "--so-pin", "so-pin-4711", "--pin", Self::PIN];
        let output = hsm.util().args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Ok(hsm)
    }

    /// A device with a module in front that counts the attempts to log in, for [`Self::logins`].
    ///
    /// # Errors
    /// Why there can be none on this machine.
    ///
    /// # Panics
    /// If the token or the module cannot be made.
    pub fn counting_logins() -> Result<Self, String> {
        let mut hsm = Self::start()?;
        let counting = hsm.folder.path().join("count_logins.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-x", "c", "-", "-ldl", "-o"]).arg(&counting);
        compiler.arg(format!("-DMODULE=\"{}\"", hsm.module.display()));
        compiler.arg(format!("-DLOGINS=\"{}\"", hsm.log_of_logins().display()));
        let mut compiling = compiler.stdin(Stdio::piped()).spawn().unwrap();
        compiling.stdin.take().unwrap().write_all(include_bytes!("count_logins.c")).unwrap();
        assert!(compiling.wait().unwrap().success());
        hsm.module = counting;
        Ok(hsm)
    }

    fn log_of_logins(&self) -> PathBuf {
        self.folder.path().join("logins")
    }

    /// How often somebody tried to log in, right or wrong.
    ///
    /// # Panics
    /// If the device does not count.
    #[must_use]
    pub fn logins(&self) -> usize {
        std::fs::read(self.log_of_logins()).unwrap().len()
    }

    fn util(&self) -> Command {
        let mut command = Command::new("/usr/bin/softhsm2-util");
        command.env("SOFTHSM2_CONF", self.config());
        command
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// The file that `SOFTHSM2_CONF` names to a process that uses the device.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Shell commands to run before a server with this device, for [`crate::Server::start_under`].
    #[must_use]
    pub fn environment(&self) -> String {
        format!("export SOFTHSM2_CONF='{}'", self.config().display())
    }

    /// How many objects the token has. A key has two.
    ///
    /// # Panics
    /// If it was taken out.
    #[must_use]
    pub fn objects(&self) -> usize {
        let token = std::fs::read_dir(self.tokens()).unwrap().next().unwrap().unwrap().path();
        let names = std::fs::read_dir(token).unwrap().map(|entry| entry.unwrap().file_name());
        let is_object = |name: &str| name.ends_with(".object") && name != "token.object";
        names.filter(|name| name.to_str().is_some_and(is_object)).count()
    }

    /// Takes the token out of the device.
    ///
    /// # Panics
    /// If it is out already.
    pub fn take_out(&self) {
        std::fs::rename(self.tokens(), self.folder.path().join("drawer")).unwrap();
    }

    /// Puts the token back.
    ///
    /// # Panics
    /// If it is in the device.
    pub fn put_back(&self) {
        std::fs::rename(self.folder.path().join("drawer"), self.tokens()).unwrap();
    }
}
