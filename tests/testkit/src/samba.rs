//! A real Active Directory domain controller: Samba, on an address of its own in 127/8.
//!
//! The domain is provisioned once and kept in the user's cache folder. Each controller runs on a
//! copy of it. Ports 389 and 636 are fixed in Samba, so it needs root.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::directory_server::{apply, is_installed, run};
use crate::tls_files::{write_certificates, write_private};
use crate::until;
use crate::watchdog::watchdog;

const ADMIN: (&str, &str) = ("Administrator@corp.example.com", "Sts-Test-4711");
/// Folders that the configuration names.
const FOLDERS: [(&str, &str); 9] = [
    ("private dir", "private"),
    ("state directory", "state"),
    ("cache directory", "cache"),
    ("lock directory", "lock"),
    ("pid directory", "pid"),
    ("ncalrpc dir", "ncalrpc"),
    ("winbindd socket directory", "winbindd"),
    ("ntp signd socket directory", "ntp_signd"),
    ("binddns dir", "bind-dns"),
];

/// A running controller of the domain `corp.example.com`. It is killed when it is dropped, and when
/// this process ends.
#[derive(Debug)]
pub struct Samba {
    address: Ipv4Addr,
    folder: TempDir,
    child: Option<Child>,
    watchdog: Option<Child>,
}

impl Samba {
    /// The domain's base.
    pub const BASE: &str = "DC=corp,DC=example,DC=com";
    /// An account without special rights, for searches.
    pub const BIND_DN: &str = "CN=sts,OU=Services,DC=corp,DC=example,DC=com";
    /// Its password.
    pub const BIND_PASSWORD: &str = "Search-4711-only";

    /// Why no controller can run on this machine, in one line.
    #[must_use]
    pub fn missing() -> Option<String> {
        let wanted = ["samba", "samba-tool", "ldbadd", "ldbsearch", "ldapmodify"];
        let missing: Vec<&str> = wanted.into_iter().filter(|program| !is_installed(program)).collect();
        if !missing.is_empty() {
            return Some(format!("no domain controller: {} not installed (see .ci/prerequisites)", missing.join(", ")));
        }
        let is_root = run(Command::new("id").arg("-u"), "").trim() == "0";
        if is_root { None } else { Some("no domain controller: Samba's ports need root".to_owned()) }
    }

    /// A controller with these further entries, in LDIF.
    ///
    /// # Errors
    /// Why none can run on this machine.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(ldif: &str) -> Result<Self, String> {
        if let Some(missing) = Self::missing() {
            return Err(missing);
        }
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("cp").args(["-a", "--"]).arg(provisioned().join(".")).arg(folder.path()), "");
        let address = free_address();
        let mut samba = Self { address, folder, child: None, watchdog: None };
        samba.configure();
        samba.add_offline(&services());
        samba.add_offline(ldif);
        samba.launch();
        Ok(samba)
    }

    /// LDIF of a person in `CN=Users`, with further lines.
    #[must_use]
    pub fn user(name: &str, lines: &str) -> String {
        format!(
            "dn: {}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {name}@corp.example.com\n\
             userAccountControl: 544\n{lines}\n\n",
            Self::user_dn(name)
        )
    }

    /// LDIF of a global security group in `OU=Groups`.
    #[must_use]
    pub fn group(name: &str, members: &[&str]) -> String {
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        format!(
            "dn: {}\nobjectClass: group\nsAMAccountName: {name}\ngroupType: -2147483646\n{members}\n",
            Self::group_dn(name)
        )
    }

    /// LDIF that adds a member to a group of a running controller, or removes it.
    #[must_use]
    pub fn membership(group: &str, change: &str, member: &str) -> String {
        format!("dn: {}\nchangetype: modify\n{change}: member\nmember: {member}\n-\n\n", Self::group_dn(group))
    }

    /// The name of an entry that [`user`](Self::user) makes.
    #[must_use]
    pub fn user_dn(name: &str) -> String {
        format!("CN={name},CN=Users,{}", Self::BASE)
    }

    /// The name of an entry that [`group`](Self::group) makes.
    #[must_use]
    pub fn group_dn(name: &str) -> String {
        format!("CN={name},OU=Groups,{}", Self::BASE)
    }

    /// `ldaps://127.x.y.z`. The certificate is for this address and for `dc1.corp.example.com`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// `ldap://127.x.y.z`, for StartTLS.
    #[must_use]
    pub fn start_tls_url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// The file with the authority of its certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// A file with the password of [`BIND_DN`](Self::BIND_DN).
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.path("bind.secret")
    }

    /// Applies LDIF while it runs: entries are added, changes with a `changetype` made.
    ///
    /// # Panics
    /// If it refuses them.
    pub fn apply(&self, ldif: &str) {
        apply(&self.url(), &self.ca_file(), ADMIN, ldif);
    }

    /// The SID of an entry.
    ///
    /// # Panics
    /// If there is no such entry.
    #[must_use]
    pub fn sid(&self, dn: &str) -> String {
        let mut command = Command::new("ldbsearch");
        command.arg("-H").arg(self.database()).args(["-b", dn, "-s", "base", "objectSid"]);
        let found = run(&mut command, "");
        let sid = found.lines().find_map(|line| line.strip_prefix("objectSid: "));
        sid.unwrap_or_else(|| panic!("no SID: {dn}\n{found}")).to_owned()
    }

    /// Stops it. Connections end, and its ports refuse.
    pub fn stop(&mut self) {
        for mut child in [self.watchdog.take(), self.child.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.launch();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("private/sam.ldb")
    }

    fn add_offline(&self, ldif: &str) {
        if !ldif.is_empty() {
            run(Command::new("ldbadd").arg("-H").arg(self.database()), ldif);
        }
    }

    fn configure(&self) {
        let subjects = vec![self.address.to_string(), "dc1.corp.example.com".to_owned()];
        write_certificates(self.folder.path(), &[("server", subjects)]);
        write_private(&self.password_file(), Self::BIND_PASSWORD);
        let mut text = format!(
            "[global]\nrealm = CORP.EXAMPLE.COM\nworkgroup = CORP\nnetbios name = DC1\n\
             server role = active directory domain controller\nserver services = ldap\n\
             interfaces = {}/8\nbind interfaces only = yes\nold password allowed period = 0\nlog level = 0\n\
             tls enabled = yes\ntls certfile = {}\ntls keyfile = {}\ntls cafile = {}\n",
            self.address,
            self.path("server.crt").display(),
            self.path("server.key").display(),
            self.ca_file().display(),
        );
        for (key, folder) in FOLDERS {
            std::fs::create_dir_all(self.path(folder)).unwrap();
            text.push_str(&format!("{key} = {}\n", self.path(folder).display()));
        }
        std::fs::write(self.path("smb.conf"), text).unwrap();
    }

    fn launch(&mut self) {
        let mut command = Command::new("/usr/sbin/samba");
        // One process: more of them would survive a kill.
        command.args(["-i", "-M", "single", "-s"]).arg(self.path("smb.conf"));
        let log = std::fs::File::create(self.path("samba.log")).unwrap();
        // It ends when its standard input does.
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let address = self.address;
        until("the domain controller to answer", || {
            let ended = child.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.path("samba.log")).unwrap_or_default();
            assert!(ended.is_none(), "samba ended with {ended:?}\n{}", log());
            std::net::TcpStream::connect((address, 636)).is_ok()
        });
        self.watchdog = Some(watchdog(&child, self.folder.path()));
        self.child = Some(child);
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The organisational units of tests, and the account that searches.
fn services() -> String {
    let password: Vec<u8> = format!("\"{}\"", Samba::BIND_PASSWORD).encode_utf16().flat_map(u16::to_le_bytes).collect();
    format!(
        "dn: OU=Groups,{base}\nobjectClass: organizationalUnit\n\n\
         dn: OU=Services,{base}\nobjectClass: organizationalUnit\n\n\
         dn: {bind}\nobjectClass: user\nsAMAccountName: sts\nunicodePwd:: {password}\nuserAccountControl: 512\n\n",
        base = Samba::BASE,
        bind = Samba::BIND_DN,
        password = data_encoding::BASE64.encode(&password),
    )
}

/// The folder of a provisioned domain, made if it is not there yet.
fn provisioned() -> PathBuf {
    let version = run(Command::new("samba").arg("--version"), "");
    let folder = cache_folder().join("samba").join(version.trim().replace(' ', "-"));
    if folder.exists() {
        return folder;
    }
    let parent = folder.parent().unwrap();
    std::fs::create_dir_all(parent).unwrap();
    let fresh = tempfile::tempdir_in(parent).unwrap();
    let mut command = Command::new("samba-tool");
    command.args(["domain", "provision", "--realm=CORP.EXAMPLE.COM", "--domain=CORP", "--server-role=dc"]);
    command.args(["--dns-backend=SAMBA_INTERNAL", "--host-name=dc1", "--host-ip=127.0.0.1"]);
    command.args(["--option=interfaces=lo", "--option=bind interfaces only=yes"]);
    command.arg(format!("--adminpass={}", ADMIN.1)).arg(format!("--targetdir={}", fresh.path().display()));
    run(&mut command, "");
    // Another test may have been faster.
    if std::fs::rename(fresh.path(), &folder).is_ok() {
        let _ = fresh.keep();
    }
    assert!(folder.exists(), "{}", folder.display());
    folder
}

#[expect(clippy::disallowed_methods, reason = "the testkit is a composition root of its own")]
fn cache_folder() -> PathBuf {
    let home = || Path::new(&std::env::var("HOME").unwrap_or_else(|_| "/tmp".to_owned())).join(".cache");
    std::env::var("XDG_CACHE_HOME").map_or_else(|_| home(), PathBuf::from).join("sts-ci")
}

/// An address in 127/8 whose LDAP ports are free. It depends on the process, so that tests that run
/// at once do not meet.
fn free_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let host = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let [_, low, middle, high] = host.to_be_bytes();
        // No two numbers lead to one address: that of a server which is about to start counts as free, too.
        if matches!(high, 0 | 255) {
            continue;
        }
        let address = Ipv4Addr::new(127, low.wrapping_add(1), middle, high);
        let is_free = |port| TcpListener::bind((address, port)).is_ok();
        if is_free(389) && is_free(636) {
            return address;
        }
    }
}
