//! The use of our signing keys. A key in memory signs at once. A device may need milliseconds, or be
//! gone.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sts_jose::SignError;
use sts_keyring::Keyring;
use sts_types::{Clock, UnixTime};
use tokio::sync::Notify;

use crate::reason::{Reason, RefusedError};

/// Longest wait for a device. With the store's deadline it stays below the time after which a token
/// that was decided is certain to be recorded.
const DEADLINE: Duration = Duration::from_secs(3);
/// Interval of the check while a key cannot sign.
const UNREADY: Duration = Duration::from_secs(1);
/// Time added to the interval while all keys can sign.
const IDLE: Duration = Duration::from_secs(9);
/// `Retry-After` when a key cannot sign.
const RETRY: Duration = Duration::from_secs(1);

/// Whether our keys can sign, as far as is known. Reading it waits for nothing.
#[derive(Default)]
pub(crate) struct SigningHealth {
    fault: ArcSwapOption<SignError>,
    /// Signalled when a signature fails.
    failed: Notify,
}

impl SigningHealth {
    /// The outcome of the last check, or of a signature that failed since.
    pub(crate) fn known(&self) -> Result<(), SignError> {
        self.fault.load().as_deref().map_or(Ok(()), |fault| Err(*fault))
    }

    /// Asks every key that signs now. A device that does not answer in time cannot sign.
    pub(crate) async fn check(&self, keyring: &Keyring, now: UnixTime) -> Result<(), SignError> {
        let outcome = within_deadline(keyring.check(now)).await;
        match (self.known(), outcome) {
            (Ok(()), Err(error)) => tracing::error!(%error, "the signing keys cannot sign"),
            (Err(_), Ok(())) => tracing::info!("the signing keys can sign again"),
            _ => {}
        }
        self.fault.store(outcome.err().map(Arc::new));
        outcome
    }

    /// Checks the keys for as long as the server runs: at intervals, and after a failure.
    pub(crate) async fn keep(&self, keyring: &Keyring, clock: &dyn Clock) {
        loop {
            let can_sign = self.check(keyring, clock.now()).await.is_ok();
            tokio::time::sleep(UNREADY).await;
            if can_sign {
                let _ = tokio::time::timeout(IDLE, self.failed.notified()).await;
            }
        }
    }

    /// Records that a signature failed. The next check says whether the keys can sign again.
    pub(crate) fn failed(&self, error: SignError) {
        tracing::error!(%error, "a signature could not be made");
        // Without a key of the algorithm, one API cannot be served and all others can.
        if error != SignError::Algorithm {
            self.fault.store(Some(Arc::new(error)));
            self.failed.notify_one();
        }
    }

    /// The refusal of a caller whose answer could not be signed. `undone` tells the caller what was
    /// not done.
    pub(crate) fn refusal(&self, error: SignError, undone: &'static str) -> RefusedError {
        self.failed(error);
        match error {
            // Waiting does not help.
            SignError::Algorithm => Reason::ServerError.into(),
            SignError::Failed | SignError::Unavailable => {
                RefusedError { detail: Some(undone.into()), ..RefusedError::for_now(Reason::SignerUnavailable, RETRY) }
            }
        }
    }
}

/// Waits for a signature, but not longer than a device may take.
pub(crate) async fn within_deadline<T, E: From<SignError>>(
    signing: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut signing = pin!(signing);
    // A key in memory has signed by now, and needs no timer.
    if let Poll::Ready(outcome) = poll_fn(|context| Poll::Ready(signing.as_mut().poll(context))).await {
        return outcome;
    }
    tokio::time::timeout(DEADLINE, signing).await.unwrap_or_else(|_| Err(SignError::Unavailable.into()))
}
