//! The signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::ClientError;

/// Resolves at SIGINT, SIGTERM or SIGHUP.
pub(crate) async fn ended() -> Result<(), ClientError> {
    let failed = |error: std::io::Error| ClientError::failed(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
