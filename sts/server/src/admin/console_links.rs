//! Links into the console: `/admin/v1/console-links`.

use serde_json::json;
use sts_api::{ConsoleLink, NoMembers};
use sts_console::SessionError;

use super::{Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, SignedInBy};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<CreateConsoleLink>()];

/// Makes a link that opens a console session with all rights.
#[derive(Debug)]
pub(crate) struct CreateConsoleLink;

impl Operation for CreateConsoleLink {
    type Answer = ConsoleLink;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/console-links",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "createConsoleLink",
            summary: "Make a link that opens the console once, within a minute",
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
        "no link was made"
    }

    const IS_REPEATABLE: bool = true;

    async fn run(self, state: &AppState, caller: &Caller) -> Result<ConsoleLink, OperationError> {
        match caller.signed_in_by() {
            SignedInBy::AdminToken => {}
            SignedInBy::CommandLine => {
                let text = "no server runs that could open the console: start one with `sts serve`; no link was made";
                return Err(OperationError::Failed(text.to_owned()));
            }
            // A link outlives neither, but it must not outlive the right to make it.
            SignedInBy::Token | SignedInBy::Console => {
                let text = "a link into the console needs the admin token; no link was made";
                return Err(OperationError::InteractiveRequired(text.to_owned()));
            }
        }
        let sessions = state.sessions.as_ref();
        let sessions =
            sessions.ok_or(OperationError::StoreUnavailable("this server keeps no sessions; no link was made"))?;
        let link = sessions.create_link().await.map_err(|error| {
            tracing::error!(%error, "no link into the console was made");
            match error {
                SessionError::Store(_) => OperationError::StoreUnavailable(self.not_done()),
                SessionError::NoAdminToken(_) => {
                    OperationError::Failed(format!("the admin token cannot be read; {}", self.not_done()))
                }
            }
        })?;
        Ok(ConsoleLink { path: link.path, expires_at: link.expires_at.as_secs() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&CreateConsoleLink);
    }
}
