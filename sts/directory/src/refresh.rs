//! One refresh of one directory: its servers in turn, until one answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sts_types::{Clock, UnixTime};
use tokio::task::JoinSet;

use crate::failure::{DirectoryError, FailureCause};
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::lookup::{Answer, look_up};
use crate::server_url::ServerUrl;
use crate::session::{Deadlines, Session};
use crate::spec::DirectorySpec;
use crate::tls;

/// What to ask a directory.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) spec: DirectorySpec,
    pub(crate) logins: Vec<Login>,
    pub(crate) groups: Vec<GroupRef>,
    /// The server to begin with.
    pub(crate) first_server: usize,
    /// When a person asked to accept the groups that have the configured names now, if one did.
    pub(crate) confirmed_at: Option<Duration>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) request: Request,
    /// The answer, with the time before it was asked for and the server that gave it.
    pub(crate) answer: Option<(Answer, UnixTime, usize)>,
    /// One for each server that failed.
    pub(crate) failures: Vec<DirectoryError>,
    pub(crate) searches: u64,
}

/// Asks the servers in turn. The first answer ends it.
pub(crate) async fn refresh(request: Request, clock: Arc<dyn Clock>) -> Outcome {
    let searches = Arc::new(AtomicU64::new(0));
    let mut outcome = Outcome { request, answer: None, failures: Vec::new(), searches: 0 };
    let request = Arc::new(outcome.request.clone());
    let count = request.spec.urls.len();
    for offset in 0..count {
        let server = (request.first_server + offset) % count;
        let Some(url) = request.spec.urls.get(server).cloned() else { continue };
        let now = clock.now();
        match attempt(Arc::clone(&request), url.clone(), now, Arc::clone(&searches)).await {
            Ok(answer) => {
                outcome.answer = Some((answer, now, server));
                break;
            }
            Err(error) => outcome.failures.push(error.at(&url)),
        }
    }
    outcome.searches = searches.load(Ordering::Relaxed);
    outcome
}

/// Asks one server, in a task of its own: a panic over its answer is one more way to fail.
async fn attempt(
    request: Arc<Request>,
    url: ServerUrl,
    now: UnixTime,
    searches: Arc<AtomicU64>,
) -> Result<Answer, DirectoryError> {
    let deadline = Deadlines::of(&request.spec).refresh;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut session = open(&request.spec, &url, searches).await?;
        look_up(&mut session, &request.spec, &request.logins, &request.groups, now).await
    });
    let Ok(joined) = tokio::time::timeout(deadline, task.join_next()).await else {
        let what = format!("the whole refresh took over {} s", deadline.as_secs());
        return Err(DirectoryError::new(FailureCause::Timeout, what));
    };
    match joined {
        Some(Ok(result)) => result,
        _ => Err(DirectoryError::new(FailureCause::Protocol, "the server's answer cannot be read")),
    }
}

/// A session with the server. Files are read anew each time.
pub(crate) async fn open(
    spec: &DirectorySpec,
    url: &ServerUrl,
    searches: Arc<AtomicU64>,
) -> Result<Session, DirectoryError> {
    let ca_file = spec.ca_file.clone();
    let config = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_deref())).await;
    let config = config.map_err(|error| DirectoryError::new(FailureCause::File, error.to_string()))??;
    Session::open(spec, url, config, searches).await
}
