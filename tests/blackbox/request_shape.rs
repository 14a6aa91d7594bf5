//! The shape of the exchange request (RFC 8693 section 2.1, RFC 6749 section 3.2).

use crate::support::*;
use sts_testkit::{Request, Response, exchange_request, form, send_raw};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A literal form, which begins with the parameters of a valid request.
fn with(more: &str) -> Response {
    let honest = form(&[("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", &token("svc:octo"))]);
    raw(&format!("{honest}{more}"))
}

fn raw(body: &str) -> Response {
    send(&Request::new("POST", "/token").body("application/x-www-form-urlencoded", body))
}

#[test]
fn tx01_to_tx05_parameters_that_are_required_and_values_that_are_not_known() {
    let malformed = "request_malformed";
    for (name, value, error, reason) in [
        ("grant_type", "", "invalid_request", malformed),
        ("grant_type", "password", "unsupported_grant_type", "grant_unsupported"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:saml2-bearer", "unsupported_grant_type", "grant_unsupported"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "invalid_request", malformed),
        (
            "grant_type",
            "URN:IETF:PARAMS:OAUTH:GRANT-TYPE:TOKEN-EXCHANGE",
            "unsupported_grant_type",
            "grant_unsupported",
        ),
        ("subject_token", "", "invalid_request", malformed),
        ("subject_token_type", "", "invalid_request", malformed),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token", "invalid_request", malformed),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2", "invalid_request", malformed),
        ("subject_token_type", "jwt", "invalid_request", malformed),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token", "invalid_request", malformed),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token", "invalid_request", malformed),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:saml1", "invalid_request", malformed),
        ("actor_token", "x", "invalid_request", malformed),
        ("actor_token_type", JWT, "invalid_request", malformed),
    ] {
        let response = exchange(&token("svc:octo"), &[(name, value)]);
        refused(&response, 400, error, reason);
    }
}

#[test]
fn expires_in_is_a_whole_number_of_one_or_more() {
    for wrong in
        ["0", "-1", "+60", "1.0", "1e3", "0x10", "60s", " 60", "60 ", "٦٠", "NaN", "00000000000000000000000000000060x"]
    {
        invalid(&exchange(&token("svc:octo"), &[("expires_in", wrong)]), "request_malformed");
    }
    for empty in ["", "60"] {
        granted(&exchange(&token("svc:octo"), &[("expires_in", empty)]));
    }
}

#[test]
fn o2_02_c109_repeats_are_refused_except_of_audience_and_resource_and_unknown_ones_are_ignored() {
    for repeated in [
        format!("&grant_type={GRANT}"),
        "&subject_token=x".to_owned(),
        "&subject_token=".to_owned(),
        format!("&subject_token_type={JWT}"),
        "&scope=a&scope=a".to_owned(),
        "&client_id=octo&client_id=octo".to_owned(),
        "&expires_in=60&expires_in=60".to_owned(),
        "&requested_token_type=&requested_token_type=".to_owned(),
        "&other=1&other=2".to_owned(),
    ] {
        invalid(&with(&repeated), "request_malformed");
    }
    for fine in [
        "&audience=octo&audience=deploy",
        "&resource=https://deploy.example.com&resource=https://deploy.example.com",
        "&subject_token[]=x&subject_token[0]=y&Subject_Token=z",
        "&unknown=1&empty=&=&&",
        "&scope=&audience=&resource=&client_id=&actor_token=&actor_token_type=",
    ] {
        granted(&with(fine));
    }
}

#[test]
fn c109_o2_05_sb06_parameters_in_the_query_are_refused() {
    let body = form(&[("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", &token("svc:octo"))]);
    let post =
        |target: &str, body: &str| send(&Request::new("POST", target).body("application/x-www-form-urlencoded", body));
    for query in [
        "subject_token=x",
        "audience=octo",
        "client_id=octo",
        "client_secret=x",
        "scope=a",
        "expires_in=60",
        "access_token=x",
        "password",
        "x=1&client_assertion=x",
        "%73cope=a",
    ] {
        invalid(&post(&format!("/token?{query}"), &body), "request_malformed");
    }
    // Unknown parameters are ignored.
    granted(&post("/token?x=1&", &body));
    let all = format!("/token?{body}");
    invalid(&post(&all, ""), "request_malformed");
    let response = send(&Request::post_form("/revoke?token=x", &[("token", "x")]));
    invalid(&response, "request_malformed");
    let response = send(&Request::post_form("/introspect?token=x", &[("token", "x")]).basic("deploy", DEPLOY_SECRET));
    invalid(&response, "request_malformed");
}

#[test]
fn tx14_o2_04_o2_05_credentials_at_the_token_endpoint_are_invalid_client_and_never_ignored() {
    let honest = || exchange_request(&token("svc:octo"), &[]);
    let header = |value: &str| send(&honest().header("Authorization", value));
    let own = WORLD.token(&token("svc:octo"), &[]);
    for response in [
        send(&honest().basic("deploy", DEPLOY_SECRET)),
        send(&honest().basic("octo", "x")),
        send(&honest().basic("", "x")),
        send(&honest().basic("octo", "").basic("octo", "")),
        send(&honest().basic("octo", "").bearer(&own)),
        header("Basic b2N0bw=="),
        header("Basic !"),
        header("Basic"),
        send(&honest().bearer(&own)),
        header("Digest username=\"x\""),
        header("garbage"),
        exchange(&token("svc:octo"), &[("client_secret", "x")]),
        exchange(&token("svc:octo"), &[("client_id", "octo"), ("client_secret", "x")]),
        exchange(&token("svc:octo"), &[("client_assertion", "x")]),
        exchange(
            &token("svc:octo"),
            &[("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")],
        ),
    ] {
        refused(&response, 401, "invalid_client", "invalid_client");
        assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
        let text = response.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.contains("send no credentials") && text.contains("client_id"), "{text}");
    }
    for empty in [&[("client_secret", "")][..], &[("client_assertion", ""), ("client_assertion_type", "")]] {
        granted(&exchange(&token("svc:octo"), empty));
    }
}

#[test]
fn fld56_basic_with_an_empty_password_proves_nothing_and_names_the_account_as_client_id_does() {
    let ask = |subject: &str, name: &str, more: &[(&str, &str)]| {
        send(&exchange_request(&token(subject), more).basic(name, ""))
    };
    let account = |response: &Response| {
        let access = granted(response)["access_token"].as_str().unwrap().to_owned();
        WORLD.introspect("deploy", DEPLOY_SECRET, &access)["sub"].as_str().unwrap().to_owned()
    };
    invalid(&exchange(&token("svc:twin"), &[]), "ambiguous_account");
    for (name, more, expected) in [
        ("twin-a", &[][..], "twin-a"),
        ("twin-b", &[], "twin-b"),
        ("twin%2Da", &[], "twin-a"),
        ("twin%2da", &[], "twin-a"),
        ("twin-a", &[("client_id", "twin-a")], "twin-a"),
        ("twin-a", &[("client_id", "")], "twin-a"),
        ("twin-a", &[("audience", "twin-b")], "twin-b"),
        ("twin-a", &[("client_secret", "")], "twin-a"),
    ] {
        assert_eq!(account(&ask("svc:twin", name, more)), expected, "{name} {more:?}");
    }
    // Without name and password, and with unknown names.
    for name in ["", "nobody", "deploy", "a b", "%zz", "%ff", "%00"] {
        assert_eq!(account(&ask("svc:octo", name, &[])), OCTO_ID, "{name:?}");
        invalid(&ask("svc:twin", name, &[]), "ambiguous_account");
    }
    invalid(&ask("svc:octo", "two", &[]), "not_authorized");
    invalid(&ask("svc:twin", "twin-a", &[("client_id", "twin-b")]), "request_malformed");
    let json =
        serde_json::json!({ "grant_type": GRANT, "subject_token": token("svc:twin"), "subject_token_type": JWT });
    assert_eq!(account(&send(&Request::post_json("/token", &json).basic("twin-b", ""))), "twin-b");
}

#[test]
fn fld56_a_client_without_a_secret_revokes_its_token_and_introspects_nothing() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let ask = |path: &str| send(&Request::post_form(path, &[("token", &access)]).basic("octo", ""));
    refused(&ask("/introspect"), 401, "invalid_client", "invalid_client");
    assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    assert_eq!(ask("/revoke").status, 200);
    assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &access)["active"], false);
}

#[test]
fn fld45_a_subject_token_that_is_something_else_is_named_as_that() {
    let own = token("svc:octo");
    let base64 = data_encoding::BASE64.encode(own.as_bytes());
    for (bent, what) in [
        (String::new(), "is empty"),
        ("null".to_owned(), "the word `null`"),
        (format!("\"{own}\""), "in quotes"),
        ("$ID_TOKEN".to_owned(), "a variable that was not replaced"),
        ("${{ steps.token.outputs.id }}".to_owned(), "a variable that was not replaced"),
        ("%ID_TOKEN%".to_owned(), "a variable that was not replaced"),
        ("***".to_owned(), "is masked"),
        (format!(r#"{{"count":1,"value":"{own}"}}"#), "member `value`"),
        (format!("{own}\n"), "ends in a line break"),
        (format!("{own}\r\n"), "ends in a line break"),
        (format!(" {own}"), "a blank"),
        (format!("Bearer {own}"), "Bearer"),
        (base64, "base64 of a token"),
        (own.replace('.', "%2E"), "percent-encoded once too often"),
    ] {
        for response in [
            exchange(&bent, &[]),
            send(&Request::post_json(
                "/token",
                &serde_json::json!({ "grant_type": GRANT, "subject_token": bent, "subject_token_type": JWT }),
            )),
        ] {
            invalid(&response, if bent.is_empty() { "request_malformed" } else { "token_malformed" });
            let text = response.json()["error_description"].as_str().unwrap().to_owned();
            assert!(text.contains(what), "{bent:.20}: {text}");
        }
    }
    let none = serde_json::json!({ "grant_type": GRANT, "subject_token": null, "subject_token_type": JWT });
    let text = send(&Request::post_json("/token", &none)).text();
    assert!(text.contains("is empty"), "{text}");
}

#[test]
fn fld45_a_body_under_the_wrong_content_type_is_told_so() {
    let json =
        serde_json::json!({ "grant_type": GRANT, "subject_token": token("svc:octo"), "subject_token_type": JWT });
    let form = form(&[("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", &token("svc:octo"))]);
    let (is_form, is_json) = ("application/x-www-form-urlencoded", "application/json");
    let ask = |media: &str, body: &str| {
        let response = send(&Request::new("POST", "/token").body(media, body));
        (response.status, response.json()["error_description"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask(is_json, &json.to_string()).0, 200);
    assert_eq!(ask("application/json; charset=utf-8", &json.to_string()).0, 200);
    for (media, body, status, what) in [
        (is_form, json.to_string(), 400, "the body is JSON, but its Content-Type says that it is a form"),
        (is_form, format!("\n {json}"), 400, "the body is JSON"),
        (is_json, form.clone(), 400, "the body is a form, but its Content-Type says that it is JSON"),
        ("multipart/form-data; boundary=x", form.clone(), 415, "multipart/form-data is not read here"),
        ("text/plain", form.clone(), 415, "send application/x-www-form-urlencoded or application/json"),
        ("application/json; charset=utf-16", json.to_string(), 415, "only UTF-8 is read here"),
    ] {
        let (told, text) = ask(media, &body);
        assert_eq!(told, status, "{media}: {text}");
        assert!(text.contains(what), "{media}: {text}");
    }
    let bare =
        format!("POST /token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{form}", form.len());
    let response = Response::parse(&send_raw(WORLD.public(), bare.as_bytes()));
    refused(&response, 415, "invalid_request", "media_type");
    assert!(response.text().contains("the body has no Content-Type"), "{}", response.text());
}

#[test]
fn c108_media_types_that_are_not_read_are_415_and_their_body_is_not_parsed() {
    let body = form(&[("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", &token("svc:octo"))]);
    let post = |media: &str| send(&Request::new("POST", "/token").body(media, body.clone()));
    for media in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/jwt",
        "application/xml",
        "application/json+x",
        "",
    ] {
        refused(&post(media), 415, "invalid_request", "media_type");
    }
    let bare = Request::new("POST", "/token").body("", body.clone());
    refused(&send(&bare), 415, "invalid_request", "media_type");
    let two = Request::new("POST", "/token")
        .body("application/x-www-form-urlencoded", body.clone())
        .header("Content-Type", "application/json");
    refused(&send(&two), 415, "invalid_request", "media_type");
    let encoded = Request::new("POST", "/token")
        .body("application/x-www-form-urlencoded", body.clone())
        .header("Content-Encoding", "gzip");
    refused(&send(&encoded), 415, "invalid_request", "media_type");
    for media in ["application/x-www-form-urlencoded;charset=utf-8", "Application/X-WWW-Form-Urlencoded"] {
        granted(&post(media));
    }
    refused(
        &send(&Request::post_json("/revoke", &serde_json::json!({ "token": "x" }))),
        415,
        "invalid_request",
        "media_type",
    );
}

#[test]
fn c109_c036_a_json_body_is_one_strict_object_of_strings() {
    let honest = |more: &str| {
        let token = token("svc:octo");
        format!(r#"{{"grant_type":"{GRANT}","subject_token_type":"{JWT}","subject_token":"{token}"{more}}}"#)
    };
    let post = |body: String| send(&Request::new("POST", "/token").body("application/json", body));
    granted(&post(honest("")));
    granted(&post(honest(&format!(r#","x":[{}1]"#, "1,".repeat(30_000)))));
    for wrong in [
        honest(r#","audience":[1]"#),
        honest(r#","audience":{"a":1}"#),
        honest(r#","scope":["a"]"#),
        honest(r#","client_id":1"#),
        honest(r#","expires_in":1.5"#),
        honest(r#","expires_in":true"#),
        honest(r#","scope":"a","scope":"a""#),
        honest(r#","sc\u006fpe":"a","scope":"a""#),
        honest(r#","x":NaN"#),
        honest(r#","x":"\ud800""#),
        honest(&format!(r#","x":{}{}"#, "[".repeat(100), "]".repeat(100))),
        honest(&format!(r#","x":{}"#, "[".repeat(60_000))),
        honest(&format!(r#","x":{}"#, "{\"a\":".repeat(10_000))),
        honest(&format!(r#","x":{}"#, "9".repeat(60_000))),
        honest(&format!(r#","x":"{}""#, "\\u0000".repeat(9_000))),
        honest(r#","x":[{"a":{"b":1,"b":1}}]"#),
        honest(&format!(r#","resource":[{}"x"]"#, "\"x\",".repeat(100))),
        honest(&(0..64).map(|at| format!(r#","p{at}":"""#)).collect::<String>()),
        format!("{} ", honest("")).replacen('{', "[{", 1),
        format!("{}{}", honest(""), "x"),
        format!("\u{feff}{}", honest("")),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
    ] {
        invalid(&post(wrong), "request_malformed");
    }
}

#[test]
fn c110_broken_encodings_and_too_many_parameters_are_refused() {
    for wrong in ["&x=%zz", "&x=%", "&x=%4", "&x=%00", "&x=%ff", "&x=%c0%af", "&x=%ed%a0%80", "&%zz=x"] {
        invalid(&with(wrong), "request_malformed");
    }
    let many = |count: usize| (0..count).map(|at| format!("&p{at}=")).collect::<String>();
    granted(&with(&many(61)));
    for count in [62, 100, 5_000] {
        invalid(&with(&many(count)), "request_malformed");
    }
    refused(&with(&many(100_000)), 413, "invalid_request", "body_too_large");
    // One long name is ignored like any unknown one.
    granted(&with(&format!("&{}=x", "n".repeat(60_000))));
    refused(&with(&format!("&{}=x", "n".repeat(1_000_000))), 413, "invalid_request", "body_too_large");
}

#[test]
fn c053_a_body_over_64_kib_is_413_and_a_token_over_16_kib_is_refused() {
    let padding = |count: usize| format!("&padding={}", "x".repeat(count));
    granted(&with(&padding(40_000)));
    refused(&with(&padding(70_000)), 413, "invalid_request", "body_too_large");
    for size in [1_000_000, 10_000_000] {
        refused(&with(&padding(size)), 413, "invalid_request", "body_too_large");
        refused(&exchange(&"x".repeat(size), &[]), 413, "invalid_request", "body_too_large");
    }
    for size in [16_385, 60_000] {
        invalid(&exchange(&"x".repeat(size), &[]), "token_malformed");
    }
    // A chunked body has no length to check first.
    let chunk = format!("{:x}\r\n{}\r\n", 70_000, "x".repeat(70_000));
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = send_raw(WORLD.public(), format!("{head}{chunk}0\r\n\r\n").as_bytes());
    refused(&Response::parse(&answer), 413, "invalid_request", "body_too_large");
}

#[test]
fn c053_a_token_of_just_under_16_kib_is_judged() {
    let filler = |count: usize| forge("svc:octo").claim("filler", "x".repeat(count)).sign();
    granted(&exchange(&filler(11_500), &[]));
    let over = filler(12_500);
    assert!(over.len() > 16 * 1024);
    invalid(&exchange(&over, &[]), "token_malformed");
}

#[test]
fn c033_prefixes_quotes_and_spaces_around_the_subject_token_are_refused() {
    let own = token("svc:octo");
    for bent in [
        format!("Bearer {own}"),
        format!("\"{own}\""),
        format!(" {own}"),
        format!("{own} "),
        format!("{own}\n"),
        format!("{own}\r\n"),
        format!("\u{feff}{own}"),
        format!("{own}\u{200b}"),
    ] {
        invalid(&exchange(&bent, &[]), "token_malformed");
    }
    let plus = form(&[("grant_type", GRANT), ("subject_token_type", JWT)]);
    invalid(&raw(&format!("{plus}&subject_token=+{own}")), "token_malformed");
}

#[test]
fn c113_ambiguous_framing_is_refused_and_the_connection_closed() {
    let body = form(&[("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", &token("svc:octo"))]);
    let length = body.len();
    let post = |headers: &str, body: &str| {
        let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        String::from_utf8(send_raw(WORLD.public(), format!("{head}{headers}\r\n{body}").as_bytes())).unwrap()
    };
    let granted = "HTTP/1.1 200";
    assert!(post(&format!("Connection: close\r\nContent-Length: {length}\r\n"), &body).starts_with(granted));
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length + 1),
        format!("Content-Length: +{length}\r\n"),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        format!("Content-Length : {length}\r\n"),
        format!("X: a\r\n b\r\nContent-Length: {length}\r\n"),
    ] {
        let answer = post(&headers, &body);
        assert!(!answer.contains(granted), "{headers:?}: {answer}");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{headers:?}: {answer}");
    }
}

#[test]
fn c114_a_head_that_does_not_come_within_5_seconds_or_a_body_within_10_is_not_waited_for() {
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    std::thread::scope(|scope| {
        let slow = |bytes: String, at_most: u64| {
            scope.spawn(move || {
                let (answer, took) = sts_testkit::timed(|| send_raw(WORLD.public(), bytes.as_bytes()));
                let answer = String::from_utf8(answer).unwrap();
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
                assert!(took.as_secs() <= at_most, "{took:?}");
            });
        };
        slow(String::new(), 8);
        slow(head.to_owned(), 8);
        slow(format!("{head}Content-Length: 100\r\n\r\ngrant_type="), 13);
        slow(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), 13);
    });
    granted(&exchange(&token("svc:octo"), &[]));
}
