//! The list of issuers.

use actix_web::HttpResponse;
use askama::Template;
use sts_api::{IssuerEntry, Issuers, Object};
use sts_types::UnixTime;

use super::{path, state};
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::filters::Filters;
use crate::pages::frame::{Frame, Section};
use crate::pages::object::Source;
use crate::pages::pieces::{Badge, Pager, object_query, text};

#[derive(Debug, Template)]
#[template(path = "issuers.html")]
struct IssuersPage {
    frame: Frame,
    q: String,
    rows: Vec<Row>,
    pager: Pager,
}

impl IssuersPage {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

#[derive(Debug)]
struct Row {
    name: String,
    path: String,
    issuer: String,
    state: Badge,
    keys: String,
    fetched: Option<UnixTime>,
    fault: Option<String>,
    source: Source,
}

/// `GET /console/issuers`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let query = object_query(&Filters::read(request.query()).to_query())?;
    let found: Issuers = request.get(format!("/issuers?{}", query.to_query())).await?;
    let filters = sts_api::ObjectQuery { after: None, ..query.clone() };
    let page = IssuersPage {
        frame: request.frame(Section::Issuers),
        rows: found.items.iter().map(|object| Row::new(object, &found)).collect(),
        pager: Pager::new(Section::Issuers.path(), &filters.to_query(), query.after.is_none(), found.next.as_deref()),
        q: query.q.unwrap_or_default(),
    };
    request.page(&page)
}

impl Row {
    fn new(object: &Object, all: &Issuers) -> Self {
        let entry = all.issuers.iter().find(|entry| entry.name.as_str() == object.name);
        let family = all.families.iter().find(|family| family.name.as_str() == object.name);
        let of_entry = |entry: &IssuerEntry| (state(entry), entry.usable.to_string());
        let members = family.map(|family| {
            let worst = family.members.iter().map(state).max_by_key(|badge| badge.tone.severity());
            (worst.unwrap_or(Badge::of_object(object)), format!("{} members", family.members.len()))
        });
        let (state, keys) =
            entry.map(of_entry).or(members).unwrap_or_else(|| (Badge::of_object(object), String::new()));
        let issuer = ["issuer", "issuer_template"].iter().find_map(|key| object.spec.get(*key));
        Self {
            path: path(&object.name),
            name: object.name.clone(),
            issuer: text(issuer),
            state,
            keys,
            fetched: entry.and_then(|entry| entry.fetched_at),
            fault: entry.and_then(|entry| Some(entry.last_error.as_ref()?.message.clone())),
            source: Source::new(object),
        }
    }
}
