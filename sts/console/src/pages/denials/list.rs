//! The list of refused requests, grouped by cause or one by one.

use actix_web::HttpResponse;
use askama::Template;
use sts_api::{Denial, DenialGroup, DenialGroups, DenialPage, DenialQuery};
use sts_types::UnixTime;

use super::path;
use crate::PageError;
use crate::page_request::PageRequest;
use crate::pages::filters::Filters;
use crate::pages::frame::{Frame, Section};
use crate::pages::pieces::Pager;

/// What a cause is made of.
const CAUSE: &str = "reason,account,identity,condition";
/// The value of the filter `view` for a list without groups.
const EACH: &str = "each";

#[derive(Debug, Template)]
#[template(path = "denials.html")]
struct Denials {
    frame: Frame,
    query: DenialQuery,
    is_filtered: bool,
    /// This list in the other view.
    other_view: String,
    groups: Option<Groups>,
    page: Option<Page>,
}

impl Denials {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

#[derive(Debug)]
struct Groups {
    rows: Vec<GroupRow>,
    left_out: u64,
}

/// Requests that were refused for one cause.
#[derive(Debug)]
struct GroupRow {
    summary: String,
    /// The last of them.
    path: String,
    account: String,
    count: u64,
    /// All of them, as far as filters tell them apart.
    each: String,
    last: UnixTime,
}

#[derive(Debug)]
struct Page {
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug)]
struct Row {
    time: UnixTime,
    summary: String,
    path: String,
    account: String,
    issuer: String,
    subject: String,
}

/// `GET /console/denials`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let mut filters = Filters::read(request.query());
    let is_each = filters.take("view").as_deref() == Some(EACH);
    let query = DenialQuery::from_query(&filters.to_query()).map_err(|error| PageError::Query(error.to_string()))?;
    let mut page = Denials {
        frame: request.frame(Section::Denials),
        is_filtered: query.account.is_some() || query.issuer.is_some() || query.reason.is_some(),
        other_view: target(&DenialQuery { after: None, ..query.clone() }, !is_each),
        groups: None,
        page: None,
        query,
    };
    if is_each {
        let denials: DenialPage = request.get(format!("/denials?{}", page.query.to_query())).await?;
        page.page = Some(Page::new(&page.query, denials));
    } else {
        let query = DenialQuery { group_by: Some(CAUSE.to_owned()), after: None, ..page.query.clone() };
        let groups: DenialGroups = request.get(format!("/denials?{}", query.to_query())).await?;
        let rows = groups.items.into_iter().map(|group| GroupRow::new(&page.query, group)).collect();
        page.groups = Some(Groups { rows, left_out: groups.left_out });
    }
    request.page(&page)
}

/// The list with that query, in that view.
fn target(query: &DenialQuery, is_each: bool) -> String {
    let view = is_each.then(|| format!("view={EACH}"));
    let parts: Vec<String> = view.into_iter().chain(Some(query.to_query()).filter(|query| !query.is_empty())).collect();
    let path = Section::Denials.path();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

impl GroupRow {
    fn new(query: &DenialQuery, group: DenialGroup) -> Self {
        let common = |name: &str| group.common.get(name).cloned().flatten();
        let each = DenialQuery { reason: common("reason"), account: common("account"), ..query.clone() };
        Self {
            path: path(group.request_id.as_str()),
            account: common("account").unwrap_or_default(),
            each: target(&each, true),
            summary: without_verdict(group.summary),
            count: group.count,
            last: group.last,
        }
    }
}

impl Page {
    fn new(query: &DenialQuery, denials: DenialPage) -> Self {
        let filters = target(&DenialQuery { after: None, ..query.clone() }, true);
        let (path, filters) = filters.split_once('?').unwrap_or((&filters, ""));
        let next = denials.next.as_ref().map(sts_types::RequestId::as_str);
        let pager = Pager::new(path, filters, query.after.is_none(), next);
        Self { rows: denials.items.into_iter().map(Row::new).collect(), pager }
    }
}

impl Row {
    fn new(denial: Denial) -> Self {
        Self {
            path: path(denial.request_id.as_str()),
            time: denial.time,
            summary: without_verdict(denial.summary),
            account: denial.account.unwrap_or_default(),
            issuer: denial.issuer_entry.unwrap_or_default(),
            subject: denial.subject.unwrap_or_default(),
        }
    }
}

/// Every summary of a refusal begins with that word.
fn without_verdict(summary: String) -> String {
    match summary.strip_prefix("refused: ") {
        Some(rest) => rest.to_owned(),
        None => summary,
    }
}
