//! Who asks, and what they may: the admin token, or a token of ours with `sts:read` or `sts:admin`.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use sts_audit::{Actor, ActorKind};
use sts_service::manage::Author;
use sts_service::{Reason, RefusedError};
use sts_types::{RequestId, rfc};

use super::Right;
use crate::audit::{self, RequestLine, ShownPath};
use crate::http::{AdminState, BEARER, Context, Credentials, Failure, credentials, dpop_proofs, from_extensions};

/// Said to who sent nothing that could be a token.
const NO_CREDENTIALS: &str = "no token was sent: send the admin token (`admin.token` in `data_dir`), or a token of ours with \
                              `sts:read` or `sts:admin`, as `Authorization: Bearer`";

/// What the author of a change in the console begins with.
const CONSOLE_USER: &str = "console user ";

/// Who asks, and what they may.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Under whose name a change is kept. The holder of a token of ours must never make what outlives it.
    pub(super) author: Author,
    right: Right,
    signed_in_by: SignedInBy,
    /// The request, and the address that it came from. The command line has none.
    origin: Option<(RequestId, Option<IpAddr>)>,
}

/// What a caller has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedInBy {
    AdminToken,
    Token,
    Console,
    /// The command line, where no server runs.
    CommandLine,
}

impl Caller {
    /// The user of a console session.
    pub(super) fn console(actor: &sts_console::Actor, right: Right) -> Self {
        Self {
            author: Author::Person(actor.author.clone()),
            right,
            signed_in_by: SignedInBy::Console,
            origin: Some((actor.request_id.clone(), actor.source)),
        }
    }

    /// Who it is, for the audit trail.
    pub(super) fn actor(&self) -> Actor {
        let (kind, name) = match self.signed_in_by {
            SignedInBy::AdminToken => (ActorKind::AdminToken, None),
            SignedInBy::Token => (ActorKind::Token, Some(self.name())),
            SignedInBy::Console => (ActorKind::ConsoleUser, Some(self.name())),
            SignedInBy::CommandLine => (ActorKind::CommandLine, None),
        };
        let name = name.map(|name| name.strip_prefix(CONSOLE_USER).unwrap_or(name).to_owned());
        let (request_id, source) = self.origin.as_ref().map(|(id, source)| (id.to_string(), *source)).unzip();
        Actor { kind, name, source: source.flatten(), request_id }
    }

    /// What the caller has shown.
    pub(super) fn signed_in_by(&self) -> SignedInBy {
        self.signed_in_by
    }

    /// The command line, where no server runs.
    pub(crate) fn command_line() -> Self {
        Self {
            author: Author::Person("command line".to_owned()),
            right: Right::Admin,
            signed_in_by: SignedInBy::CommandLine,
            origin: None,
        }
    }

    /// For the log and for records: `admin token`, or the account of a token of ours.
    pub(super) fn name(&self) -> &str {
        self.author.name()
    }

    /// Refuses a caller who may only read where `right` is that of administrators.
    pub(super) fn check(&self, right: Right) -> Result<(), Failure> {
        if right == Right::Admin && self.right == Right::Read { Err(Reason::InsufficientScope.into()) } else { Ok(()) }
    }
}

impl FromRequest for Caller {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(from_extensions(request))
    }
}

/// The middleware around every operation: without a token nobody learns which paths there are.
pub(crate) async fn authenticate(
    state: Data<AdminState>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let context = from_extensions::<Context>(request.request())?;
    let caller = caller(request.request(), &state).await;
    let actor = match &caller {
        Ok(caller) => caller.actor(),
        Err(_) => audit::caller(&context),
    };
    let answered = match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await?
        }
        Err(failure) => request.error_response(failure),
    };
    if let Some(failure) = answered.response().error().and_then(|error| error.as_error::<Failure>()) {
        state.state.metrics.admin_refusal(failure.reason());
        let request = answered.request();
        let path = ShownPath::of(request, &state.state.service.snapshot().rules);
        audit::refused(&state.state.audit, &actor, RequestLine::new(request.method(), &path), failure);
    }
    Ok(answered)
}

async fn caller(request: &HttpRequest, state: &AdminState) -> Result<Caller, Failure> {
    let context = from_extensions::<Context>(request)?;
    let origin = Some((context.request_id.clone(), context.source));
    let credentials = credentials(request)?;
    match &credentials {
        Credentials::Bearer(token) if state.token.is(token) => {
            return Ok(Caller {
                author: Author::Person("admin token".to_owned()),
                right: Right::Admin,
                signed_in_by: SignedInBy::AdminToken,
                origin,
            });
        }
        Credentials::Bearer(_) | Credentials::Dpop(_) => {}
        // No error code for a caller without a bearer token (RFC 6750 section 3.1).
        Credentials::None | Credentials::PublicClient(_) | Credentials::Basic(_) => {
            let refused = RefusedError::because(Reason::InvalidToken, NO_CREDENTIALS);
            return Err(Failure::challenged(refused, BEARER));
        }
    }
    let service = &state.state.service;
    // No metadata names the URL of this listener, so `htu` is the URL that the caller used.
    let uri = format!("{}{}", state.origin(request), request.path());
    let proofs = dpop_proofs(request);
    let presented = credentials.access_token(&proofs, request.method().as_str(), &uri).ok_or(Reason::InvalidToken)?;
    let scopes = &[rfc::SCOPE_READ, rfc::SCOPE_ADMIN];
    let own = service.authenticate_token(&service.snapshot(), presented, scopes, &context.request_id).await;
    let own = own.map_err(Failure::at_resource)?;
    let right = if own.scope().contains(rfc::SCOPE_ADMIN) { Right::Admin } else { Right::Read };
    Ok(Caller { author: Author::Token(own.account().clone()), right, signed_in_by: SignedInBy::Token, origin })
}
