//! Every page with hostile text in every place that a token, a caller or a directory fills.

use askama::Template;
use serde_json::{Value, json};
use sts_api::{ErrorAnswer, ObjectQuery};

use super::*;

/// Markup, an attribute's end, a change of direction, an emoji, and length.
fn hostile() -> String {
    format!("\"><script>alert(1)</script><img src=x onerror='y'>\u{202e}\u{1f600}{}", "a".repeat(1000))
}

fn frame(section: Section, may_write: bool) -> Frame {
    Frame { section, user: hostile(), csrf: "csrf-of-session".to_owned(), may_write, notice: Some(hostile()) }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn account(source: Value) -> Value {
    let text = hostile();
    let mut object = json!({
        "kind": "service-accounts", "name": text,
        "spec": { "display_name": text, "description": text, "teams": [text], "grants": { (text.clone()): [text] },
            "identities": [{ "name": text, "issuer": text, "subject": text, "claims": { (text.clone()): text } }] },
    });
    object.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    object
}

fn managed() -> Value {
    account(json!({ "source": "managed", "revision": 7, "updated_by": hostile() }))
}

fn api_key() -> Value {
    json!({
        "id": "0123456789aB", "account": hostile(), "name": hostile(), "allow_from": [], "state": "active",
        "created_at": 1, "created_by": hostile(), "expires_at": 1_800_000_000, "last_used_at": 2, "last_used_from": hostile(),
    })
}

fn problem() -> ProblemView {
    let text = hostile();
    let problem: ErrorAnswer = read(json!({
        "detail": text, "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH",
        "findings": [{ "severity": "unsafe", "pointer": "/spec/teams/0", "message": text, "help": text, "witness": text }],
    }));
    ProblemView::new("The service account was not created.", &problem, &AccountForm::FIELDS)
}

fn account_page(object: Value, may_write: bool) -> String {
    let keys = read(json!({ "items": [api_key()], "next": null }));
    let frame = frame(Section::ServiceAccounts, may_write);
    ServiceAccount::new(frame, &read(object), &keys, Some(problem())).render().unwrap()
}

fn new_account() -> String {
    let text = hostile();
    let form =
        AccountForm { username: text.clone(), display_name: text.clone(), description: text.clone(), teams: text };
    NewServiceAccount::new(frame(Section::ServiceAccounts, true), form, Some(problem())).render().unwrap()
}

fn pages() -> Vec<String> {
    let text = hostile();
    let list = read(json!({ "items": [managed()], "next": text }));
    let query = ObjectQuery { q: Some(text.clone()), team: Some(text.clone()), ..ObjectQuery::default() };
    let mut created = api_key();
    created["key"] = json!("sts_secret");
    let groups = read(json!({
        "items": [{ "count": 3, "first": 1, "last": 2, "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH", "summary": text, "reason": text }],
        "next": null, "left_out": 2,
    }));
    let denial = read(json!({
        "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH", "time": 1, "summary": text, "reason": text, "cause": text, "told": text,
        "generation": "g", "fix": text, "subject": text, "account": text, "issuer_entry": text, "nearest_identity": text,
        "scope": text, "asked": [text], "text": text,
        "failing_condition": { "on": text, "expected": format!("<b>{text}"), "actual": text },
    }));
    let keys =
        read(json!({ "keys": [{ "kid": "k1", "algorithm": "ES256", "phase": "signing", "created": 1, "signs_from": 2,
        "signs_until": null, "published_until": 4 }] }));
    vec![
        ServiceAccounts::new(frame(Section::ServiceAccounts, true), query, &list).render().unwrap(),
        new_account(),
        account_page(managed(), true),
        ApiKeyIssued::new(frame(Section::ServiceAccounts, true), read(created)).render().unwrap(),
        Denials::new(frame(Section::Denials, true), groups).render().unwrap(),
        DenialView::new(frame(Section::Denials, true), denial).render().unwrap(),
        SigningKeysPage::new(frame(Section::SigningKeys, true), &keys).render().unwrap(),
    ]
}

#[test]
fn every_page_escapes_what_strangers_wrote() {
    for page in pages() {
        assert!(page.contains("&#34;&#62;&#60;script&#62;"), "nothing hostile is on: {page}");
        for markup in ["<script>", "<img", "<b>", "\"&#62;"] {
            assert!(!page.contains(markup), "{markup} is on: {page}");
        }
    }
}

#[test]
fn every_page_has_one_main_heading_and_nothing_inline() {
    for page in pages() {
        assert_eq!(page.matches("<h1").count(), 1, "{page}");
        assert_eq!(page.matches("<script").count(), 1, "only the script of the layout: {page}");
        for inline in ["<style", " style=", "javascript:", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline} is on: {page}");
        }
    }
}

#[test]
fn every_form_that_changes_something_has_the_token_of_the_session() {
    for page in pages() {
        let forms: Vec<&str> = page.split("<form").skip(1).filter(|form| form.contains("method=\"post\"")).collect();
        assert!(!forms.is_empty());
        for form in forms {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("name=\"csrf\" value=\"csrf-of-session\""), "{form}");
        }
    }
}

#[test]
fn a_finding_stands_at_its_field_and_in_the_summary() {
    let page = new_account();
    assert!(page.contains("<a href=\"#teams\">"));
    let teams = page.split("<input id=\"teams\"").nth(1).unwrap();
    assert!(teams.split('>').next().unwrap().contains("aria-invalid"));
    assert!(page.contains("Request <code>01J8Z3QK5V6W7X8Y9ZABCDEFGH</code>"));
}

#[test]
fn an_account_of_a_file_shows_its_place_and_cannot_be_changed() {
    let file = account_page(account(json!({ "source": "file", "file": "accounts/octo.yaml:12" })), true);
    assert!(file.contains("file accounts/octo.yaml:12"));
    assert!(!file.contains("Disable service account"));
    assert!(account_page(managed(), true).contains("Disable service account"));
}

#[test]
fn a_reader_gets_no_form_of_a_change() {
    let page = account_page(managed(), false);
    assert!(!page.contains("Disable service account") && !page.contains("Revoke"));
}

#[test]
fn a_list_says_what_would_be_there_and_what_filter_hides_it() {
    let empty = read(json!({ "items": [], "next": null }));
    let list = |query| ServiceAccounts::new(frame(Section::ServiceAccounts, true), query, &empty).render().unwrap();
    assert!(list(ObjectQuery::default()).contains("Create the first one"));
    assert!(list(ObjectQuery { q: Some("x".to_owned()), ..ObjectQuery::default() }).contains("Show all"));
}

#[test]
fn a_next_page_keeps_the_filter() {
    let list = read(json!({ "items": [managed()], "next": "a&b" }));
    let query = ObjectQuery { team: Some("deployers".to_owned()), ..ObjectQuery::default() };
    let page = ServiceAccounts::new(frame(Section::ServiceAccounts, true), query, &list).render().unwrap();
    let href = page
        .split("<a href=\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|href| href.contains("after="))
        .unwrap();
    assert!(href.contains("team=deployers") && href.contains("after=a%26b"), "{href}");
}

#[test]
fn a_form_makes_the_object_that_the_api_takes() {
    let form = AccountForm { username: " octo ".to_owned(), teams: "a, b,".to_owned(), ..AccountForm::default() };
    let object = form.object();
    assert_eq!((object.name.as_str(), Value::from(object.spec)), ("octo", json!({ "teams": ["a", "b"] })));
}
