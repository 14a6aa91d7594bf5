//! Values that differ by what nobody sees, and rules in a form that no token has.

use serde_json::json;

use crate::support::{assert_all, case};

const GITHUB: &str = "github-actions";

#[test]
fn fld06_a_value_that_differs_by_what_nobody_sees_is_said_to() {
    let environment = |identity, claims, wants| case(identity, GITHUB, claims, wants);
    assert_all(vec![
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \"prod \" } }",
            json!({ "environment": "prod" }),
            &[
                "blanks or invisible characters",
                "the expected value has a blank at its end",
                "write `environment: \"prod\"`",
            ],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \" prod\" } }",
            json!({ "environment": "prod" }),
            &["the expected value has a blank at its beginning"],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \"prod\\u00a0\" } }",
            json!({ "environment": "prod" }),
            &["the expected value has a no-break space (U+00A0) at its end", "\\u{a0}"],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \"prod\\r\" } }",
            json!({ "environment": "prod" }),
            &["line break at the end", "the expected value has a carriage return at its end"],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \"\\\"prod\\\"\" } }",
            json!({ "environment": "prod" }),
            &["quotes", "the expected value has them"],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: \"caf\\u00e9\" } }",
            json!({ "environment": "cafe\u{301}" }),
            &["Unicode normalisation"],
        ),
        environment(
            "{ issuer: github, github: { repository_id: 74, environment: prod } }",
            json!({ "environment": "\u{feff}prod" }),
            &["the actual value has a byte order mark (U+FEFF) at its beginning"],
        ),
        environment(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/main \" }",
            json!({}),
            &[
                "the expected value has a blank at its end",
                "write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\"`",
            ],
        ),
        case(
            "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo-sa\\t\" }",
            "kubernetes",
            json!({}),
            &["the expected value has a tab at its end"],
        ),
    ]);
}

#[test]
fn fld06_a_rule_in_a_form_that_no_token_has_is_what_has_to_change() {
    let cases = vec![
        case(
            "{ issuer: github, github: { repository_id: 74, ref: main } }",
            GITHUB,
            json!({}),
            &["prefix of a ref", "write `ref: \"refs/heads/main\"`"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, ref: develop } }",
            GITHUB,
            json!({}),
            &[
                "`ref` is \"refs/heads/main\", expected \"develop\"",
                "change `ref` to a whole ref, such as `refs/heads/main`",
            ],
        ),
        case(
            "{ issuer: github, github: { repository_id: octo-repo } }",
            GITHUB,
            json!({}),
            &["change `repository_id` to the number"],
        ),
        case(
            "{ issuer: github, github: { repository: octo-repo, repository_owner_id: 65 } }",
            GITHUB,
            json!({}),
            &["change `repository` to `OWNER/REPOSITORY`"],
        ),
        case(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:main\" }",
            GITHUB,
            json!({}),
            &["`subject`", "prefix of a ref", "write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\"`"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_id: 20, ref: refs/heads/main } }",
            "gitlab",
            json!({}),
            &["write `ref: \"main\"`"],
        ),
        case(
            "{ issuer: google, subject: \"octo-sa@octo-project.iam.gserviceaccount.com\" }",
            "google",
            json!({}),
            &["an e-mail address", "change `subject` to the service account's number"],
        ),
        case(
            "{ issuer: cluster, subject: \"octo-ns:octo-sa\" }",
            "kubernetes",
            json!({}),
            &["change `subject` to `system:serviceaccount:NAMESPACE:NAME`"],
        ),
    ];
    // One cause, one advice: no token can be made to meet such a rule.
    for case in &cases {
        let line = case.explained().summary;
        assert!(!line.contains("present a token") && !line.contains("run the workflow"), "{line}");
    }
    assert_all(cases);
}
