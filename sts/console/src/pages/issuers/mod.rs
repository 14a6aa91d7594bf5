//! Issuers: the list, and one of them with its keys and their history.

mod form;
mod issuer;
mod list;
#[cfg(test)]
mod tests;

use actix_web::web::{self, ServiceConfig};
use sts_api::{EntryState, IssuerEntry};

use self::form::IssuerEntries;
use super::frame::Section;
use super::page_route::{get, post};
use super::pieces::{Badge, Tone, segment};
use super::{deletion, editing};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/issuers").route(get(list::show)))
        .service(
            web::resource("/new/issuer")
                .route(get(editing::show_new::<IssuerEntries>))
                .route(post(editing::create::<IssuerEntries>)),
        )
        .service(web::resource("/issuers/{name}").route(get(issuer::show)))
        .service(
            web::resource("/issuers/{name}/edit")
                .route(get(editing::show_edit::<IssuerEntries>))
                .route(post(editing::save::<IssuerEntries>)),
        )
        .service(
            web::resource("/issuers/{name}/delete")
                .route(get(deletion::show::<IssuerEntries>))
                .route(post(deletion::delete::<IssuerEntries>)),
        )
        .service(web::resource("/issuers/{name}/refresh").route(post(issuer::refresh)));
}

/// The path of an issuer's page.
pub(super) fn path(name: &str) -> String {
    format!("{}/{}", Section::Issuers.path(), segment(name))
}

/// How an entry is.
pub(super) fn state(entry: &IssuerEntry) -> Badge {
    let (tone, word) = match (entry.state, entry.last_error.is_some()) {
        (EntryState::Fresh, false) => (Tone::Good, "Keys fresh"),
        (EntryState::Fresh, true) => (Tone::Warning, "Keys fresh, last fetch failed"),
        (EntryState::Stale, _) => (Tone::Warning, "Keys stale"),
        (EntryState::Expired, _) => (Tone::Bad, "Keys expired"),
        (EntryState::Absent, true) => (Tone::Bad, "No keys"),
        (EntryState::Absent, false) => (Tone::Neutral, "Not fetched yet"),
    };
    Badge { tone, word }
}
