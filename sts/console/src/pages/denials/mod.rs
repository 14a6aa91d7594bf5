//! Refused requests: grouped by cause, one by one, one of them, and the change that would allow it.

mod allow;
mod list;
mod refusal;
#[cfg(test)]
mod tests;

use actix_web::web::{self, ServiceConfig};

use super::frame::Section;
use super::page_route::{get, post};
use super::pieces::segment;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/denials").route(get(list::show)))
        .service(web::resource("/denials/{request_id}").route(get(refusal::show)))
        .service(web::resource("/denials/{request_id}/allow").route(get(allow::show)).route(post(allow::make)));
}

/// The path of a refusal's page.
fn path(request_id: &str) -> String {
    format!("{}/{}", Section::Denials.path(), segment(request_id))
}

/// The path of a refusal in the admin API.
fn api_path(request_id: &str) -> String {
    format!("/denials/{}", segment(request_id))
}
