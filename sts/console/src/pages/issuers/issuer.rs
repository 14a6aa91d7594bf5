//! One issuer: its keys, their ages and history, the last failure.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::json;
use sts_api::{
    FetchCounts, HistoryAnswer, IssuerAnswer, IssuerEntry, IssuerObject, KeySetSeen, LastError, RefreshAnswer,
    Refreshed,
};
use sts_types::UnixTime;

use super::{path, state};
use crate::page_request::PageRequest;
use crate::pages::frame::{Frame, Section};
use crate::pages::object::Head;
use crate::pages::pieces::{Badge, Pager, ProblemView, object_query, segment, text};
use crate::{ApiError, ApiRequest, Method, PageError};

/// Sets of a history that the page has.
const SHOWN: usize = 20;
/// Members of a family on one page.
const MEMBERS: usize = 20;

#[derive(Debug, Template)]
#[template(path = "issuer.html")]
struct IssuerPage {
    frame: Frame,
    head: Head,
    path: String,
    facts: Vec<(String, String)>,
    /// The entry, or some members of its family.
    entries: Vec<Entry>,
    is_family: bool,
    /// How many members the family has.
    members: usize,
    pager: Pager,
    history: Vec<Set>,
    older: usize,
    problem: Option<ProblemView>,
}

impl IssuerPage {
    fn title(&self) -> &str {
        &self.head.name
    }
}

/// The state of one issuer.
#[derive(Debug)]
struct Entry {
    issuer: String,
    state: Badge,
    source: &'static str,
    moments: Vec<(&'static str, UnixTime)>,
    last_error: Option<LastError>,
    keys: Vec<(String, String, String)>,
    skipped: Vec<(String, String)>,
    fetches: Vec<(String, u64)>,
}

/// A set of keys that was trusted.
#[derive(Debug)]
struct Set {
    at: UnixTime,
    from: String,
    keys: Vec<String>,
}

/// `GET /console/issuers/{name}`.
pub(super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, None).await
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let name = request.parameter("name");
    let (found, etag): (IssuerObject, _) = request.get_tagged(format!("/issuers/{}", segment(&name))).await?;
    let object = found.object.ok_or(PageError::NotFound)?;
    let frame = request.frame(Section::Issuers);
    let after = object_query(request.query())?.after;
    let (members, is_family) = match found.state {
        Some(IssuerAnswer::Entry(entry)) => (vec![*entry], false),
        Some(IssuerAnswer::Family(family)) => (family.members, true),
        None => (Vec::new(), false),
    };
    let count = members.len();
    let (entries, next) = page_of(members, after.as_deref());
    let (history, older) = history(request, &name, is_family || count == 0).await?;
    let page = IssuerPage {
        head: Head::new(&object, etag.unwrap_or_default(), frame.may_edit()),
        frame,
        path: path(&name),
        facts: object.spec.iter().map(|(key, value)| (key.clone(), text(Some(value)))).collect(),
        entries: entries.iter().map(Entry::new).collect(),
        is_family,
        members: count,
        pager: Pager::new(&path(&name), "", after.is_none(), next.as_deref()),
        history,
        older,
        problem,
    };
    request.page_with(status, &page)
}

/// The members of a family after the issuer `after`, in the order of their issuers, and the last of them
/// where more follow.
fn page_of(mut members: Vec<IssuerEntry>, after: Option<&str>) -> (Vec<IssuerEntry>, Option<String>) {
    members.retain(|member| after.is_none_or(|after| member.issuer.as_str() > after));
    members.sort_by(|one, other| one.issuer.as_str().cmp(other.issuer.as_str()));
    let has_more = members.len() > MEMBERS;
    members.truncate(MEMBERS);
    let next = members.last().filter(|_| has_more).map(|last| last.issuer.to_string());
    (members, next)
}

/// The newest sets, and how many are older. A family has none: its members do.
async fn history(request: &PageRequest, name: &str, is_none: bool) -> Result<(Vec<Set>, usize), ApiError> {
    if is_none {
        return Ok((Vec::new(), 0));
    }
    let answer: HistoryAnswer = request.get(format!("/issuers/{}/history", segment(name))).await?;
    let events = match answer {
        HistoryAnswer::Whole(history) => history.events,
        HistoryAnswer::At(at) => at.event.into_iter().collect(),
    };
    let older = events.len().saturating_sub(SHOWN);
    Ok((events.iter().rev().take(SHOWN).map(Set::new).collect(), older))
}

impl Set {
    fn new(event: &KeySetSeen) -> Self {
        let key = |key: &sts_api::KeySeen| {
            let kid = key.kid.as_ref().map_or("without a kid", sts_types::Kid::as_str);
            format!("{kid} ({})", key.algorithm)
        };
        Self { at: event.at, from: event.source.in_words(), keys: event.keys.iter().map(key).collect() }
    }
}

impl Entry {
    fn new(entry: &IssuerEntry) -> Self {
        let moments = [
            ("Fetched", entry.fetched_at),
            ("Fresh until", entry.fresh_until),
            ("Usable until", entry.stale_until),
            ("Next refresh", entry.next_refresh_at),
        ];
        let kid = |kid: &Option<sts_types::Kid>| kid.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            issuer: entry.issuer.to_string(),
            state: state(entry),
            source: entry.source.name(),
            moments: moments.into_iter().filter_map(|(name, moment)| Some((name, moment?))).collect(),
            last_error: entry.last_error.clone(),
            keys: entry.keys.iter().map(|key| (kid(&key.kid), key.algorithm.clone(), key.thumbprint.clone())).collect(),
            skipped: entry.skipped.iter().map(|key| (kid(&key.kid), key.message.clone())).collect(),
            fetches: fetches(&entry.fetches),
        }
    }
}

fn fetches(counts: &FetchCounts) -> Vec<(String, u64)> {
    let done =
        [("brought other keys".to_owned(), counts.replaced), ("brought the same keys".to_owned(), counts.unchanged)];
    let failed = counts.failed.iter().map(|(kind, count)| (format!("failed: {kind}"), *count));
    done.into_iter().chain(failed).filter(|(_, count)| *count > 0).collect()
}

/// `POST /console/issuers/{name}/refresh`.
pub(super) async fn refresh(request: PageRequest) -> Result<HttpResponse, PageError> {
    let name = request.parameter("name");
    let target = format!("/issuers/{}/refresh", segment(&name));
    let refresh = ApiRequest { body: json!({}), ..ApiRequest::new(Method::Post, target) };
    match request.send::<RefreshAnswer>(refresh).await {
        Ok(RefreshAnswer::Issuer(refreshed)) => Ok(request.done(&path(&name), &in_words(&refreshed))),
        Ok(RefreshAnswer::Family(family)) => {
            Ok(request.done(&path(&name), &format!("Refreshed {} members.", family.members.len())))
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The keys were not refreshed.", &error.told, &[]);
            page(&request, status, Some(problem)).await
        }
    }
}

fn in_words(refreshed: &Refreshed) -> String {
    let change = if refreshed.changed { "The keys are others than before" } else { "The keys are the same as before" };
    let skipped = match refreshed.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} not used"),
    };
    format!("{change}: {} usable{skipped}.", refreshed.keys)
}
