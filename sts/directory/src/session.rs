//! A bound connection to one server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ldap3::controls::{PagedResults, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, ResultEntry, Scope, SearchEntry, StdStream};
use rustls::ClientConfig;
use sts_types::{SecretOwner, read_secret_file};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::{AbortHandle, JoinSet};

use crate::ber::page_cookie;
use crate::failure::{DirectoryError, FailureCause, quoted};
use crate::server_url::ServerUrl;
use crate::spec::{BindSpec, DirectorySpec};
use crate::transport::{connect, malformed, pump};

/// Entries a page: the most that slapd gives by default. Microsoft's server gives twice as many.
const PAGE: i32 = 500;
/// The most entries of one search.
const MAX_ENTRIES: usize = 20_000;
/// The most pages of one search.
const MAX_PAGES: usize = 1_000;
const MAX_PASSWORD: u64 = 4096;
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// Name, connection and TLS.
    connect: Duration,
    /// A bind, or a page of a search.
    operation: Duration,
    /// A whole refresh.
    pub(crate) refresh: Duration,
}

impl Deadlines {
    /// Shorter for a short `max_age`, so that several servers can be tried within it.
    pub(crate) fn of(spec: &DirectorySpec) -> Self {
        let within = |most: u64| (spec.max_age / 8).clamp(Duration::from_secs(1), Duration::from_secs(most));
        Self { connect: within(5), operation: within(10), refresh: within(10) * 6 }
    }
}

/// A connection over TLS whose bind succeeded. It ends when it is dropped.
pub(crate) struct Session {
    ldap: Ldap,
    deadlines: Deadlines,
    searches: Arc<AtomicU64>,
    /// Why the connection ended.
    ended: Arc<Mutex<Option<DirectoryError>>>,
    _tasks: Tasks,
}

/// Aborts what it started.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// An entry of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    /// Values by the attribute's name in lower case.
    attributes: HashMap<String, Vec<Vec<u8>>>,
    /// Attributes whose values the server gave in part, with the index of the next value.
    ranges: Vec<(String, usize)>,
}

impl Entry {
    /// The values of an attribute; `None` if the server gave none.
    pub(crate) fn values(&self, name: &str) -> Option<&[Vec<u8>]> {
        self.attributes.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }

    pub(crate) fn first(&self, name: &str) -> Option<&[u8]> {
        self.values(name)?.first().map(Vec::as_slice)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.first(name)?).ok()
    }

    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name).unwrap_or_default().iter().filter_map(|value| std::str::from_utf8(value).ok())
    }

    fn new(entry: ResultEntry) -> Self {
        let SearchEntry { dn, attrs, bin_attrs, .. } = SearchEntry::construct(entry);
        let mut made = Self { dn, ..Self::default() };
        let texts =
            attrs.into_iter().map(|(name, values)| (name, values.into_iter().map(String::into_bytes).collect()));
        for (name, values) in texts.chain(bin_attrs) {
            made.add(&name.to_ascii_lowercase(), values);
        }
        made
    }

    /// Adds values, whose attribute may have a range option: `member;range=0-1499`.
    fn add(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let (name, range) = match name.split_once(";range=") {
            Some((name, range)) => (name, Some(range)),
            None => (name, None),
        };
        if let Some(last) = range.and_then(|range| range.split_once('-')?.1.parse::<usize>().ok()) {
            self.ranges.push((name.to_owned(), last.saturating_add(1)));
        }
        self.attributes.entry(name.to_owned()).or_default().extend(values);
    }
}

/// What to search for.
pub(crate) struct Search<'s> {
    pub(crate) base: &'s str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'s str,
    pub(crate) attributes: &'s [String],
}

impl Session {
    /// Connects to a server, verifies its certificate, and binds. Nothing is sent before TLS but the
    /// request for it.
    pub(crate) async fn open(
        spec: &DirectorySpec,
        url: &ServerUrl,
        config: Arc<ClientConfig>,
        searches: Arc<AtomicU64>,
    ) -> Result<Self, DirectoryError> {
        let deadlines = Deadlines::of(spec);
        let stream = within(deadlines.connect, "connection and TLS", connect(url, config)).await?;
        let mut session = Self::over(stream, deadlines, searches).await?;
        session.bind(&spec.bind).await?;
        Ok(session)
    }

    /// The entries that a search finds, with all values of their attributes. Search references are
    /// left out: no other server is asked.
    pub(crate) async fn search(
        &mut self,
        search: &Search<'_>,
        max_values: usize,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let mut entries = Vec::new();
        let mut cookie = Vec::new();
        let deadline = self.deadlines.operation;
        // A page may be empty and not the last: Microsoft's server sends one when its time slice ends.
        for _ in 0..MAX_PAGES {
            cookie = within(deadline, "a search", self.page(search, cookie, &mut entries)).await?;
            if cookie.is_empty() || entries.len() > MAX_ENTRIES {
                break;
            }
        }
        if !cookie.is_empty() || entries.len() > MAX_ENTRIES {
            let what = format!("a search finds over {MAX_ENTRIES} entries or {MAX_PAGES} pages");
            return Err(DirectoryError::new(FailureCause::Limit, what));
        }
        for entry in &mut entries {
            self.complete(entry, max_values).await?;
        }
        Ok(entries)
    }

    /// The entry with this name, if there is one.
    pub(crate) async fn read(
        &mut self,
        dn: &str,
        attributes: &[String],
        max_values: usize,
    ) -> Result<Option<Entry>, DirectoryError> {
        let search = Search { base: dn, scope: Scope::Base, filter: "(objectClass=*)", attributes };
        match self.search(&search, max_values).await {
            Ok(mut entries) => Ok(if entries.len() == 1 { entries.pop() } else { None }),
            Err(error) if error.cause == FailureCause::Base => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the values that a server left out, up to a few more than `max_values`.
    async fn complete(&mut self, entry: &mut Entry, max_values: usize) -> Result<(), DirectoryError> {
        while let Some((name, next)) = entry.ranges.pop() {
            if next > max_values {
                continue;
            }
            let attributes = [format!("{name};range={next}-*")];
            let dn = entry.dn.clone();
            let search = Search { base: &dn, scope: Scope::Base, filter: "(objectClass=*)", attributes: &attributes };
            let mut found = Vec::new();
            within(self.deadlines.operation, "a search", self.page(&search, Vec::new(), &mut found)).await?;
            let Some(more) = found.pop().filter(|_| found.is_empty()) else {
                return Err(DirectoryError::new(
                    FailureCause::Search,
                    format!("`{}` went while it was read", quoted(&dn)),
                ));
            };
            // A range that does not go on would never end.
            entry.ranges.extend(more.ranges.into_iter().filter(|(_, after)| *after > next));
            for (name, values) in more.attributes {
                entry.attributes.entry(name).or_default().extend(values);
            }
        }
        Ok(())
    }

    /// One page of a search. Returns the cookie for the next; empty after the last.
    async fn page(
        &mut self,
        search: &Search<'_>,
        cookie: Vec<u8>,
        into: &mut Vec<Entry>,
    ) -> Result<Vec<u8>, DirectoryError> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        let control = RawControl::from(PagedResults { size: PAGE, cookie });
        let attributes = search.attributes.to_vec();
        let started =
            self.ldap.with_controls(control).streaming_search(search.base, search.scope, search.filter, attributes);
        let mut stream = started.await.map_err(|error| broken(&self.ended, &error))?;
        while let Some(entry) = stream.next().await.map_err(|error| broken(&self.ended, &error))? {
            if into.len() > MAX_ENTRIES {
                break;
            }
            if !entry.is_ref() {
                into.push(Entry::new(entry));
            }
        }
        let result = stream.finish().await;
        if result.rc != 0 {
            return Err(search_error(search, result.rc, &result.text));
        }
        let control = result.ctrls.iter().find(|control| control.1.ctype == PAGED_RESULTS);
        match control.and_then(|control| control.1.val.as_deref()) {
            Some(value) => page_cookie(value).map_err(malformed),
            None => Ok(Vec::new()),
        }
    }

    async fn bind(&mut self, bind: &BindSpec) -> Result<(), DirectoryError> {
        let path = bind.password_file.clone();
        let read = tokio::task::spawn_blocking(move || read_secret_file(&path, SecretOwner::Configured, MAX_PASSWORD));
        let file = read.await.map_err(|error| DirectoryError::new(FailureCause::File, error.to_string()))?;
        let file =
            file.map_err(|error| DirectoryError::new(FailureCause::File, format!("the password file: {error}")))?;
        let password = std::str::from_utf8(&file.bytes).map(|text| text.trim_end_matches(['\r', '\n']));
        // A bind without a password is anonymous and succeeds (RFC 4513 section 5.1.2).
        let password = password.ok().filter(|password| !password.is_empty()).ok_or_else(|| {
            let path = bind.password_file.display();
            DirectoryError::new(FailureCause::File, format!("the password file `{path}` is empty or not UTF-8"))
        })?;
        // So is one without a name.
        if bind.dn.trim().is_empty() {
            return Err(DirectoryError::new(FailureCause::Bind, "`bind.dn` is empty, so the bind would be anonymous"));
        }
        let ended = Arc::clone(&self.ended);
        let bound = async { self.ldap.simple_bind(&bind.dn, password).await.map_err(|error| broken(&ended, &error)) };
        let result = within(self.deadlines.operation, "the bind", bound).await?;
        match result.rc {
            0 => Ok(()),
            49 => Err(DirectoryError::new(
                FailureCause::Bind,
                format!(
                    "the server refuses the password of `{}`, or there is no such account (49 invalidCredentials)",
                    bind.dn
                ),
            )),
            code => Err(DirectoryError::new(
                FailureCause::Bind,
                format!("the server refuses the bind of `{}`: result {code}, \"{}\"", bind.dn, quoted(&result.text)),
            )),
        }
    }

    /// A session over a stream. `ldap3` sees only messages that were checked.
    async fn over<S: AsyncRead + AsyncWrite + Send + 'static>(
        stream: S,
        deadlines: Deadlines,
        searches: Arc<AtomicU64>,
    ) -> Result<Self, DirectoryError> {
        let local =
            |error: std::io::Error| DirectoryError::new(FailureCause::Connection, format!("a local socket: {error}"));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(local)?;
        ours.set_nonblocking(true).map_err(local)?;
        let ours = UnixStream::from_std(ours).map_err(local)?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let opened = LdapConnAsync::with_settings(settings, "ldapi:///").await;
        let (connection, ldap) =
            opened.map_err(|error| DirectoryError::new(FailureCause::Connection, error.to_string()))?;
        let ended = Arc::new(Mutex::new(None));
        let mut tasks = JoinSet::new();
        let pump = tasks.spawn(pump(stream, ours, Arc::clone(&ended)));
        let drive = tasks.spawn(async move {
            // The session tells what happened to the connection.
            let _ = connection.drive().await;
        });
        tasks.detach_all();
        Ok(Self { ldap, deadlines, searches, ended, _tasks: Tasks(vec![pump, drive]) })
    }
}

/// What a failed call means: why the connection ended, if it did.
fn broken(ended: &Mutex<Option<DirectoryError>>, error: &LdapError) -> DirectoryError {
    let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ended.unwrap_or_else(|| match error {
        LdapError::FilterParsing => DirectoryError::new(FailureCause::Search, "the filter cannot be read"),
        _ => DirectoryError::new(FailureCause::Connection, "the server closed the connection"),
    })
}

fn search_error(search: &Search<'_>, code: u32, text: &str) -> DirectoryError {
    let base = quoted(search.base);
    let (cause, what) = match code {
        3 => (FailureCause::Timeout, "the server's time limit ended a search".to_owned()),
        4 | 11 => (FailureCause::Limit, format!("the server's limit ended a search (result {code})")),
        10 => {
            (FailureCause::Base, format!("the server refers `{base}` to another server, and sts follows no referrals"))
        }
        32 => (
            FailureCause::Base,
            format!("the server has no entry `{base}`, or the bind account does not see it (32 noSuchObject)"),
        ),
        34 => (FailureCause::Base, format!("the server cannot read the name `{base}` (34 invalidDNSyntax)")),
        51 | 52 => (FailureCause::Connection, format!("the server is busy or unavailable (result {code})")),
        _ => (FailureCause::Search, format!("the server refuses a search: result {code}, \"{}\"", quoted(text))),
    };
    DirectoryError::new(cause, what)
}

async fn within<T>(
    deadline: Duration,
    what: &str,
    work: impl Future<Output = Result<T, DirectoryError>>,
) -> Result<T, DirectoryError> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(DirectoryError::new(FailureCause::Timeout, format!("{what} took over {} s", deadline.as_secs())))
    })
}

#[cfg(test)]
mod tests;
