//! The pages: what the admin API answers, as HTML. A module has its paths, handlers, views and tests.

mod apis;
mod audit;
mod deletion;
mod denials;
mod difference;
mod editing;
mod effect;
mod filters;
mod form_fields;
mod frame;
mod issuers;
mod object;
mod object_pages;
mod overview;
mod page_route;
pub(crate) mod pieces;
mod service_accounts;
mod signing_keys;
mod teams;
mod tokens;
mod trace;
mod typed_value;

use actix_web::web::ServiceConfig;

pub use frame::{Frame, Section};
pub use pieces::{Badge, FieldFinding, Pager, ProblemView, Tone};

/// Registers every page of a section.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .configure(overview::routes)
        .configure(service_accounts::routes)
        .configure(teams::routes)
        .configure(apis::routes)
        .configure(issuers::routes)
        .configure(tokens::routes)
        .configure(denials::routes)
        .configure(audit::routes)
        .configure(signing_keys::routes);
}
