//! The keys that sign tokens: their phases, a rotation, a withdrawal.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use askama::Template;
use serde_json::json;
use sts_api::{KeyPhase, SigningKey, SigningKeys, WithdrawKeyRequest, WithdrawnKey};
use sts_types::UnixTime;

use super::form_fields::Field;
use super::frame::{Frame, Section};
use super::page_route::{get, post};
use super::pieces::{Badge, ProblemView, Tone, segment};
use super::tokens::counted;
use crate::page_request::PageRequest;
use crate::{ApiRequest, Method, PageError};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/signing-keys").route(get(show)))
        .service(web::resource("/signing-keys/rotate").route(post(rotate)))
        .service(web::resource("/signing-keys/{kid}/withdraw").route(get(show_withdrawal)).route(post(withdraw)));
}

#[derive(Debug, Template)]
#[template(path = "signing_keys.html")]
struct SigningKeysPage {
    frame: Frame,
    keys: Vec<Row>,
    problem: Option<ProblemView>,
}

impl SigningKeysPage {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// A key in one line.
#[derive(Debug)]
struct Row {
    kid: String,
    withdraw_path: String,
    algorithm: String,
    phase: Badge,
    /// Created, signs from, signs until, published until.
    moments: [Option<UnixTime>; 4],
}

impl Row {
    fn new(key: &SigningKey) -> Self {
        let (tone, word) = match key.phase {
            KeyPhase::Next => (Tone::Neutral, "Next"),
            KeyPhase::Signing => (Tone::Good, "Signing"),
            KeyPhase::Retiring => (Tone::Warning, "Retiring"),
        };
        let kid = key.kid.to_string();
        Self {
            withdraw_path: format!("{}/{}/withdraw", Section::SigningKeys.path(), segment(&kid)),
            kid,
            algorithm: key.algorithm.clone(),
            phase: Badge { tone, word },
            moments: [Some(key.created), Some(key.signs_from), key.signs_until, key.published_until],
        }
    }
}

/// `GET /console/signing-keys`.
async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    page(&request, StatusCode::OK, None).await
}

async fn page(
    request: &PageRequest,
    status: StatusCode,
    problem: Option<ProblemView>,
) -> Result<HttpResponse, PageError> {
    let keys: SigningKeys = request.get("/keys").await?;
    let keys = keys.keys.iter().map(Row::new).collect();
    request.page_with(status, &SigningKeysPage { frame: request.frame(Section::SigningKeys), keys, problem })
}

/// `POST /console/signing-keys/rotate`.
async fn rotate(request: PageRequest) -> Result<HttpResponse, PageError> {
    let rotation = ApiRequest { body: json!({}), ..ApiRequest::new(Method::Post, "/keys/rotate") };
    match request.send::<SigningKeys>(rotation).await {
        Ok(keys) => {
            let made = keys.made.unwrap_or_default();
            let notice = match made.len() {
                0 => "Nothing was made: the successors wait already.".to_owned(),
                1 => "Made a key. It is published now and signs later.".to_owned(),
                count => format!("Made {count} keys. They are published now and sign later."),
            };
            Ok(request.done(Section::SigningKeys.path(), &notice))
        }
        Err(error) => {
            let problem = ProblemView::new("The keys were not rotated.", &error.told, &[]);
            page(&request, StatusCode::from_u16(error.status).unwrap_or_default(), Some(problem)).await
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "withdraw_key.html")]
struct Withdrawal {
    frame: Frame,
    kid: String,
    /// What ends with the key; `None` where it cannot be withdrawn.
    ends: Option<String>,
    problem: Option<ProblemView>,
    reason: Field,
    typed: Field,
}

impl Withdrawal {
    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Withdraw a signing key"
    }
}

/// `GET /console/signing-keys/{kid}/withdraw`.
async fn show_withdrawal(request: PageRequest) -> Result<HttpResponse, PageError> {
    withdrawal(&request, StatusCode::OK, None, "", None).await
}

async fn withdrawal(
    request: &PageRequest,
    status: StatusCode,
    refused: Option<ProblemView>,
    reason: &str,
    fault: Option<String>,
) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let kid = request.parameter("kid");
    let target = format!("/keys/{}/withdraw?dry_run=true", segment(&kid));
    let tried = ApiRequest { body: json!({}), ..ApiRequest::new(Method::Post, target) };
    let (ends, impossible) = match request.send::<WithdrawnKey>(tried).await {
        Ok(answer) => (Some(counted(answer.coverage)), None),
        Err(error) if error.status == 404 => return Err(error.into()),
        Err(error) => (None, Some(ProblemView::new("It cannot be withdrawn now.", &error.told, &[]))),
    };
    let page = Withdrawal {
        frame: request.frame(Section::SigningKeys),
        ends,
        problem: refused.or(impossible),
        reason: Field::line("reason", "Reason", reason, "Why. It is kept with the revocation.").optional(),
        typed: Field::line("kid", "Key id", "", format!("Type {kid} to confirm.")).with_error(fault),
        kid,
    };
    request.page_with(status, &page)
}

/// `POST /console/signing-keys/{kid}/withdraw`.
async fn withdraw(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, kid) = (request.form()?, request.parameter("kid"));
    let reason = form.trimmed("reason");
    if form.trimmed("kid") != kid {
        let fault = format!("Nothing was withdrawn: the key id is {kid}.");
        return withdrawal(&request, StatusCode::UNPROCESSABLE_ENTITY, None, reason, Some(fault)).await;
    }
    let body = WithdrawKeyRequest { reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()) };
    let target = format!("/keys/{}/withdraw", segment(&kid));
    match request.send::<WithdrawnKey>(ApiRequest::new(Method::Post, target).with_body(&body)?).await {
        Ok(answer) => {
            let mut notice = format!("Withdrew the key {kid}. It ended {}.", counted(answer.coverage));
            if !answer.recorded {
                notice.push_str(" The store did not answer: other servers take its tokens for up to a minute.");
            }
            if answer.not_destroyed.is_some() {
                notice.push_str(" It may still be on its device: destroy the key with this label there.");
            }
            Ok(request.done(Section::SigningKeys.path(), &notice))
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = ProblemView::new("The withdrawal failed, at least in part.", &error.told, &[]);
            withdrawal(&request, status, Some(problem), reason, None).await
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Method;
    use crate::testing::{Browser, FakeApi, REQUEST_ID};

    const PAGE: &str = "/console/signing-keys";

    fn key(phase: &str) -> Value {
        json!({ "kid": "k/1", "algorithm": "ES256", "phase": phase, "created": 1, "signs_from": 2, "signs_until": null,
            "published_until": 4 })
    }

    fn api() -> FakeApi {
        let withdrawn = json!({ "withdrawn": "k/1", "keys": [], "made": ["k2"], "covered": 14, "at_least": false, "recorded": true,
            "dry_run": true });
        FakeApi::default()
            .on(Method::Get, "/keys", 200, json!({ "keys": [key("next"), key("signing"), key("retiring")] }))
            .on(Method::Post, "/keys/k%2F1/withdraw", 200, withdrawn)
    }

    #[actix_web::test]
    async fn the_keys_are_shown_with_their_phases_and_a_reader_gets_no_form() {
        let page = Browser::admin(api()).await.get(PAGE).await;
        page.assert_sound();
        for word in ["Next", "Signing", "Retiring", "not yet known", "Rotate keys", "Withdraw"] {
            assert!(page.body.contains(word), "{word}: {}", page.body);
        }
        let page = Browser::reader(api()).await.get(PAGE).await.body;
        assert!(!page.contains("Rotate keys") && !page.contains("/withdraw"));
        assert_eq!(Browser::reader(api()).await.get(&format!("{PAGE}/k%2F1/withdraw")).await.status, 403);
    }

    #[actix_web::test]
    async fn a_rotation_says_what_it_made() {
        for (made, part) in
            [(json!([]), "successors+wait"), (json!(["k2"]), "Made+a+key"), (json!(["k2", "k3"]), "2+keys")]
        {
            let browser =
                Browser::admin(api().on(Method::Post, "/keys/rotate", 200, json!({ "keys": [], "made": made }))).await;
            let answer = browser.post(&format!("{PAGE}/rotate"), &[]).await;
            assert_eq!((answer.status, answer.location.as_str()), (303, PAGE));
            assert!(answer.notice.contains(part), "{}", answer.notice);
        }
        let refused = json!({ "detail": "the disk is full", "request_id": REQUEST_ID, "findings": [] });
        let page = Browser::admin(api().on(Method::Post, "/keys/rotate", 500, refused))
            .await
            .post(&format!("{PAGE}/rotate"), &[])
            .await;
        assert_eq!(page.status, 500);
        assert!(page.body.contains("the disk is full") && page.body.contains(REQUEST_ID));
    }

    #[actix_web::test]
    async fn a_key_is_withdrawn_once_its_id_is_typed() {
        let browser = Browser::admin(api()).await;
        let path = format!("{PAGE}/k%2F1/withdraw");
        let page = browser.get(&path).await;
        page.assert_sound();
        assert!(page.body.contains("<strong>14 live tokens</strong>"), "{}", page.body);
        let wrong = browser.post(&path, &[("kid", "k"), ("reason", "stolen")]).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.body.contains("Nothing was withdrawn") && wrong.body.contains("value=\"stolen\""));
        assert!(browser.changes().iter().all(|sent| sent.target.ends_with("?dry_run=true")), "nothing was done yet");
        let answer = browser.post(&path, &[("kid", "k/1"), ("reason", "stolen")]).await;
        assert_eq!((answer.status, answer.location.as_str()), (303, PAGE), "{}", answer.body);
        let sent = browser.changes().pop().unwrap();
        assert_eq!((sent.target.as_str(), sent.body), ("/keys/k%2F1/withdraw", json!({ "reason": "stolen" })));
        assert!(!answer.notice.contains("device"), "{}", answer.notice);
        let left = json!({ "withdrawn": "k/1", "keys": [], "made": [], "covered": 14, "at_least": false, "recorded": true,
            "not_destroyed": "it is gone", "dry_run": false });
        let browser = Browser::admin(FakeApi::default().on(Method::Post, "/keys/k%2F1/withdraw", 200, left)).await;
        let answer = browser.post(&path, &[("kid", "k/1")]).await;
        assert!(answer.notice.contains("still+be+on+its+device"), "{}", answer.notice);
    }
}
