//! The store as a whole: `/admin/v1/store`.

use std::fs::File;

use serde_json::json;
use sts_api::{Acceptance, NoMembers};
use sts_audit::StoreAccepted;
use sts_service::Reason;

use super::{
    Body, Caller, Documentation, Download, Endpoint, Operation, OperationError, Request, Right, Route,
    store_unavailable,
};
use crate::app_state::AppState;
use crate::backups::{BackupError, BackupTurn};
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<AcceptEpoch>(), Route::to_file::<BackUpStore>()];

/// Takes the store as it is, although something is missing from it.
#[derive(Debug)]
pub(crate) struct AcceptEpoch;

impl Operation for AcceptEpoch {
    type Answer = Acceptance;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/store/accept-epoch",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "acceptEpoch",
            summary: "Take the store as it is, after it was emptied or put back",
            body: Some(Body::optional::<NoMembers>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::post("", json!({}))
    }

    fn not_done(&self) -> &'static str {
        "the store was not accepted"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Acceptance, OperationError> {
        let accepted =
            state.service.accept_epoch().await.map_err(|error| store_unavailable(&error, self.not_done()))?;
        let accepted = accepted == sts_store::Acceptance::Accepted;
        if accepted {
            state.audit.record(&caller.actor(), StoreAccepted {});
            // The caller finds the server ready as soon as it has the answer.
            let _ = state.store.look(&state.service).await;
            if let Some(managed) = state.managed()
                && let Err(error) = managed.read_now().await
            {
                tracing::error!(%error, "managed objects cannot be read yet; the server is ready when they are");
            }
            tracing::warn!(
                by = caller.name(),
                "the store was accepted as it is: what was revoked and is forgotten has come back"
            );
        }
        Ok(Acceptance { accepted })
    }
}

/// Copies the embedded store as it is now.
#[derive(Debug)]
pub(crate) struct BackUpStore;

impl Download for BackUpStore {
    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/store/backup",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "backUpStore",
            summary: "A copy of the embedded store, to be put in the place of its file",
            body: Some(Body::optional::<NoMembers>()),
            answer: None,
            failures: &[503],
        },
    };

    const NOT_DONE: &'static str = "no backup was made";

    type Held = BackupTurn;

    async fn run(state: &AppState, caller: &Caller) -> Result<(File, BackupTurn), OperationError> {
        let Some(backups) = &state.backups else {
            let text =
                "the store is a Redis, which has its own backups: see `BGSAVE` and `appendonly` in its documentation";
            return Err(OperationError::Refused(format!("{text}; {}", Self::NOT_DONE)));
        };
        let copy = backups.make().await.map_err(|error| match error {
            BackupError::Store(error) => store_unavailable(&error, Self::NOT_DONE),
            BackupError::Busy => {
                OperationError::Unavailable(Reason::StoreUnavailable, format!("{error}; {}", Self::NOT_DONE))
            }
            error => OperationError::Failed(format!("{error}; {}", Self::NOT_DONE)),
        })?;
        tracing::info!(by = caller.name(), "a backup of the store was made");
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&AcceptEpoch);
    }
}
