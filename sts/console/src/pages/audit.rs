//! The audit trail: who did what.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};
use sts_types::UnixTime;

use super::filters::Filters;
use super::frame::{Frame, Section};
use super::page_route::get;
use super::pieces::{Badge, Pager, Tone, segment, text};
use crate::PageError;
use crate::page_request::PageRequest;

/// Types of events that the filter offers.
const TYPES: &[&str] = &[
    "decision",
    "revocation",
    "object_changed",
    "api_key_created",
    "api_key_revoked",
    "api_key_expiring",
    "signing_keys_rotated",
    "signing_keys_withdrawn",
    "issuer_keys_changed",
    "configuration_loaded",
    "configuration_refused",
    "console_signed_in",
    "console_signed_out",
    "console_refused",
    "directory_changed",
    "request_refused",
    "store_accepted",
    "server_started",
    "server_stopped",
];

/// Members of an event that have a column, and those that say nothing to a person.
const SHOWN: &[&str] =
    &["time", "event", "actor", "actor_kind", "object", "outcome", "level", "version", "seq", "prev", "hash"];

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/audit").route(get(show)));
}

/// The names of filters.
const FILTERS: [&str; 5] = ["type", "actor", "object", "since", "until"];

/// Events, as the admin API lists them.
#[derive(Deserialize)]
struct Events {
    items: Vec<Map<String, Value>>,
    next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    types: &'static [&'static str],
    /// The values of the filters, in the order of their names.
    filters: [String; 5],
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
}

impl Audit {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// An event in one line.
#[derive(Debug)]
struct Row {
    time: Option<UnixTime>,
    kind: String,
    outcome: Badge,
    actor: String,
    object: String,
    path: Option<String>,
    /// The other members.
    members: Vec<(String, String)>,
}

/// `GET /console/audit`.
async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let mut sent = Filters::read(request.query());
    let after = sent.take("after");
    let own = sent.to_query();
    let filters = FILTERS.map(|name| sent.take(name).unwrap_or_default());
    if !sent.to_query().is_empty() {
        return Err(PageError::Query(format!("audit events are filtered by {}, each once", FILTERS.join(", "))));
    }
    let place = after.as_deref().map(|after| [("after".to_owned(), after.to_owned())]);
    let place = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(place.into_iter().flatten()).finish();
    let query = [own.as_str(), &place].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
    let found: Events = request.get(format!("/audit?{query}")).await?;
    let page = Audit {
        frame: request.frame(Section::Audit),
        types: TYPES,
        is_filtered: !own.is_empty(),
        filters,
        rows: found.items.iter().map(Row::new).collect(),
        pager: Pager::new(Section::Audit.path(), &own, after.is_none(), found.next.as_deref()),
    };
    request.page(&page)
}

impl Row {
    fn new(event: &Map<String, Value>) -> Self {
        let member = |name: &str| text(event.get(name));
        let (tone, word) = match member("outcome").as_str() {
            "refused" => (Tone::Bad, "Refused"),
            "granted" => (Tone::Good, "Granted"),
            "unavailable" => (Tone::Warning, "Unavailable"),
            "abandoned" => (Tone::Neutral, "Abandoned"),
            _ => (Tone::Good, "Done"),
        };
        let actor = match (member("actor_kind"), member("actor")) {
            (kind, name) if name.is_empty() => kind.replace('_', " "),
            (kind, name) => format!("{} {name}", kind.replace('_', " ")),
        };
        let is_refusal = member("event") == "decision" && member("outcome") == "refused";
        // A decision is about the account, or what it was refused for.
        let object = [member("object"), member("account"), member("subject")];
        let object = object.into_iter().find(|object| !object.is_empty()).unwrap_or_default();
        let path = match is_refusal {
            true => Some(format!("{}/{}", Section::Denials.path(), segment(&member("request_id")))),
            false => object_path(&member("object")),
        };
        let others = event.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str()));
        Self {
            time: UnixTime::from_rfc3339(&member("time")),
            kind: member("event").replace('_', " "),
            outcome: Badge { tone, word },
            actor: actor.trim().to_owned(),
            object,
            path,
            members: others.map(|(name, value)| (name.clone(), text(Some(value)))).collect(),
        }
    }
}

/// The page of `kind/name`, if there is one.
fn object_path(object: &str) -> Option<String> {
    let (kind, name) = object.split_once('/')?;
    let section = match kind {
        "service-accounts" => Section::ServiceAccounts,
        "teams" => Section::Teams,
        "apis" => Section::Apis,
        "issuers" => Section::Issuers,
        "tokens" => Section::Tokens,
        _ => return None,
    };
    Some(format!("{}/{}", section.path(), segment(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Method;
    use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

    fn api() -> FakeApi {
        let text = hostile();
        let changed = json!({
            "level": "INFO", "version": 1, "time": "2026-11-29T10:00:00.000Z", "event": "object_changed", "outcome": "done",
            "request_id": REQUEST_ID, "actor_kind": "console_user", "actor": text, "source": "127.0.0.1",
            "object": "teams/a b", "change": "changed", "before": { (text.clone()): text }, "after": { "x": text },
        });
        let refused = json!({ "time": "x", "event": "decision", "outcome": "refused", "request_id": REQUEST_ID, "subject": text });
        FakeApi::default().on(Method::Get, "/audit", 200, json!({ "items": [changed, refused], "next": "7" }))
    }

    #[actix_web::test]
    async fn the_trail_escapes_what_strangers_wrote_and_leads_to_what_it_is_about() {
        let page = Browser::reader(api()).await.get("/console/audit").await;
        assert_eq!(page.status, 200, "{}", page.body);
        page.assert_sound();
        for part in [
            "href=\"/console/teams/a%20b\"",
            &format!("href=\"/console/denials/{REQUEST_ID}\""),
            "object changed",
            "console user ",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
    }

    #[actix_web::test]
    async fn the_filters_stay_in_the_links() {
        let browser = Browser::reader(api()).await;
        let page = browser
            .get("/console/audit?type=object_changed&actor=admin_token&object=&since=2026-11-29T10:00:00Z")
            .await
            .body;
        let next = "href=\"/console/audit?type=object_changed&#38;actor=admin_token&#38;since=2026-11-29T10%3A00%3A00Z&#38;after=7\"";
        assert!(page.contains(next) && page.contains("<option value=\"object_changed\" selected>"), "{page}");
        assert!(page.contains("value=\"2026-11-29T10:00:00Z\""), "{page}");
        assert_eq!(browser.get("/console/audit?colour=red").await.status, 400);
        let empty = FakeApi::default().on(Method::Get, "/audit", 200, json!({ "items": [], "next": null }));
        assert!(Browser::reader(empty).await.get("/console/audit?actor=x").await.body.contains("Show all"));
    }
}
