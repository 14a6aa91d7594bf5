//! The console's place on the admin listener. The listener reads bodies and knows its own address;
//! the console gets both with each request.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, HttpMessage as _};
use sts_console::{BrowserRequest, Console, SessionRecorder};

use super::{AdminState, Context, RequestBody};
use crate::admin::InProcessApi;
use crate::audit::SessionEvents;
use crate::openid_provider::ProviderInForce;

/// Registers the console, where the store keeps sessions.
pub(super) fn routes(state: &AdminState, config: &mut ServiceConfig) {
    let Some(sessions) = &state.state.sessions else { return };
    let console = Console::new(Arc::new(InProcessApi::new(Arc::clone(&state.state))), Arc::clone(sessions))
        .with_providers(Arc::new(ProviderInForce(Arc::clone(&state.state))));
    config.service(web::scope("/console").wrap(from_fn(hand_over)).configure(sts_console::routes(console)));
}

/// Gives the console what the listener knows of a request.
async fn hand_over(
    state: Data<AdminState>,
    context: Context,
    body: RequestBody,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let body = match body.read().await {
        Ok(body) => body,
        Err(failure) => return Ok(request.error_response(failure)),
    };
    let origin = state.origin(request.request());
    request.extensions_mut().insert(BrowserRequest {
        request_id: context.request_id.clone(),
        address: context.source,
        events: SessionRecorder::new(Arc::new(SessionEvents(Arc::clone(&state.state)))),
        origin,
        body,
    });
    next.call(request).await
}
