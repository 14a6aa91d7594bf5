use serde_json::{Value, json};

use crate::Method;
use crate::testing::{Browser, FakeApi, hostile};

fn entry(name: &str, state: &str, error: Option<String>) -> Value {
    json!({ "name": name, "status": {
        "name": name, "issuer": "https://issuer.example", "source": "discovery", "ready": true, "state": state, "usable": 1,
        "set_hash": "h", "keys": [], "skipped": [], "fetched_at": 1, "age": 2, "fresh_until": 3, "stale_until": 4,
        "next_refresh_at": 5, "last_fetch": null, "last_error": error.map(|message| json!({ "at": 1, "message": message })),
        "fetches": { "replaced": 1, "unchanged": 0, "failed": {} }, "kids_reused": 0,
    } })
}

fn health() -> Value {
    json!({
        "ready": true, "store": "ok", "store_warnings": [], "signing": "ok", "audit": "ok", "managed_objects": "ok",
        "configuration": "ok", "set_aside": [], "sinks": [], "generation": "g", "issuers": [entry("github", "fresh", None)],
        "families": [],
    })
}

fn api(health: Value, keys: Value, refused: Value) -> FakeApi {
    let activity = |period: &str, count: usize, seconds: usize| {
        let interval = |index: usize| json!({ "start": 1_790_000_000 - (count - index) * seconds, "granted": 0, "abandoned": 0, "refused": {} });
        let mut intervals: Vec<Value> = (0..count).map(interval).collect();
        intervals[count - 1]["granted"] = json!(7);
        intervals[count - 1]["refused"] = refused.clone();
        json!({ "period": period, "counted_since": 1, "interval": seconds, "intervals": intervals })
    };
    FakeApi::default()
        .on(Method::Get, "/health", 200, health)
        .on(Method::Get, "/activity?period=hour", 200, activity("hour", 60, 60))
        .on(Method::Get, "/activity?period=day", 200, activity("day", 24, 3600))
        .on(Method::Get, "/activity?period=week", 200, activity("week", 168, 3600))
        .on(Method::Get, "/api-keys", 200, json!({ "items": keys, "next": null }))
}

#[actix_web::test]
async fn the_overview_escapes_what_strangers_wrote_and_names_every_concern() {
    let text = hostile();
    let mut health = health();
    health.as_object_mut().unwrap().extend(
        json!({
            "ready": false, "store": text, "signing": text, "audit": text, "managed_objects": text, "configuration": text,
            "store_warnings": [{ "name": "x", "text": text }], "set_aside": [{ "object": "teams/a b", "why": text }],
            "directories": [{ "name": "corp", "status": text }, { "name": "lab", "age_seconds": 4, "status": "ok" }],
            "sinks": [{ "name": "stdout", "ok": false, "lost": 3, "waiting_bytes": 1, "error": text }],
            "issuers": [entry("github", "expired", Some(text.clone())), entry("lab", "absent", None)],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let key = |name: &str, expires_at: u64| {
        json!({ "id": "0123456789aB", "account": text, "name": name, "allow_from": [], "state": "active", "created_at": 1,
            "created_by": text, "expires_at": expires_at })
    };
    let keys = json!([key("soon", 1_790_000_000 + 3 * 86_400 + 60), key("later", 1_790_000_000 + 40 * 86_400)]);
    let page = Browser::admin(api(health, keys, json!({ (text.clone()): 3 }))).await.get("/console").await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.assert_sound();
    for part in [
        "The server is not ready",
        "expires in 3 days",
        "href=\"/console/teams/a%20b\"",
        "href=\"/console/issuers/github\"",
        "Keys expired",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("The API key later"));
    let concerns = page.body.split("id=\"attention\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(concerns.matches("<li>").count(), 1 + 5 + 1 + 1 + 1 + 1 + 1 + 1, "{concerns}");
}

#[actix_web::test]
async fn what_is_wrong_with_a_sink_is_told_once() {
    let sink = |name: &str, lost: u64, error: &str| json!({ "name": name, "ok": false, "lost": lost, "waiting_bytes": 1, "error": error });
    let mut health = health();
    health["audit"] = json!("file takes no events: the disk is full; syslog takes no events: it is away");
    health["sinks"] =
        json!([sink("file", 0, "the disk is full"), sink("syslog", 3, "it is away"), sink("stderr", 0, "closed")]);
    let page = Browser::admin(api(health, json!([]), json!({}))).await.get("/console").await.body;
    let (concerns, rest) = page.split_once("id=\"exchanges\"").unwrap();
    let parts = rest.split_once("id=\"health\"").unwrap().1;
    for (fault, count) in [("the disk is full", 1), ("it is away", 1), ("closed", 1)] {
        assert_eq!((concerns.matches(fault).count(), parts.matches(fault).count()), (count, count), "{fault}: {page}");
    }
    assert!(
        concerns.contains("The sink syslog lost or delayed 3 lines.") && !concerns.contains("The sink file"),
        "{page}"
    );
}

#[actix_web::test]
async fn each_chart_says_what_it_shows_and_has_its_figures() {
    let page =
        Browser::reader(api(health(), json!([]), json!({ "token_expired": 3 }))).await.get("/console").await.body;
    for (id, title) in [("hour", "Last hour"), ("day", "Last day"), ("week", "Last week")] {
        let label = format!("role=\"img\" aria-label=\"{title}: 7 granted, 3 token_expired.\"");
        assert!(page.contains(&label), "{label}: {page}");
        assert!(
            page.contains(&format!("fill=\"url(#{id}-first)\"")) && page.contains(&format!("id=\"{id}-first\"")),
            "a pattern"
        );
    }
    assert_eq!(page.matches("<summary>Show figures</summary>").count(), 3);
    assert!(page.contains("Nothing wants attention"), "{page}");
}

#[actix_web::test]
async fn where_there_are_more_api_keys_than_were_looked_at_the_overview_says_so() {
    let more = json!({ "items": [], "next": "0123456789aB" });
    let api = api(health(), json!([]), json!({})).instead_of(Method::Get, "/api-keys", 200, more);
    let page = Browser::admin(api).await.get("/console").await.body;
    assert!(page.contains("Only the first 0 API keys were looked at"), "{page}");
}
