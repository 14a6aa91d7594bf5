//! The list of service accounts.

use actix_web::HttpResponse;
use askama::Template;
use serde_json::Value;
use sts_api::{Object, ObjectPage, ObjectQuery};

use super::KIND;
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::frame::{Frame, Section};
use crate::pages::object::{Source, page_path};
use crate::pages::pieces::{Badge, Pager, object_query, text, texts};

#[derive(Debug, Template)]
#[template(path = "service_accounts.html")]
struct ServiceAccounts {
    frame: Frame,
    query: ObjectQuery,
    enabled: String,
    source: String,
    rows: Vec<Row>,
    pager: Pager,
    is_filtered: bool,
}

impl ServiceAccounts {
    fn new(frame: Frame, query: ObjectQuery, page: &ObjectPage) -> Self {
        let filters = ObjectQuery { after: None, ..query.clone() };
        let is_first = query.after.is_none();
        let pager = Pager::new(Section::ServiceAccounts.path(), &filters.to_query(), is_first, page.next.as_deref());
        let is_filtered = filters != ObjectQuery { limit: query.limit, ..ObjectQuery::default() };
        let rows = page.items.iter().map(Row::new).collect();
        let enabled = query.enabled.map(|enabled| enabled.to_string()).unwrap_or_default();
        let source = query.source.map(|source| source.to_string()).unwrap_or_default();
        Self { frame, rows, pager, is_filtered, enabled, source, query }
    }

    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

#[derive(Debug)]
struct Row {
    name: String,
    path: String,
    display_name: String,
    teams: String,
    identities: usize,
    state: Badge,
    source: Source,
}

impl Row {
    fn new(object: &Object) -> Self {
        Self {
            name: object.name.clone(),
            path: page_path(KIND, &object.name),
            display_name: text(object.spec.get("display_name")),
            teams: texts(object.spec.get("teams")),
            identities: object.spec.get("identities").and_then(Value::as_array).map_or(0, Vec::len),
            state: Badge::of_object(object),
            source: Source::new(object),
        }
    }
}

/// `GET /console/service-accounts`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let query = object_query(request.query())?;
    let page: ObjectPage = request.get(format!("/service-accounts?{}", query.to_query())).await?;
    request.page(&ServiceAccounts::new(request.frame(Section::ServiceAccounts), query, &page))
}
