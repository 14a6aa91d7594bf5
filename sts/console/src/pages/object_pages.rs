//! The list and the page of objects whose documents are short: teams and APIs.

use actix_web::HttpResponse;
use askama::Template;
use sts_api::{Object, ObjectPage, ObjectQuery};
use sts_types::ObjectKind;

use super::editing::Editable;
use super::form_fields::{Shape, Values};
use super::frame::Frame;
use super::object::{Head, Source, load, page_path, section};
use super::pieces::{Badge, Pager, object_query, texts};
use crate::page_request::PageRequest;
use crate::{ApiError, PageError};

/// Accounts of a team that its page shows.
const SHOWN: usize = 100;

/// A kind of object with a list.
pub(super) trait Listed: Editable {
    /// What the list is, in one line.
    const SUMMARY: &'static str;
    /// What an object is for. Said where there is none.
    const EMPTY: &'static str;
}

#[derive(Debug, Template)]
#[template(path = "objects.html")]
struct Objects {
    frame: Frame,
    summary: &'static str,
    empty: &'static str,
    noun: &'static str,
    new_path: String,
    query: ObjectQuery,
    source: String,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    pager: Pager,
    is_filtered: bool,
}

impl Objects {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

#[derive(Debug)]
struct Row {
    name: String,
    path: String,
    cells: Vec<String>,
    state: Badge,
    source: Source,
}

impl Row {
    fn new<K: Listed>(object: &Object) -> Self {
        let values = Values::of_document(K::MEMBERS, &object.spec);
        Self {
            name: object.name.clone(),
            path: page_path(K::KIND, &object.name),
            cells: K::MEMBERS.iter().map(|member| values.get(member.key).to_owned()).collect(),
            state: Badge::of_object(object),
            source: Source::new(object),
        }
    }
}

/// `GET` of the list.
pub(super) async fn list<K: Listed>(request: PageRequest) -> Result<HttpResponse, PageError> {
    let query = object_query(request.query())?;
    let page: ObjectPage = request.get(format!("/{}?{}", K::KIND.name(), query.to_query())).await?;
    let filters = ObjectQuery { after: None, ..query.clone() };
    let path = section(K::KIND).path();
    let page = Objects {
        frame: request.frame(section(K::KIND)),
        summary: K::SUMMARY,
        empty: K::EMPTY,
        noun: K::KIND.noun(),
        new_path: new_path(K::KIND),
        columns: K::MEMBERS.iter().map(|member| member.label).collect(),
        rows: page.items.iter().map(Row::new::<K>).collect(),
        pager: Pager::new(path, &filters.to_query(), query.after.is_none(), page.next.as_deref()),
        is_filtered: filters != ObjectQuery { limit: query.limit, ..ObjectQuery::default() },
        source: query.source.map(|source| source.to_string()).unwrap_or_default(),
        query,
    };
    request.page(&page)
}

/// The path of the form for a new object.
fn new_path(kind: ObjectKind) -> String {
    format!("/console/new/{}", kind.name().trim_end_matches('s'))
}

#[derive(Debug, Template)]
#[template(path = "object.html")]
struct ObjectView {
    frame: Frame,
    head: Head,
    /// Label, value, and whether it has lines.
    facts: Vec<(&'static str, String, bool)>,
    /// The accounts that are in the team.
    members: Option<Vec<(String, String)>>,
    has_more_members: bool,
}

impl ObjectView {
    fn title(&self) -> &str {
        &self.head.name
    }
}

/// `GET` of one object.
pub(super) async fn show<K: Listed>(request: PageRequest) -> Result<HttpResponse, PageError> {
    let name = request.parameter("name");
    let (object, etag) = load(&request, K::KIND, &name).await?;
    let frame = request.frame(section(K::KIND));
    let values = Values::of_document(K::MEMBERS, &object.spec);
    let fact = |member: &super::form_fields::Member| {
        (member.label, values.get(member.key).to_owned(), member.shape == Shape::Grants)
    };
    let own = K::MEMBERS.iter().filter(|member| object.spec.contains_key(member.key)).map(fact);
    let is_shown = |key: &str| K::MEMBERS.iter().any(|member| member.key == key);
    let rest = object.spec.iter().filter(|(key, _)| !is_shown(key));
    let rest = rest.map(|(key, value)| (label(key), texts(Some(value)), false)).filter(|(label, ..)| !label.is_empty());
    let facts = own.chain(rest).collect();
    let (members, has_more_members) = match K::KIND {
        ObjectKind::Team => members(&request, &name).await?,
        _ => (None, false),
    };
    let head = Head::new(&object, etag, frame.may_edit());
    request.page(&ObjectView { frame, head, facts, members, has_more_members })
}

/// The words for a key that forms do not show.
fn label(key: &str) -> &'static str {
    match key {
        "external_groups" => "External groups",
        "introspection_secret_file" => "Introspection secret file",
        _ => "",
    }
}

/// The accounts of a team, with their pages.
async fn members(request: &PageRequest, team: &str) -> Result<(Option<Vec<(String, String)>>, bool), ApiError> {
    let query = ObjectQuery { team: Some(team.to_owned()), limit: Some(SHOWN), ..ObjectQuery::default() };
    let page: ObjectPage = request.get(format!("/service-accounts?{}", query.to_query())).await?;
    let member = |object: &Object| (object.name.clone(), page_path(ObjectKind::ServiceAccount, &object.name));
    Ok((Some(page.items.iter().map(member).collect()), page.next.is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Method;
    use crate::testing::{Browser, FakeApi, REQUEST_ID, hostile};

    fn team() -> Value {
        let text = hostile();
        json!({ "kind": "teams", "name": "deployers", "source": "managed", "revision": 3, "updated_at": 1, "updated_by": text,
            "spec": { "display_name": text, "grants": { "deploy": ["deployments:create"], (text.clone()): [text] },
                "external_groups": [{ "directory": text, "group": text }] } })
    }

    fn api() -> Value {
        let text = hostile();
        json!({ "kind": "apis", "name": "deploy", "source": "file", "file": text,
            "spec": { "audience": text, "scopes": [text, "deployments:create"], "introspection_secret_file": text } })
    }

    fn fake() -> FakeApi {
        let text = hostile();
        let account = json!({ "kind": "service-accounts", "name": text, "spec": {}, "source": "file" });
        let refused = json!({ "detail": text, "request_id": REQUEST_ID, "findings":
            [{ "severity": "error", "pointer": "/spec/audience", "message": text, "help": null }] });
        FakeApi::default()
            .on(Method::Get, "/teams", 200, json!({ "items": [team()], "next": text }))
            .on(Method::Get, "/teams/deployers", 200, team())
            .on(Method::Get, "/apis", 200, json!({ "items": [api()], "next": null }))
            .on(Method::Get, "/apis/deploy", 200, api())
            .on(Method::Get, "/service-accounts", 200, json!({ "items": [account], "next": text }))
            .on(Method::Get, "/tokens", 200, json!({ "tokens": [], "next": null }))
            .on(Method::Delete, "/teams/deployers", 422, refused.clone())
            .on(Method::Delete, "/apis/deploy", 422, refused.clone())
            .on(Method::Post, "/apis", 422, refused)
            .on(Method::Post, "/teams", 201, team())
    }

    #[actix_web::test]
    async fn every_page_of_teams_and_apis_escapes_what_strangers_wrote() {
        let browser = Browser::admin(fake()).await;
        for path in [
            "/console/teams",
            "/console/teams/deployers",
            "/console/teams/deployers/edit",
            "/console/teams/deployers/delete",
            "/console/new/team",
            "/console/apis",
            "/console/apis/deploy",
            "/console/apis/deploy/delete",
            "/console/new/api",
        ] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            page.assert_sound();
        }
    }

    #[actix_web::test]
    async fn a_team_is_made_of_lines_of_grants_and_keeps_what_the_form_does_not_show() {
        let browser = Browser::admin(fake()).await;
        let grants = "deploy: deployments:create releases:read\nbilling:";
        let answer = browser.post("/console/new/team", &[("name", "deployers"), ("grants", grants)]).await;
        assert_eq!((answer.status, answer.location.as_str()), (303, "/console/teams/deployers"), "{}", answer.body);
        let expected = json!({ "name": "deployers", "spec": { "grants":
            { "deploy": ["deployments:create", "releases:read"], "billing": [] } } });
        assert_eq!(browser.changes()[0].body, expected);
        let page = browser.get("/console/teams/deployers").await.body;
        assert!(page.contains("External groups") && page.contains("Service accounts"), "{page}");
    }

    #[actix_web::test]
    async fn a_fault_of_an_api_stands_at_its_field() {
        let browser = Browser::admin(fake()).await;
        let page = browser.post("/console/new/api", &[("name", "deploy"), ("audience", "x")]).await;
        assert_eq!(page.status, 422);
        page.assert_sound();
        assert!(page.body.contains("href=\"#audience\"") && page.body.contains("The API was not created."));
    }

    #[actix_web::test]
    async fn an_api_of_a_file_cannot_be_changed() {
        let page = Browser::admin(fake()).await.get("/console/apis/deploy").await.body;
        assert!(!page.contains("/edit\"") && !page.contains("/delete\""));
    }
}
