//! How far one request came: what a deadline that passes, or a connection that breaks, is to be told by.
//!
//! The HTTP client says none of it, so its resolver and connector note it for the request of their task.

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

/// The stage that a request reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No connection was begun: the request was sent on one that was open already.
    Reused,
    /// The host's name is being resolved.
    Resolving,
    /// TCP or TLS.
    Connecting,
    /// The connection stands, and the answer is awaited.
    Connected,
}

/// What is noted of one request.
#[derive(Default)]
pub(crate) struct Progress {
    stage: AtomicU8,
    addresses: Mutex<Vec<IpAddr>>,
}

impl Progress {
    /// Runs `request`, and has what its connection comes to noted here.
    pub(crate) async fn watch<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), request).await
    }

    /// Forgets what an earlier request came to.
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

    /// The addresses that the host's name stands for; none for a host that is an address.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes for the request of this task that a connection is begun. A host that is an address asks no resolver.
    fn begun() {
        Self::reach(1);
    }

    /// Notes for the request of this task that its host's name is being resolved.
    pub(crate) fn resolving() {
        Self::reach(2);
    }

    /// Notes for the request of this task what its host's name stands for.
    pub(crate) fn resolved(addresses: &[IpAddr]) {
        Self::reach(3);
        // Outside of a request there is nobody to note it for.
        let _ = CURRENT.try_with(|current| {
            *current.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses.to_vec();
        });
    }

    fn reach(stage: u8) {
        let _ = CURRENT.try_with(|current| current.stage.fetch_max(stage, Ordering::Relaxed));
    }
}

/// Notes when connections begin and when they stand.
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
