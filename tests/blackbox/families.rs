//! Families of issuers: `issuer_template`, its variables in conditions, and what operators see of
//! the members.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Exposition, FakeIssuer, Forge, Key, Page, Request, Server, Site, send, until};

/// A fake issuer whose paths `/c/NAME` are members, and a server that trusts the family `clusters`.
struct Scene {
    fake: FakeIssuer,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let fake = FakeIssuer::start(&Key::set(&[]));
        let server = Server::start_in(STS, world_site(&config(&fake)));
        Self { fake, server }
    }

    /// Makes the fake issuer serve that member with that key.
    fn publish(&self, cluster: &str, key: &Key) {
        publish(&self.fake, cluster, key);
    }

    fn token(&self, cluster: &str, key: &Key) -> String {
        Forge::new(key, &claims("svc:fleet")).claim("iss", member(&self.fake, cluster)).sign()
    }

    fn reason(&self, cluster: &str, key: &Key) -> String {
        reason_of(&self.server.exchange(&self.token(cluster, key), &[]))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.server.cli(&[arguments, &["--json"]].concat()).ended(0).json()
    }
}

fn member(fake: &FakeIssuer, cluster: &str) -> String {
    format!("{}/c/{cluster}", fake.url())
}

fn publish(fake: &FakeIssuer, cluster: &str, key: &Key) {
    let issuer = member(fake, cluster);
    let document = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
    fake.page(&format!("/c/{cluster}/.well-known/openid-configuration"), Page::Json(document));
    fake.page(&format!("/c/{cluster}/keys"), Page::Json(Key::set(&[key])));
}

fn config(fake: &FakeIssuer) -> Config {
    world()
        .with("issuers/clusters", json!({
            "issuer_template": format!("{}/c/{{cluster}}", fake.url()),
            "variables": { "cluster": "[a-z]+-[0-9]+" },
            "allow_http": true,
        }))
        .with("service_accounts/fleet", json!({
            "teams": ["deployers"],
            "identities": [
                { "name": "production", "issuer": "clusters", "subject": "svc:fleet", "claims": { "cluster": ["prod-1", "prod-2"] } },
                { "name": "tests", "issuer": "clusters", "subject": "svc:fleet", "claims": { "cluster": "test-*" }, "scopes": ["releases:read"] },
            ],
        }))
}

fn es256(kid: &str) -> Key {
    Key::new(Algorithm::ES256, kid)
}

#[test]
fn a_condition_on_a_variable_decides_which_members_get_in() {
    let scene = Scene::new();
    let (prod, test, stage) = (es256("prod"), es256("test"), es256("stage"));
    scene.publish("prod-1", &prod);
    scene.publish("test-7", &test);
    scene.publish("stage-1", &stage);
    let answer = granted(&scene.server.exchange(&scene.token("prod-1", &prod), &[]));
    assert!(answer["scope"].as_str().unwrap().contains("deployments:create"));
    assert_eq!(granted(&scene.server.exchange(&scene.token("test-7", &test), &[]))["scope"], "releases:read");
    assert_eq!(scene.reason("stage-1", &stage), "not_authorized");
    // A claim with the variable's name has no effect.
    let claims = Forge::new(&stage, &claims("svc:fleet")).claim("iss", member(&scene.fake, "stage-1"));
    let claiming = scene.server.exchange(&claims.claim("cluster", "prod-1").sign(), &[]);
    assert_eq!(reason_of(&claiming), "not_authorized");
}

#[test]
fn c077_a_members_key_signs_for_that_member_only() {
    let scene = Scene::new();
    let (prod, test) = (es256("k"), es256("k"));
    scene.publish("prod-1", &prod);
    scene.publish("test-7", &test);
    assert_eq!(scene.reason("prod-1", &prod), "granted");
    assert_eq!(scene.reason("test-7", &test), "granted");
    assert_eq!(scene.reason("prod-1", &test), "signature_invalid");
}

#[test]
fn c102_no_network_for_what_is_not_of_the_form() {
    let scene = Scene::new();
    let key = es256("k");
    for cluster in ["prod", "PROD-1", "prod-1/", "prod-1/x", "..", "prod-1%2f", "prod-1?x", ""] {
        scene.publish(cluster, &key);
        assert_eq!(scene.reason(cluster, &key), "issuer_unknown", "{cluster}");
        assert_eq!(scene.fake.asked(&format!("/c/{cluster}/.well-known/openid-configuration")), 0, "{cluster}");
    }
}

#[test]
fn c104_a_member_that_cannot_be_asked_is_503_and_others_go_on() {
    let scene = Scene::new();
    let (prod, test) = (es256("prod"), es256("test"));
    scene.publish("prod-1", &prod);
    assert_eq!(scene.reason("prod-1", &prod), "granted");
    let response = scene.server.exchange(&scene.token("test-7", &test), &[]);
    refused(&response, 503, "temporarily_unavailable", "issuer_unavailable");
    assert!(response.header("retry-after").is_some());
    assert_eq!(scene.reason("prod-1", &prod), "granted");
}

#[test]
fn operators_see_the_members_that_were_asked_for() {
    let scene = Scene::new();
    let (first, second) = (es256("first"), es256("second"));
    scene.publish("prod-1", &first);
    let idle = scene.server.cli(&["issuers", "list"]).ended(0).stdout;
    assert!(idle.contains("clusters") && idle.contains("{cluster}"), "{idle}");
    assert_eq!(scene.reason("prod-1", &first), "granted");
    let issuer = member(&scene.fake, "prod-1");

    let list = scene.json(&["issuers", "list"]);
    assert_eq!(list["families"][0]["name"], "clusters");
    assert_eq!(list["families"][0]["members"][0]["issuer"], json!(issuer));
    let shown = scene.server.cli(&["issuers", "show", "clusters"]).ended(0).stdout;
    assert!(shown.contains(&issuer) && shown.contains("first"), "{shown}");

    scene.publish("prod-1", &second);
    assert_eq!(scene.json(&["issuers", "refresh", "clusters"])["members"][0]["refreshed"]["changed"], true);
    assert_eq!(scene.reason("prod-1", &second), "granted");
    let refreshed = scene.json(&["issuers", "refresh", "clusters", "--issuer", &issuer]);
    assert_eq!(refreshed["changed"], false);
    let history = scene.json(&["issuers", "history", "clusters", "--issuer", &issuer]);
    let kids: Vec<_> = history["events"].as_array().unwrap().iter().map(|event| &event["keys"][0]["kid"]).collect();
    assert_eq!(kids, ["first", "second"]);
    let unnamed = scene.server.cli(&["issuers", "history", "clusters"]).ended(1).text();
    assert!(unnamed.contains("--issuer"), "{unnamed}");
    let stranger =
        scene.server.cli(&["issuers", "refresh", "clusters", "--issuer", "https://stranger.example"]).ended(1).text();
    assert!(stranger.contains("no issuer entry"), "{stranger}");

    let metrics = Exposition::parse(&send(scene.server.admin(), &Request::get("/metrics")).text());
    let members = [("issuer_entry", "clusters"), ("ready", "true")];
    assert_eq!(metrics.value("sts_issuer_family_members", &members), Some(1.0));
    let exchanges = [("issuer_entry", "clusters"), ("grant", "token_exchange"), ("outcome", "granted"), ("reason", "")];
    assert_eq!(metrics.value("sts_exchanges_total", &exchanges), Some(2.0));
    let replaced = [("issuer_entry", "clusters"), ("outcome", "replaced")];
    assert_eq!(metrics.value("sts_issuer_fetches_total", &replaced), Some(2.0));
}

#[test]
fn the_record_and_the_token_name_the_member() {
    let scene = Scene::new();
    let key = es256("k");
    scene.publish("prod-2", &key);
    let answer = granted(&scene.server.exchange(&scene.token("prod-2", &key), &[]));
    let seen = scene.server.introspect("deploy", DEPLOY_SECRET, answer["access_token"].as_str().unwrap());
    assert_eq!(seen["federated"]["iss"], json!(member(&scene.fake, "prod-2")));
    let listed = scene.json(&["tokens", "list"]);
    assert_eq!(listed["tokens"][0]["entry"], "clusters");
}

#[test]
fn in03_a_member_that_a_family_no_longer_has_takes_its_tokens_with_it() {
    let scene = Scene::new();
    let (first, second) = (es256("first"), es256("second"));
    scene.publish("prod-1", &first);
    scene.publish("prod-2", &second);
    let [of_first, of_second] = [("prod-1", &first), ("prod-2", &second)].map(|(cluster, key)| {
        let answer = granted(&scene.server.exchange(&scene.token(cluster, key), &[]));
        answer["access_token"].as_str().unwrap().to_owned()
    });
    let is_active = |token: &str| scene.server.introspect("deploy", DEPLOY_SECRET, token)["active"] == true;
    assert!(is_active(&of_first) && is_active(&of_second));
    let narrowed = config(&scene.fake).with("issuers/clusters/variables/cluster", json!(["prod-2", "test-1"])).with(
        "service_accounts/fleet/identities",
        json!([{ "name": "production", "issuer": "clusters", "subject": "svc:fleet" }]),
    );
    scene.server.site().replace("sts.yaml", narrowed.text());
    scene.server.signal("HUP");
    until("the reload", || !is_active(&of_first));
    assert!(is_active(&of_second));
    assert_eq!(scene.reason("prod-1", &first), "issuer_unknown");
}

#[test]
fn explain_and_policy_tests_know_the_variables() {
    let fake = FakeIssuer::start(&Key::set(&[]));
    let test = |name: &str, cluster: &str, expect: Value| {
        json!({ "name": name, "account": "fleet", "expect": expect, "token": {
            "iss": member(&fake, cluster), "sub": "svc:fleet", "aud": US, "exp": 4_000_000_000_u64, "iat": 3_999_999_000_u64,
        } })
    };
    let config = config(&fake).with(
        "tests",
        json!([
            test("production", "prod-1", json!({ "account": "fleet", "identity": "production" })),
            test("tests", "test-1", json!({ "identity": "tests" })),
            test("staging", "stage-1", json!("deny")),
        ]),
    );
    let site: Site = world_site(&config);
    STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(0);
    let claims = json!({ "iss": member(&fake, "stage-1"), "sub": "svc:fleet", "aud": US, "exp": 4_000_000_000_u64 });
    site.write("claims.json", claims.to_string());
    let arguments = ["explain", "--config", "sts.yaml", "--claims", "claims.json", "--account", "fleet"];
    let text = STS.run(site.root(), &arguments).ended(1).text();
    assert!(text.contains("cluster") && text.contains("stage-1"), "{text}");
}

#[test]
fn the_family_that_is_shipped_as_an_example_passes_its_tests() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/examples/eks/sts.yaml");
    STS.run(std::path::Path::new("."), &["check", "--config", config]).ended(0);
    let sampled = ["explain", "--config", config, "--claims", "claims.json", "--account", "deployer"];
    let site = world_site(&world());
    let claims = json!({
        "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/00000000000000000000000000000000",
        "sub": "system:serviceaccount:deploy:deployer",
        "aud": US,
        "exp": 4_000_000_000_u64,
        "kubernetes.io": { "namespace": "deploy", "serviceaccount": { "name": "deployer", "uid": "u" } },
    });
    site.write("claims.json", claims.to_string());
    let refused = STS.run(site.root(), &sampled).ended(1);
    assert!(refused.first_line().contains("cluster"), "{}", refused.text());
}
