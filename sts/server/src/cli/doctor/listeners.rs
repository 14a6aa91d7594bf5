//! The listeners: whether they can be bound, or are those of our running server.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::configuration::Known;
use super::row::Row;
use super::running::Running;
use crate::http::bind_advice;

const CHECK: &str = "listener";

/// The rows of the configured addresses.
pub(super) fn rows(known: &Known, running: &Running) -> Vec<Row> {
    let addresses = [
        ("listen", known.compiled().map(|compiled| compiled.settings.listen)),
        ("admin.listen", known.admin().map(|admin| admin.listen)),
        ("metrics.listen", known.settings().and_then(|settings| settings.metrics_listen)),
    ];
    addresses.into_iter().filter_map(|(key, address)| Some(row(key, address?, running))).collect()
}

/// Tries to bind `address`, for a moment. If somebody has it, only the running server itself can say that
/// it is the one.
fn row(key: &str, address: SocketAddr, running: &Running) -> Row {
    let subject = format!("`{key}` {address}");
    if address.port() == 0 {
        return Row::ok(CHECK, subject, "the system chooses a free port");
    }
    match TcpListener::bind(address) {
        Ok(_) => Row::ok(CHECK, subject, "it can be bound, and nobody listens there"),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if running.listens_at(address) {
                return Row::ok(CHECK, subject, "our server listens there");
            }
            let found = match running {
                Running::Yes { .. } => "another process has it: the running server of this configuration does not",
                Running::No | Running::Unclear { .. } => "another process has it",
            };
            let cure = format!("stop that process, which `ss -ltnp` names, or choose another port for `{key}`");
            Row::fault(CHECK, subject, found, cure)
        }
        Err(error) => Row::fault(CHECK, subject, format!("it cannot be bound: {error}"), bind_advice(&error)),
    }
}
