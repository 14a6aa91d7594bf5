//! What a running server says of itself.

use std::net::SocketAddr;
use std::time::Duration;

use sts_api::Readiness;
use sts_config::AdminAccess;

use super::row::{Row, Status};
use crate::cli::admin_commands::own_admin;
use crate::cli::client::{http_client, is_refused, unreachable};

const CHECK: &str = "server";
/// A server asks its store before it answers.
const DEADLINE: Duration = Duration::from_secs(5);

/// The server of the configuration.
pub(super) enum Running {
    /// It runs.
    Yes { url: String, readiness: Box<Readiness> },
    /// Nobody listens at its address.
    No,
    /// Somebody is there whose answer is none of a server. The text says why.
    Unclear { url: String, why: String },
}

/// Asks the admin listener for the detail of its readiness.
pub(super) async fn ask(admin: Option<AdminAccess>) -> Running {
    // With port 0 the server listens elsewhere.
    let Some(admin) = admin.filter(|admin| admin.listen.port() != 0) else { return Running::No };
    let Ok((url, certificate)) = own_admin(&admin) else { return Running::No };
    let why = match http_client(certificate.as_deref(), DEADLINE) {
        Err(why) => why,
        Ok(client) => match client.get(format!("{url}/readyz")).send().await {
            Err(error) if is_refused(&error) => return Running::No,
            Err(error) => unreachable(&url, &error, DEADLINE),
            Ok(answer) => match answer.json::<Readiness>().await {
                Ok(readiness) => return Running::Yes { url, readiness: Box::new(readiness) },
                Err(_) => format!("{url}/readyz does not answer as the admin listener of sts does"),
            },
        },
    };
    Running::Unclear { url, why }
}

impl Running {
    /// Whether the server runs, and says that it listens there.
    pub(super) fn listens_at(&self, address: SocketAddr) -> bool {
        match self {
            Self::Yes { readiness, .. } => readiness.listeners.iter().any(|listener| listener.address == address),
            Self::No | Self::Unclear { .. } => false,
        }
    }

    /// What the server says of itself, but for its store.
    pub(super) fn rows(&self) -> Vec<Row> {
        let (url, readiness) = match self {
            Self::Yes { url, readiness } => (url, readiness),
            Self::No => return vec![Row::ok(CHECK, "-", "no server of this configuration runs here")],
            Self::Unclear { url, why } => {
                let cure = "stop the process that listens there, or correct `admin.listen`";
                return vec![Row::fault(CHECK, url, why.as_str(), cure)];
            }
        };
        let mut rows = vec![if readiness.ready {
            Row::ok(CHECK, url, "it is ready")
        } else {
            Row::fault(CHECK, url, "it is not ready", "see the rows below, and its log")
        }];
        let parts = [
            ("signing keys", &readiness.signing),
            ("audit trail", &readiness.audit),
            ("configuration in force", &readiness.configuration),
            ("managed objects", &readiness.managed_objects),
        ];
        rows.extend(parts.into_iter().filter(|(_, told)| *told != "ok").map(|(part, told)| {
            let cure = "see the server's log";
            Row::fault(CHECK, part, told.as_str(), cure)
        }));
        rows.extend(readiness.set_aside.iter().map(|aside| {
            let cure = format!("correct it, or remove it with `sts delete {}`", aside.object.replace('/', " "));
            Row::fault(CHECK, &aside.object, format!("it is not in force: {}", aside.why), cure)
        }));
        rows.extend(readiness.sinks.iter().filter(|sink| !sink.ok || sink.lost > 0).map(|sink| {
            let lost = format!("{} lines were lost or late", sink.lost);
            let found = sink.error.as_ref().map_or(lost.clone(), |error| format!("{error}; {lost}"));
            let status = if sink.ok { Status::Warning } else { Status::Fault };
            let row = if status == Status::Fault { Row::fault } else { Row::warning };
            row(CHECK.to_owned(), format!("sink {}", sink.name), found, "check that its target takes lines".to_owned())
        }));
        rows
    }
}
