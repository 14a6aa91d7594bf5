//! How far a request got. Errors for timeouts and broken connections need this.
//!
//! The HTTP client does not tell. The resolver and the connector record it in a task-local value.

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static CURRENT: Arc<Progress>;
}

/// The furthest stage that a request reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The request was sent on an open connection.
    Reused,
    /// The host's name is being resolved.
    Resolving,
    /// TCP or TLS is being set up.
    Connecting,
    /// The connection is open and the response is pending.
    Connected,
}

/// Progress of one request.
#[derive(Default)]
pub(crate) struct Progress {
    stage: AtomicU8,
    addresses: Mutex<Vec<IpAddr>>,
}

impl Progress {
    /// Runs `request` and records the progress of its connection here.
    pub(crate) async fn watch<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), request).await
    }

    /// Resets the record before the next request.
    pub(crate) fn begin(&self) {
        self.stage.store(0, Ordering::Relaxed);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Reused,
            2 => Stage::Resolving,
            1 | 3 => Stage::Connecting,
            _ => Stage::Connected,
        }
    }

    /// Addresses of the host's name; empty if the host is an IP literal.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that a connection was started. For an IP literal this is the first record: no
    /// resolver runs.
    fn begun() {
        Self::reach(1);
    }

    /// Records that the host's name is being resolved.
    pub(crate) fn resolving() {
        Self::reach(2);
    }

    /// Records the addresses of the host's name.
    pub(crate) fn resolved(addresses: &[IpAddr]) {
        Self::reach(3);
        // Outside of a request there is no record.
        let _ = CURRENT.try_with(|current| {
            *current.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses.to_vec();
        });
    }

    fn reach(stage: u8) {
        let _ = CURRENT.try_with(|current| current.stage.fetch_max(stage, Ordering::Relaxed));
    }
}

/// Connector layer that records when a connection starts and when it is open.
#[derive(Clone, Copy)]
pub(crate) struct NoteConnections;

impl<S> Layer<S> for NoteConnections {
    type Service = NotingConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NotingConnector(inner)
    }
}

#[derive(Clone)]
pub(crate) struct NotingConnector<S>(S);

impl<S, Target> Service<Target> for NotingConnector<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move {
            Progress::begun();
            let connected = connecting.await;
            if connected.is_ok() {
                Progress::reach(4);
            }
            connected
        })
    }
}
