//! A real OpenLDAP server with the `memberOf` overlay, on free ports of loopback.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::directory_server::{apply, is_installed};
use crate::free_address;
use crate::tls_files::{write_certificates, write_private};
use crate::until;
use crate::watchdog::watchdog;

const ADMIN: (&str, &str) = ("cn=admin,dc=example,dc=org", "admin-4711");

/// A running `slapd`. It is killed when it is dropped, and when this process ends.
#[derive(Debug)]
pub struct Slapd {
    folder: TempDir,
    ports: (u16, u16),
    child: Option<Child>,
    watchdog: Option<Child>,
}

impl Slapd {
    /// The base.
    pub const BASE: &str = "dc=example,dc=org";
    /// An account without special rights, for searches.
    pub const BIND_DN: &str = "cn=sts,ou=services,dc=example,dc=org";
    /// Its password.
    pub const BIND_PASSWORD: &str = "Search-4711-only";

    /// Why no server can run on this machine, in one line.
    #[must_use]
    pub fn missing() -> Option<String> {
        let missing: Vec<&str> = ["slapd", "ldapmodify"].into_iter().filter(|program| !is_installed(program)).collect();
        let text = || format!("no OpenLDAP: {} not installed (see .ci/prerequisites)", missing.join(", "));
        if missing.is_empty() { None } else { Some(text()) }
    }

    /// A server with these further entries, in LDIF.
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
        let mut log = String::new();
        // Another process may take a port first.
        for _ in 0..5 {
            let mut slapd = Self {
                folder: tempfile::tempdir().unwrap(),
                ports: (free_address().port(), free_address().port()),
                child: None,
                watchdog: None,
            };
            slapd.configure();
            if slapd.launch() {
                slapd.apply(&base());
                slapd.apply(ldif);
                return Ok(slapd);
            }
            log = std::fs::read_to_string(slapd.path("slapd.log")).unwrap();
        }
        panic!("no slapd could be started\n{log}");
    }

    /// LDIF of a person in `ou=people`, with further lines.
    #[must_use]
    pub fn user(name: &str, lines: &str) -> String {
        format!(
            "dn: {}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n{lines}\n\n",
            Self::user_dn(name)
        )
    }

    /// LDIF of a group in `ou=groups`. It needs a member.
    #[must_use]
    pub fn group(name: &str, members: &[&str]) -> String {
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        format!("dn: {}\nobjectClass: groupOfNames\n{members}\n", Self::group_dn(name))
    }

    /// LDIF that adds a member to a group, or removes it.
    #[must_use]
    pub fn membership(group: &str, change: &str, member: &str) -> String {
        format!("dn: {}\nchangetype: modify\n{change}: member\nmember: {member}\n-\n\n", Self::group_dn(group))
    }

    /// The name of an entry that [`user`](Self::user) makes.
    #[must_use]
    pub fn user_dn(name: &str) -> String {
        format!("uid={name},ou=people,{}", Self::BASE)
    }

    /// The name of an entry that [`group`](Self::group) makes.
    #[must_use]
    pub fn group_dn(name: &str) -> String {
        format!("cn={name},ou=groups,{}", Self::BASE)
    }

    /// `ldaps://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.ports.1)
    }

    /// `ldap://127.0.0.1:PORT`, for StartTLS.
    #[must_use]
    pub fn start_tls_url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.ports.0)
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

    /// Applies LDIF: entries are added, changes with a `changetype` made.
    ///
    /// # Panics
    /// If it refuses them.
    pub fn apply(&self, ldif: &str) {
        if !ldif.is_empty() {
            apply(&self.url(), &self.ca_file(), ADMIN, ldif);
        }
    }

    /// Stops it. Connections end, and its ports refuse.
    pub fn stop(&mut self) {
        for mut child in [self.watchdog.take(), self.child.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same ports and entries.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        assert!(self.launch(), "{}", std::fs::read_to_string(self.path("slapd.log")).unwrap_or_default());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self) {
        write_certificates(self.folder.path(), &[("server", vec!["127.0.0.1".to_owned(), "localhost".to_owned()])]);
        write_private(&self.password_file(), Self::BIND_PASSWORD);
        std::fs::create_dir(self.path("data")).unwrap();
        let mut text: String = ["core", "cosine", "inetorgperson", "nis"]
            .map(|schema| format!("include /etc/ldap/schema/{schema}.schema\n"))
            .concat();
        text.push_str(&format!(
            "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\nmoduleload ppolicy\n\
             TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database mdb\nsuffix {base}\nrootdn {}\nrootpw {}\ndirectory {}\nmaxsize 67108864\ndbnosync\n\
             index objectClass,uid,member,memberOf eq\n\
             overlay memberof\nmemberof-group-oc groupOfNames\nmemberof-refint true\noverlay ppolicy\n",
            self.ca_file().display(),
            self.path("server.crt").display(),
            self.path("server.key").display(),
            ADMIN.0,
            ADMIN.1,
            self.path("data").display(),
            base = Self::BASE,
        ));
        std::fs::write(self.path("slapd.conf"), text).unwrap();
    }

    /// Whether it has started. It has not if another process took a port.
    fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.path("slapd.log")).unwrap();
        let mut command = Command::new("/usr/sbin/slapd");
        // With `-d` it stays in the foreground.
        command.args(["-d", "0", "-f"]).arg(self.path("slapd.conf"));
        command.arg("-h").arg(format!("{} {}", self.start_tls_url(), self.url()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut ended = false;
        until("slapd to answer", || {
            ended = child.try_wait().unwrap().is_some();
            ended || std::net::TcpStream::connect(("127.0.0.1", self.ports.1)).is_ok()
        });
        if ended {
            return false;
        }
        self.watchdog = Some(watchdog(&child, self.folder.path()));
        self.child = Some(child);
        true
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The organisational units of tests, and the account that searches.
fn base() -> String {
    let unit = |name: &str| format!("dn: ou={name},{}\nobjectClass: organizationalUnit\n\n", Slapd::BASE);
    format!(
        "dn: {base}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example\n\n{}{}{}\
         dn: {bind}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword: {password}\n\n",
        unit("people"),
        unit("groups"),
        unit("services"),
        base = Slapd::BASE,
        bind = Slapd::BIND_DN,
        password = Slapd::BIND_PASSWORD,
    )
}
