//! The memory of refused requests, and how their owner finds one.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use sts_testkit::{Forge, RedisServer, Request, Response, Server, Site, until};

const STRANGER: &str = "https://token.action.githubusercontent.com";

fn id(response: &Response) -> String {
    response.header("x-request-id").unwrap().to_owned()
}

/// A token for each refusal that happens before the rules and names a configured issuer.
fn refused_tokens() -> Vec<(&'static str, String)> {
    vec![
        ("token_algorithm", forge("svc:octo").header("alg", "none").sign()),
        ("token_type_refused", forge("svc:octo").header("typ", "at+jwt").sign()),
        ("key_unknown", forge("svc:octo").header("kid", "x").sign()),
        ("signature_invalid", Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign()),
        ("token_malformed", forge("svc:octo").claim("exp", "soon").sign()),
        ("token_expired", forge("svc:octo").claim("iat", 100).claim("exp", 200).sign()),
        ("token_audience", forge("svc:octo").claim("aud", "https://other.example").sign()),
        ("not_authorized", token("svc:nobody")),
    ]
}

#[test]
fn fld42_every_replica_explains_what_any_of_them_refused() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    for (reason, token) in refused_tokens() {
        let response = one.exchange(&token, &[]);
        assert_eq!(reason_of(&response), reason);
        // At once on the server that refused, and soon on the others.
        let here = one.cli(&["explain", "--denial", &id(&response)]).ended(1);
        assert!(here.first_line().starts_with(&format!("refused: {reason}: ")), "{}", here.stdout);
        until("the other replica to know it", || two.cli(&["denials", "show", &id(&response)]).code == Some(0));
        let there = two.cli(&["denials", "show", &id(&response)]).ended(0);
        assert_eq!(there.stdout, here.stdout);
        let value = two.cli(&["denials", "show", &id(&response), "--json"]).ended(0).json();
        assert_eq!((&value["reason"], &value["issuer_entry"]), (&json!(reason), &json!("plain")), "{value}");
        assert!(value["cause"].is_string() && value["presented"]["iss"] == PLAIN, "{value}");
    }
    // Neither log contains a part of a token, and Redis contains no readable token.
    for (_, token) in refused_tokens() {
        let payload = token.split('.').nth(1).unwrap();
        assert!(!one.lines().text().contains(payload));
    }
}

#[test]
fn fld42_refusals_outlive_the_server_and_strangers_are_told_apart() {
    let server = Server::start_in(STS, world_site(&world()));
    let expired = id(&server.exchange(&forge("svc:octo").claim("iat", 100).claim("exp", 200).sign(), &[]));
    let stranger = id(&server.exchange(&forge("svc:octo").claim("iss", STRANGER).sign(), &[]));
    let server = {
        let (_, site) = server.terminate();
        Server::start_in(STS, site)
    };
    let found = server.cli(&["explain", "--denial", &expired]).ended(1);
    assert!(found.first_line().contains("token_expired"), "{}", found.stdout);
    let found = server.cli(&["denials", "show", &stranger]).ended(0);
    assert!(found.stdout.contains(STRANGER) && found.stdout.contains("not verified"), "{}", found.stdout);
    let none = server.cli(&["explain", "--denial", "01JZZZZZZZZZZZZZZZZZZZZZZZ"]).ended(1);
    assert!(none.stderr.contains("grep 01JZZZZZZZZZZZZZZZZZZZZZZZ"), "{}", none.stderr);
    let none = server.cli(&["denials", "show", "svc:octo"]).ended(1);
    assert!(none.stderr.contains("not a request id"), "{}", none.stderr);
    // Without a server, from the store itself.
    let (_, site) = server.terminate();
    let found = STS.run(site.root(), &["denials", "show", &expired, "--config", "sts.yaml"]).ended(0);
    assert!(found.first_line().contains("token_expired"), "{}", found.stdout);
}

#[test]
fn fld42_denials_are_listed_filtered_and_grouped() {
    let server = Server::start_in(STS, world_site(&world()));
    let list = |query: &str| server.send_admin(Request::get(&format!("/admin/v1/denials{query}"))).json();
    assert_eq!(list(""), json!({ "items": [], "next": null }));
    for subject in ["svc:a", "svc:b", "svc:c"] {
        let _ = server.exchange(&token(subject), &[("audience", "octo")]);
    }
    let last = id(&server.exchange(&forge("svc:octo").claim("iat", 100).claim("exp", 200).sign(), &[]));
    let all = list("");
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    assert_eq!((&all["items"][0]["request_id"], &all["items"][0]["reason"]), (&json!(last), &json!("token_expired")));
    assert!(all["items"][1].get("decision").is_none(), "a list has no traces");
    let page = list("?limit=2");
    let rest = list(&format!("?after={}", page["next"].as_str().unwrap()));
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
    assert_eq!(list("?reason=token_expired")["items"].as_array().unwrap().len(), 1);
    assert_eq!(list("?account=octo&issuer=plain")["items"].as_array().unwrap().len(), 3);
    let groups = list("?group_by=reason,account,identity,condition")["items"].clone();
    assert_eq!(
        (&groups[0]["count"], &groups[0]["account"], &groups[0]["condition"]),
        (&json!(3), &json!("octo"), &json!("subject")),
        "{groups}"
    );
    assert_eq!(server.send_admin(Request::get("/admin/v1/denials?group_by=colour")).status, 400);
    let table = server.cli(&["denials", "list"]).ended(0).stdout;
    assert!(table.starts_with("TIME") && table.contains(&last) && table.contains("token_expired"), "{table}");
    let table = server.cli(&["denials", "list", "--group-by", "reason,condition"]).ended(0).stdout;
    assert!(table.contains("COUNT") && table.contains("CONDITION") && table.contains("not_authorized"), "{table}");
    assert_eq!(
        server.cli(&["denials", "list", "--json", "--limit", "1"]).ended(0).json()["items"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn fld46_the_event_has_issuer_audience_key_and_times_of_a_refused_token() {
    for (reason, token, member, value) in [
        ("issuer_unknown", forge("svc:octo").claim("iss", STRANGER).sign(), "iss", json!(STRANGER)),
        (
            "token_audience",
            forge("svc:octo").claim("aud", "https://a.example").sign(),
            "aud",
            json!(["https://a.example"]),
        ),
        ("token_expired", forge("svc:octo").claim("iat", 100).claim("exp", 200).sign(), "exp", json!(200)),
        ("key_unknown", forge("svc:octo").header("kid", "x").sign(), "kid", json!("x")),
        ("signature_invalid", Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign(), "alg", json!("ES256")),
    ] {
        let response = WORLD.exchange(&token, &[]);
        let event = WORLD.lines().decision(&id(&response));
        assert_eq!((&event["reason"], &event["presented"][member]), (&json!(reason), &value), "{event}");
        assert_eq!(event["presented"]["verified"], reason == "token_audience", "{event}");
        assert!(event["cause"].is_string(), "{event}");
        assert!(event["presented"].get("sub").is_none() && event.get("claims").is_none(), "{event}");
    }
}

#[test]
fn f6_a_caller_that_hangs_up_leaves_one_event() {
    let server = Server::start_in(STS, world_site(&world()));
    let asked = exchange_body(&token("svc:nobody"));
    let head = |length: usize| {
        format!(
            "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // Right after the request, while the refusal is held back, and in the middle of the body.
    for sent in [asked.len(), asked.len() / 2] {
        let before = decisions(&server);
        let mut stream = TcpStream::connect(server.public()).unwrap();
        stream.write_all(head(asked.len()).as_bytes()).unwrap();
        stream.write_all(&asked.as_bytes()[..sent]).unwrap();
        drop(stream);
        until("its event", || decisions(&server) == before + 1);
    }
}

fn decisions(server: &Server) -> usize {
    server.lines().all().iter().filter(|line| line.contains("\"decision\"")).count()
}

fn exchange_body(token: &str) -> String {
    sts_testkit::form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ])
}
