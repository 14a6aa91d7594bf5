//! Directories over a real server, with a clock that only the test moves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sts_directory::{
    BindSpec, Directories, DirectoriesSpec, DirectoryKind, DirectorySpec, DirectoryStatus, Dn, Environment,
    FailureCause, GroupRef, GroupState, LinkedGroup, LinkedLogin, Login, MembershipState, NoMembershipError,
    Persistence, ServerUrl, UserFilter,
};
use sts_jose::HmacSeal;
use sts_testkit::{ManualClock, Samba, Slapd, now};
use sts_types::{AccountId, Clock as _, DirectoryName, Entropy, UnixTime};
use tokio::task::JoinHandle;

/// A server, or the end of the test where it cannot run.
macro_rules! server {
    ($start:expr) => {
        match $start {
            Ok(server) => server,
            Err(missing) => return println!("{missing}"),
        }
    };
}
pub(crate) use server;

struct NoJitter;

impl Entropy for NoJitter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

pub(crate) fn name() -> DirectoryName {
    DirectoryName::new("corp").unwrap()
}

pub(crate) fn samba_spec(samba: &Samba) -> DirectorySpec {
    DirectorySpec {
        name: name(),
        urls: vec![ServerUrl::parse(&samba.url()).unwrap()],
        ca_file: Some(samba.ca_file()),
        bind: BindSpec { dn: Samba::BIND_DN.to_owned(), password_file: samba.password_file() },
        base: Dn::parse(Samba::BASE).unwrap(),
        kind: DirectoryKind::ActiveDirectory,
        refresh: Duration::from_secs(300),
        max_age: Duration::from_secs(3600),
    }
}

pub(crate) fn slapd_spec(slapd: &Slapd, user_filter: &str) -> DirectorySpec {
    DirectorySpec {
        name: name(),
        urls: vec![ServerUrl::parse(&slapd.url()).unwrap()],
        ca_file: Some(slapd.ca_file()),
        bind: BindSpec { dn: Slapd::BIND_DN.to_owned(), password_file: slapd.password_file() },
        base: Dn::parse(Slapd::BASE).unwrap(),
        kind: DirectoryKind::Ldap {
            user_filter: UserFilter::parse(user_filter).unwrap(),
            group_attribute: "memberOf".to_owned(),
        },
        refresh: Duration::from_secs(300),
        max_age: Duration::from_secs(3600),
    }
}

/// A directory with logins, each of an account named `a0`, `a1` and so on, and groups.
pub(crate) fn spec(directory: DirectorySpec, logins: &[&str], groups: &[&str]) -> DirectoriesSpec {
    let login = |(index, login): (usize, &&str)| LinkedLogin {
        account: AccountId::new(&format!("a{index}")).unwrap(),
        directory: name(),
        login: Login::parse(login).unwrap(),
    };
    let group = |group: &&str| LinkedGroup { directory: name(), group: GroupRef::parse(group).unwrap() };
    DirectoriesSpec {
        directories: vec![directory],
        logins: logins.iter().enumerate().map(login).collect(),
        groups: groups.iter().map(group).collect(),
    }
}

/// Directories that run.
pub(crate) struct World {
    pub(crate) directories: Arc<Directories>,
    pub(crate) clock: Arc<ManualClock>,
    running: JoinHandle<()>,
}

impl World {
    /// Starts, and waits for the first refresh.
    pub(crate) async fn start(spec: DirectoriesSpec) -> Self {
        Self::with(spec, None).await
    }

    /// The same, with a folder that keeps memberships.
    pub(crate) async fn kept_in(spec: DirectoriesSpec, folder: &Path) -> Self {
        Self::with(spec, Some(folder.to_owned())).await
    }

    async fn with(spec: DirectoriesSpec, folder: Option<PathBuf>) -> Self {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(now())));
        let directories = Directories::new(spec, environment(&clock, folder));
        let mut refreshes = directories.subscribe();
        let running = tokio::spawn(Arc::clone(&directories).run(std::future::pending()));
        within(refreshes.changed()).await.unwrap();
        Self { directories, clock, running }
    }

    /// Refreshes, and waits until that has ended.
    pub(crate) async fn refresh(&self) {
        self.after(Directories::refresh_now).await;
    }

    /// Does something that makes the directories refresh, and waits until that has ended.
    pub(crate) async fn after(&self, change: impl FnOnce(&Directories)) {
        self.clock.advance(Duration::from_secs(2));
        let mut refreshes = self.directories.subscribe();
        change(&self.directories);
        within(refreshes.changed()).await.unwrap();
    }

    /// The groups of an account, as they were written, in the order of the configuration.
    pub(crate) fn groups(&self, account: &str) -> Result<Vec<String>, NoMembershipError> {
        let snapshot = self.directories.snapshot();
        let membership = snapshot.of(&AccountId::new(account).unwrap()).expect("it has a login");
        let mut groups: Vec<String> = membership.groups(self.clock.now())?.iter().map(ToString::to_string).collect();
        groups.sort_unstable();
        Ok(groups)
    }

    pub(crate) fn state(&self, account: &str) -> MembershipState {
        self.directories.snapshot().of(&AccountId::new(account).unwrap()).expect("it has a login").state.clone()
    }

    pub(crate) fn group(&self, group: &str) -> GroupState {
        self.directories.snapshot().group(&name(), &GroupRef::parse(group).unwrap())
    }

    pub(crate) fn status(&self) -> DirectoryStatus {
        self.directories.status().remove(0)
    }

    /// The last failure's cause and text.
    pub(crate) fn failure(&self) -> (FailureCause, String) {
        let failure = self.status().last_failure.expect("it failed");
        (failure.cause, failure.message)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Fails a test that would wait for ever.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it takes over a minute")
}

pub(crate) fn environment(clock: &Arc<ManualClock>, folder: Option<PathBuf>) -> Environment {
    let seal = Arc::new(HmacSeal::new(&[7; 32]));
    Environment {
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(NoJitter),
        persistence: folder.map(|folder| Persistence { folder, seal }),
    }
}
