//! Managed objects on a real store and the real compiler, without listeners.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sts_service::manage::{
    ApiKeyError, ApiKeyRequest, Author, Expected, ManagedObjects, ManagedParts, RequestedChange, WriteError, Written,
};
use sts_store::{Ledger, ObjectStore};
use sts_types::{ApiKey, CheckCode, Clock};

use super::*;
use crate::audit::TrailOwner;
use crate::clock::SystemClock;
use crate::components::Components;
use crate::metrics::Metrics;
use crate::reload::load;

const CONFIG: &str = r#"
issuer: https://sts.example.com
data_dir: data
MANAGE
issuers: { github: { issuer: "https://token.actions.githubusercontent.com" } }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: [read, write] }
  logs: { audience: "https://logs.example.com", scopes: [read] }
teams: { readers: { grants: { deploy: [read] } } }
service_accounts:
  octo: { teams: [readers], identities: [{ name: main, issuer: github, github: { repository_id: 65 } }] }
tests:
  - name: a pull request gets nothing
    token: { preset: github-actions, repository_id: "66", event_name: pull_request }
    account: octo
    expect: deny
"#;

struct Replica {
    folder: tempfile::TempDir,
    base: Arc<RuleBase>,
    managed: ManagedObjects,
    objects: Arc<dyn ObjectStore>,
    ledger: Arc<dyn Ledger>,
    lock: Arc<tokio::sync::Mutex<()>>,
}

fn write_config(folder: &std::path::Path, config: &str) -> PathBuf {
    let path = folder.join("sts.yaml");
    std::fs::write(&path, config.replace("MANAGE", "")).unwrap();
    path
}

/// A replica that has started, on a store of its own or on that of another.
async fn replica(config: &str, other: Option<&Replica>) -> Replica {
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(folder.path(), config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let loaded = load(&path, clock.now()).unwrap_or_else(|findings| panic!("{}", findings.render(false)));
    let ledger = other.map(|other| Arc::clone(&other.ledger));
    let engine =
        Components::open(&loaded.compiled, clock, TrailOwner::Nobody, Arc::new(Metrics::default()), ledger).unwrap();
    let objects = other.map(|other| Arc::clone(&other.objects)).or(engine.objects).unwrap();
    let certificates = Certificates { public: None, admin: None };
    let base = Arc::new(RuleBase::new(path, loaded, Arc::clone(&engine.state), certificates));
    let lock = Arc::new(tokio::sync::Mutex::new(()));
    let managed = ManagedObjects::new(ManagedParts {
        store: Arc::clone(&objects),
        rules: Arc::new(ServerRules(Arc::clone(&base))),
        clock: engine.state.service.shared_clock(),
        entropy: Arc::new(sts_jose::OsEntropy),
        recent: engine.state.service.recent_decisions(),
        lock: Arc::clone(&lock),
    });
    managed.start().await.unwrap();
    Replica { folder, base, managed, objects, ledger: engine.ledger, lock }
}

impl Replica {
    async fn write(&self, changes: Vec<RequestedChange>) -> Result<Written, WriteError> {
        self.managed.write(changes, &admin(), false).await
    }

    fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.base.state.service.snapshot().rules)
    }

    /// Every account as the rules have it, in the order of their names.
    fn accounts(&self) -> BTreeMap<String, String> {
        let rules = self.rules();
        rules.accounts().map(|own| (own.name.to_string(), format!("{own:?}"))).collect()
    }

    fn generation(&self) -> String {
        self.base.state.service.snapshot().generation.clone()
    }
}

fn admin() -> Author {
    Author::Person("admin token".to_owned())
}

fn token() -> Author {
    Author::Token(sts_types::AccountId::new("ops").unwrap())
}

fn key(kind: ObjectKind, name: &str) -> ObjectKey {
    ObjectKey { kind, name: name.to_owned() }
}

fn put_if(kind: ObjectKind, name: &str, spec: Value, expected: Expected) -> RequestedChange {
    RequestedChange::Put { key: key(kind, name), spec, expected }
}

fn account(name: &str, spec: Value) -> RequestedChange {
    put_if(ObjectKind::ServiceAccounts, name, spec, Expected::Any)
}

fn team(name: &str, spec: Value) -> RequestedChange {
    put_if(ObjectKind::Teams, name, spec, Expected::Any)
}

fn delete(kind: ObjectKind, name: &str) -> RequestedChange {
    RequestedChange::Delete { key: key(kind, name), expected: Expected::Any }
}

fn of_repository(id: u32, teams: &[&str]) -> Value {
    json!({ "teams": teams, "identities": [{ "name": "main", "issuer": "github", "github": { "repository_id": id } }] })
}

#[tokio::test]
async fn an_object_lives_from_its_creation_to_its_removal_under_its_revision() {
    let own = replica(CONFIG, None).await;
    let before = own.generation();
    let spec = of_repository(70, &["readers"]);
    let create = || put_if(ObjectKind::ServiceAccounts, "bot", spec.clone(), Expected::Absent);
    let written = own.write(vec![create()]).await.unwrap();
    let held = &written.objects[0].1;
    assert_eq!((held.document(), &*held.created_by), (spec.clone(), "admin token"));
    assert!(own.rules().account("bot").is_some(), "in force before the answer");
    assert_ne!(own.generation(), before);
    assert!(matches!(own.write(vec![create()]).await, Err(WriteError::Exists(_))));

    let change = |revision| {
        let spec = json!({ "display_name": "Bot", "enabled": false });
        put_if(ObjectKind::ServiceAccounts, "bot", spec, Expected::Revision(revision))
    };
    let stale = own.write(vec![change(held.revision + 1)]).await;
    assert!(matches!(stale, Err(WriteError::RevisionMismatch { .. })), "{stale:?}");
    let changed = own.write(vec![change(held.revision)]).await.unwrap();
    assert!(changed.objects[0].1.revision > held.revision);
    assert!(!own.rules().account("bot").unwrap().enabled);

    let same = own.write(vec![account("bot", json!({ "display_name": "Bot", "enabled": false }))]).await.unwrap();
    assert_eq!((same.unchanged, same.objects[0].1.revision), (1, changed.objects[0].1.revision));

    own.write(vec![delete(ObjectKind::ServiceAccounts, "bot")]).await.unwrap();
    assert!(own.rules().account("bot").is_none());
    assert_eq!(own.generation(), before, "the rules are those of the files again");
    let gone = own.write(vec![delete(ObjectKind::ServiceAccounts, "bot")]).await;
    assert!(matches!(gone, Err(WriteError::Unknown(_))));
}

#[tokio::test]
async fn what_a_load_would_refuse_is_not_written() {
    let own = replica(CONFIG, None).await;
    let refused = |changes: Vec<RequestedChange>| async {
        match own.write(changes).await {
            Err(WriteError::Invalid(findings)) => {
                let own = findings.into_iter().find(|own| own.severity != "warning").unwrap();
                (own.code, own.object().map(ToString::to_string), own.pointer().as_str().to_owned())
            }
            other => panic!("{other:?}"),
        }
    };
    let bot = Some("service-accounts/bot".to_owned());
    let unknown_team = refused(vec![account("bot", of_repository(70, &["raeders"]))]).await;
    assert_eq!(unknown_team, (CheckCode::UnknownTeam, bot.clone(), "/teams/0".to_owned()));
    let unknown_key = refused(vec![account("bot", json!({ "nonsense": 1 }))]).await;
    assert_eq!(unknown_key, (CheckCode::UnknownKey, bot.clone(), "/nonsense".to_owned()));
    let broad = json!({ "identities": [{ "name": "i", "issuer": "github", "subject": "repo:*" }] });
    assert_eq!(refused(vec![account("bot", broad)]).await.1, bot);
    let taken = refused(vec![account("deploy", json!({}))]).await;
    assert_eq!((taken.0, taken.1.as_deref()), (CheckCode::DuplicateName, Some("service-accounts/deploy")));
    let too_much = vec![team("writers", json!({ "grants": { "deploy": ["destroy"] } }))];
    assert_eq!(refused(too_much).await.0, CheckCode::UnknownScope);
    assert!(own.managed.view().objects.is_empty());
    assert_eq!(own.objects.objects().await.unwrap().sequence, 0, "nothing was written");

    // All or nothing: the sound half of a change is not written either.
    let both = vec![account("fine", json!({})), account("bot", of_repository(70, &["nobody"]))];
    assert!(own.write(both).await.is_err());
    assert!(own.rules().account("fine").is_none());
    // A team whose member needs it cannot go.
    own.write(vec![team("writers", json!({})), account("bot", of_repository(70, &["writers"]))]).await.unwrap();
    let needed = refused(vec![delete(ObjectKind::Teams, "writers")]).await;
    assert_eq!(needed, (CheckCode::UnknownTeam, bot, "/teams/0".to_owned()));
}

#[tokio::test]
async fn a_change_that_a_policy_test_of_the_files_forbids_is_refused() {
    let config = format!(
        "{CONFIG}  - name: nobody else\n    token: {{ preset: github-actions, repository_id: \"70\", event_name: push }}\n    account: bot\n    expect: deny\n"
    );
    // The test names an account that no file declares.
    let folder = tempfile::tempdir().unwrap();
    assert!(load(&write_config(folder.path(), &config), SystemClock::new().now()).is_err());
    let config = config.replace("    account: bot\n", "");
    let own = replica(&config, None).await;
    match own.write(vec![account("bot", of_repository(70, &["readers"]))]).await {
        Err(WriteError::Invalid(findings)) => assert_eq!(findings[0].code, CheckCode::PolicyTestFailed),
        other => panic!("{other:?}"),
    }
    let other = vec![account("bot", of_repository(71, &["readers"]))];
    let dry = own.managed.write(other, &admin(), true).await.unwrap();
    assert!(dry.effect.is_some() && own.managed.view().objects.is_empty());
}

#[tokio::test]
async fn files_win_and_kinds_that_are_not_managed_are_refused() {
    let own = replica(CONFIG, None).await;
    let declared = own.write(vec![account("octo", json!({}))]).await;
    assert!(
        matches!(declared, Err(WriteError::DeclaredByFile(_, ref file)) if file.ends_with("sts.yaml")),
        "{declared:?}"
    );
    let issuer = put_if(ObjectKind::Issuers, "gitlab", json!({ "issuer": "https://gitlab.com" }), Expected::Any);
    assert!(matches!(own.write(vec![issuer.clone()]).await, Err(WriteError::NotManaged(ObjectKind::Issuers))));

    let open = CONFIG.replace("MANAGE", "manage: { kinds: [issuers, apis, teams, service_accounts] }");
    let all = replica(&open, None).await;
    let api = put_if(ObjectKind::Apis, "mail", json!({ "audience": "https://mail.example" }), Expected::Any);
    let bot = json!({ "grants": { "mail": [] }, "identities": [{ "name": "i", "issuer": "gitlab", "gitlab": { "project_id": "7" } }] });
    all.write(vec![issuer.clone(), api, account("bot", bot)]).await.unwrap();
    assert!(all.rules().api("mail").is_some() && all.rules().account("bot").is_some());
    assert!(matches!(
        all.managed.write(vec![delete(ObjectKind::Issuers, "gitlab")], &token(), true).await,
        Err(WriteError::Invalid(_) | WriteError::InteractiveRequired(_))
    ));

    // A file declares the name later: the object is shadowed, and may be deleted.
    own.write(vec![team("writers", json!({ "grants": { "deploy": ["write"] } }))]).await.unwrap();
    let more = CONFIG.replace("teams: { readers", "teams: { writers: {}, readers");
    write_config(own.folder.path(), &more);
    own.base.reload(sts_audit::LoadTrigger::Files).unwrap_or_else(|refusal| panic!("{}", refusal.text()));
    assert_eq!(own.managed.shadowed(), [key(ObjectKind::Teams, "writers")]);
    assert!(own.write(vec![team("writers", json!({ "display_name": "x" }))]).await.is_err());
    own.write(vec![delete(ObjectKind::Teams, "writers")]).await.unwrap();
    assert!(own.managed.shadowed().is_empty());
}

#[tokio::test]
async fn replicas_follow_and_what_is_compiled_in_parts_is_what_a_start_compiles() {
    let first = replica(CONFIG, None).await;
    let second = replica(CONFIG, Some(&first)).await;
    first.write(vec![team("writers", json!({ "grants": { "deploy": ["write"] } }))]).await.unwrap();
    for id in 70..75 {
        first.write(vec![account(&format!("bot{id}"), of_repository(id, &["readers", "writers"]))]).await.unwrap();
    }
    first
        .write(vec![team("writers", json!({ "grants": { "deploy": ["read", "write"], "logs": ["read"] } }))])
        .await
        .unwrap();
    first.write(vec![delete(ObjectKind::ServiceAccounts, "bot71")]).await.unwrap();
    assert!(second.rules().account("bot70").is_none());
    assert!(second.managed.catch_up().await.unwrap());
    assert!(!second.managed.catch_up().await.unwrap(), "nothing is left");
    let third = replica(CONFIG, Some(&first)).await;
    for other in [&second, &third] {
        assert_eq!(other.accounts(), first.accounts());
        assert_eq!(other.generation(), first.generation());
    }
    // Both write without having seen the other's change.
    first.write(vec![account("one", json!({}))]).await.unwrap();
    second.write(vec![account("two", json!({}))]).await.unwrap();
    first.managed.catch_up().await.unwrap();
    assert_eq!(first.accounts(), second.accounts());
}

#[tokio::test]
async fn an_object_that_no_longer_compiles_refuses_a_reload_and_is_set_aside_at_a_start() {
    let own = replica(CONFIG, None).await;
    own.write(vec![
        team("loggers", json!({ "grants": { "logs": ["read"] } })),
        account("logger", of_repository(70, &["loggers"])),
        account("bot", of_repository(71, &["readers"])),
    ])
    .await
    .unwrap();
    let without = CONFIG.replace("  logs: { audience: \"https://logs.example.com\", scopes: [read] }\n", "");
    let path = write_config(own.folder.path(), &without);
    let Err(refusal) = own.base.reload(sts_audit::LoadTrigger::Files) else {
        panic!("a reload that takes the API away")
    };
    assert!(refusal.text().contains("teams/loggers"), "{}", refusal.text());
    assert!(own.rules().account("logger").is_some(), "the old rules go on");

    let fresh = replica(&without, Some(&own)).await;
    let view = fresh.managed.view();
    let aside: Vec<&str> = view.set_aside.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(aside, ["loggers", "logger"], "{:?}", view.set_aside);
    assert!(fresh.rules().account("logger").is_none() && fresh.rules().account("bot").is_some());
    // It stays out of later candidates, until it is changed.
    fresh.write(vec![account("other", json!({}))]).await.unwrap();
    assert_eq!(fresh.managed.view().set_aside.len(), 2);
    fresh.write(vec![team("loggers", json!({ "grants": { "deploy": ["read"] } }))]).await.unwrap();
    assert_eq!(fresh.managed.view().set_aside.len(), 1);
    // Written as it was, it is judged again.
    fresh.write(vec![account("logger", of_repository(70, &["loggers"]))]).await.unwrap();
    assert!(fresh.rules().account("logger").is_some());
    assert!(fresh.managed.view().set_aside.is_empty());
    drop(path);
}

#[tokio::test]
async fn an_object_that_a_policy_test_wants_refused_is_found_at_a_start() {
    let own = replica(CONFIG, None).await;
    let many = (70..78).map(|id| account(&format!("bot{id}"), of_repository(id, &["readers"]))).collect();
    own.write(many).await.unwrap();
    let strict = format!(
        "{CONFIG}  - name: not that one\n    token: {{ preset: github-actions, repository_id: \"73\", event_name: push }}\n    expect: deny\n"
    );
    let fresh = replica(&strict, Some(&own)).await;
    let view = fresh.managed.view();
    assert_eq!(view.set_aside.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["bot73"]);
    assert_eq!(fresh.accounts().len(), 8);
}

#[tokio::test]
async fn a_token_of_ours_makes_nothing_that_outlives_it() {
    let own = replica(CONFIG, None).await;
    own.write(vec![
        team("admins", json!({ "grants": { "sts": ["sts:admin"] } })),
        account("ops", json!({ "teams": ["admins"] })),
    ])
    .await
    .unwrap();
    let ours = json!({ "grants": { "sts": ["sts:read"] } });
    let identity = json!({ "teams": ["admins"], "identities": [{ "name": "i", "issuer": "github", "github": { "repository_id": 70 } }] });
    for (change, needs_person) in [
        (account("bot", of_repository(70, &["readers"])), false),
        (team("writers", json!({ "grants": { "deploy": ["write"] } })), false),
        (account("bot", ours.clone()), true),
        (team("writers", ours), true),
        (account("bot", json!({ "teams": ["admins"] })), true),
        (account("ops", identity), true),
        (account("ops", json!({})), false),
        (delete(ObjectKind::ServiceAccounts, "ops"), false),
    ] {
        let shown = format!("{change:?}");
        let done = own.managed.write(vec![change.clone()], &token(), true).await;
        assert_eq!(matches!(done, Err(WriteError::InteractiveRequired(_))), needs_person, "{shown}: {done:?}");
        assert!(own.managed.write(vec![change], &admin(), true).await.is_ok(), "{shown}");
    }
}

#[tokio::test]
async fn an_api_key_works_at_once_and_ends_with_its_account() {
    let own = replica(CONFIG, None).await;
    let service = &own.base.state.service;
    own.write(vec![account("bot", of_repository(70, &["readers"]))]).await.unwrap();
    let request = |account: &str, name: &str| ApiKeyRequest {
        account: account.to_owned(),
        name: name.to_owned(),
        ttl: None,
        scopes: None,
        allow_from: Vec::new(),
    };
    let created = own.managed.create_api_key(request("bot", "build"), &admin(), service).await.unwrap();
    let presented = ApiKey::parse(&created.key).unwrap();
    let is_known = || service.snapshot().api_keys.authenticate(presented.id(), presented.secret()).is_some();
    assert!(is_known());
    assert!(!format!("{created:?}").contains(presented.secret()));
    let stored = own.objects.objects().await.unwrap();
    assert!(!format!("{stored:?}").contains(presented.secret()), "the store never has the secret");
    let lifetime = created.view.key.expires_at.as_secs() - created.view.key.created_at.as_secs();
    assert_eq!(lifetime, 30 * 86_400);

    let managed = &own.managed;
    let create = |request, author| async move { managed.create_api_key(request, &author, service).await };
    assert!(matches!(create(request("bot", "build"), admin()).await, Err(ApiKeyError::Exists)));
    assert!(matches!(create(request("nobody", "x"), admin()).await, Err(ApiKeyError::UnknownAccount)));
    assert!(matches!(create(request("bot", " "), admin()).await, Err(ApiKeyError::Invalid("name", _))));
    let long = ApiKeyRequest { ttl: Some(91 * 86_400), ..request("bot", "long") };
    assert!(matches!(create(long, admin()).await, Err(ApiKeyError::Invalid("ttl", _))));
    let wide = ApiKeyRequest { scopes: Some(vec![sts_types::Scope::new("write").unwrap()]), ..request("bot", "w") };
    assert!(matches!(create(wide, admin()).await, Err(ApiKeyError::Invalid("scopes", _))));
    let by_token = create(request("bot", "t"), token()).await;
    assert!(matches!(by_token, Err(ApiKeyError::Write(WriteError::InteractiveRequired(_)))));

    let other = replica(CONFIG, Some(&own)).await;
    assert!(other.base.state.service.snapshot().api_keys.find(presented.id()).is_some());
    service.api_key_uses().note(presented.id(), created.view.key.created_at, "192.0.2.1".parse().unwrap());
    own.managed.save_api_key_uses(service).await;
    let listed = own.managed.api_keys_of("bot", service);
    assert_eq!(listed[0].last_use.as_ref().map(|last| last.from.as_str()), Some("192.0.2.1"));

    assert!(own.managed.revoke_api_key("octo", presented.id(), &admin()).await.is_err(), "not that account's");
    own.write(vec![delete(ObjectKind::ServiceAccounts, "bot")]).await.unwrap();
    assert!(!is_known());
    other.managed.catch_up().await.unwrap();
    assert!(other.base.state.service.snapshot().api_keys.find(presented.id()).is_none());

    let second = own.managed.create_api_key(request("octo", "build"), &admin(), service).await.unwrap();
    own.managed.revoke_api_key("octo", &second.view.key.id, &admin()).await.unwrap();
    assert!(own.managed.api_keys_of("octo", service).is_empty());
}

#[tokio::test]
async fn an_account_that_another_names_as_its_actor_cannot_go() {
    let own = replica(CONFIG, None).await;
    own.write(vec![account("actor", json!({ "id": "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11" }))]).await.unwrap();
    let subject = |actor: &str| account("subject", json!({ "delegation": { "actors": [actor] } }));
    for actor in ["actor", "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11"] {
        own.write(vec![subject(actor)]).await.unwrap();
        match own.write(vec![delete(ObjectKind::ServiceAccounts, "actor")]).await {
            Err(WriteError::Invalid(findings)) => assert_eq!(findings[0].code, CheckCode::UnknownActor),
            other => panic!("{actor}: {other:?}"),
        }
    }
    let both = vec![account("subject", json!({})), delete(ObjectKind::ServiceAccounts, "actor")];
    own.write(both).await.unwrap();
}

#[tokio::test]
async fn a_reload_and_a_write_do_not_undo_each_other() {
    let own = replica(CONFIG, None).await;
    own.write(vec![account("bot", of_repository(70, &["readers"]))]).await.unwrap();
    let more = CONFIG.replace("service_accounts:\n", "service_accounts:\n  fresh: {}\n");
    write_config(own.folder.path(), &more);
    {
        let _guard = own.lock.lock().await;
        own.base.reload(sts_audit::LoadTrigger::Files).unwrap_or_else(|refusal| panic!("{}", refusal.text()));
    }
    assert!(own.rules().account("bot").is_some() && own.rules().account("fresh").is_some());
    own.write(vec![account("later", json!({}))]).await.unwrap();
    assert!(own.rules().account("fresh").is_some() && own.rules().account("later").is_some());
    let started = replica(&more, Some(&own)).await;
    assert_eq!(started.accounts(), own.accounts());
}

fn key_of_account(account: &str) -> ApiKeyRequest {
    ApiKeyRequest { account: account.to_owned(), name: "build".to_owned(), ttl: None, scopes: None, allow_from: vec![] }
}

#[tokio::test]
async fn the_keys_of_a_files_account_outlive_the_object_that_it_shadows() {
    let own = replica(CONFIG, None).await;
    let service = &own.base.state.service;
    own.write(vec![account("bot", json!({}))]).await.unwrap();
    let more = CONFIG.replace("service_accounts:\n", "service_accounts:\n  bot: {}\n");
    write_config(own.folder.path(), &more);
    own.base.reload(sts_audit::LoadTrigger::Files).unwrap_or_else(|refusal| panic!("{}", refusal.text()));
    let created = own.managed.create_api_key(key_of_account("bot"), &admin(), service).await.unwrap();
    let written = own.write(vec![delete(ObjectKind::ServiceAccounts, "bot")]).await.unwrap();
    assert_eq!(written.removed, [key(ObjectKind::ServiceAccounts, "bot")]);
    assert!(service.snapshot().api_keys.find(&created.view.key.id).is_some());
}

#[tokio::test]
async fn an_account_that_is_created_again_has_none_of_the_keys_of_a_files_account() {
    let more = CONFIG.replace("service_accounts:\n", "service_accounts:\n  bot: {}\n");
    let own = replica(&more, None).await;
    let service = &own.base.state.service;
    let created = own.managed.create_api_key(key_of_account("bot"), &admin(), service).await.unwrap();
    let others = own.managed.create_api_key(key_of_account("octo"), &admin(), service).await.unwrap();
    write_config(own.folder.path(), CONFIG);
    own.base.reload(sts_audit::LoadTrigger::Files).unwrap_or_else(|refusal| panic!("{}", refusal.text()));
    own.write(vec![account("bot", json!({}))]).await.unwrap();
    assert!(service.snapshot().api_keys.find(&created.view.key.id).is_none());
    assert!(service.snapshot().api_keys.find(&others.view.key.id).is_some());
    // A change of the account keeps what it has since then.
    let second = own.managed.create_api_key(key_of_account("bot"), &admin(), service).await.unwrap();
    own.write(vec![account("bot", json!({ "display_name": "Bot" }))]).await.unwrap();
    assert!(service.snapshot().api_keys.find(&second.view.key.id).is_some());
}

#[tokio::test]
async fn what_a_file_says_is_neither_created_nor_copied() {
    let own = replica(CONFIG, None).await;
    let spec = of_repository(65, &["readers"]);
    let declared =
        own.base.in_force().base.declared.get(&key(ObjectKind::ServiceAccounts, "octo")).unwrap().spec.clone();
    assert_eq!(serde_json::from_str::<Value>(&declared).unwrap(), spec);
    let created = put_if(ObjectKind::ServiceAccounts, "octo", spec.clone(), Expected::Absent);
    assert!(matches!(own.write(vec![created]).await, Err(WriteError::DeclaredByFile(..))));
    let same = own.write(vec![account("octo", spec)]).await.unwrap();
    assert_eq!((same.unchanged, same.objects.len()), (1, 0));
    assert_eq!(own.objects.objects().await.unwrap().objects, [], "no copy waits for the file to go");
}

#[tokio::test]
async fn a_token_is_refused_before_a_file_that_its_change_names_is_opened() {
    let own = replica(&CONFIG.replace("MANAGE", "manage: { kinds: [issuers, apis] }"), None).await;
    // None of these files exists, so whoever compiles the change tells of that instead.
    let issuer = json!({ "issuer": "https://new.example", "jwks_file": "/nowhere/keys.json" });
    let api = |file: Option<&str>, name: &str| {
        let mut spec = json!({ "audience": "https://mail.example", "display_name": name });
        if let Some(file) = file {
            spec["introspection_secret_file"] = json!(file);
        }
        put_if(ObjectKind::Apis, "mail", spec, Expected::Any)
    };
    for change in [put_if(ObjectKind::Issuers, "new", issuer, Expected::Any), api(Some("/nowhere/secret"), "Mail")] {
        for dry_run in [false, true] {
            let done = own.managed.write(vec![change.clone()], &token(), dry_run).await;
            assert!(matches!(done, Err(WriteError::InteractiveRequired(_))), "{done:?}");
        }
        let by_person = own.write(vec![change]).await;
        assert!(matches!(by_person, Err(WriteError::Invalid(_))), "{by_person:?}");
    }
    // Without a secret file, and where the file stays the same, a token may change an API.
    own.managed.write(vec![api(None, "Mail")], &token(), false).await.unwrap();
    let secret = own.folder.path().join("mail.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let secret = secret.to_str();
    let set = own.managed.write(vec![api(secret, "Mail")], &token(), false).await;
    assert!(matches!(set, Err(WriteError::InteractiveRequired(_))), "{set:?}");
    own.write(vec![api(secret, "Mail")]).await.unwrap();
    own.managed.write(vec![api(secret, "Mail again")], &token(), false).await.unwrap();
    let removed = own.managed.write(vec![api(None, "Mail again")], &token(), false).await;
    assert!(matches!(removed, Err(WriteError::InteractiveRequired(_))), "{removed:?}");
}

#[tokio::test]
async fn what_cannot_be_put_in_force_is_not_written() {
    let config = CONFIG.replace("MANAGE", "manage: { kinds: [apis] }");
    let own = replica(&config, None).await;
    // The files allow a longer life meanwhile, and that cannot be kept with the signing keys.
    write_config(own.folder.path(), &format!("{config}\ntokens: {{ max_ttl: 24h }}\n"));
    let longest_life = find(own.folder.path(), "longest-life").unwrap();
    std::fs::write(&longest_life, "not a number").unwrap();
    let api = put_if(ObjectKind::Apis, "mail", json!({ "audience": "https://mail.example" }), Expected::Any);
    let done = own.write(vec![api]).await;
    assert!(matches!(done, Err(WriteError::Invalid(_))), "{done:?}");
    assert_eq!(own.objects.objects().await.unwrap().sequence, 0, "nothing was written");
}

/// The file of that name in the folder or below.
fn find(folder: &std::path::Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, name) } else { path.ends_with(name).then_some(path) }
    })
}

#[tokio::test]
async fn a_change_that_comes_while_the_files_do_not_load_is_in_force_once_they_do() {
    let config = CONFIG.replace("MANAGE", "manage: { kinds: [apis, teams, service_accounts] }");
    let first = replica(&config, None).await;
    first.write(vec![account("bot", json!({})), account("other", json!({}))]).await.unwrap();
    let second = replica(&config, Some(&first)).await;
    let is_enabled = |name: &str| second.rules().account(name).unwrap().enabled;
    let api = |name: &str| {
        put_if(ObjectKind::Apis, name, json!({ "audience": format!("https://{name}.example") }), Expected::Any)
    };
    let path = write_config(second.folder.path(), "nonsense");
    // The account needs the API, and an API is never compiled without the files.
    let disabled = json!({ "enabled": false, "grants": { "mail": [] } });
    first.write(vec![api("mail"), account("bot", disabled)]).await.unwrap();
    assert!(!second.managed.catch_up().await.unwrap());
    assert!(second.managed.is_behind() && is_enabled("bot"));
    let refused = second.write(vec![account("third", json!({}))]).await;
    assert!(matches!(refused, Err(WriteError::Behind)), "{refused:?}");
    assert!(first.objects.objects().await.unwrap().objects.iter().all(|own| own.key.name != "third"));
    write_config(second.folder.path(), &config);
    assert!(second.managed.catch_up().await.unwrap());
    assert!(!second.managed.is_behind() && !is_enabled("bot"));
    assert_eq!(second.generation(), first.generation());
    assert_eq!(second.managed.view().sequence, first.managed.view().sequence);

    // What does not need the API is in force at once.
    std::fs::write(&path, "nonsense").unwrap();
    first.write(vec![api("news"), account("other", json!({ "enabled": false }))]).await.unwrap();
    assert!(!second.managed.catch_up().await.unwrap());
    assert!(second.managed.is_behind() && !is_enabled("other") && second.rules().api("news").is_none());
    write_config(second.folder.path(), &config);
    second.write(vec![account("third", json!({}))]).await.unwrap();
    first.managed.catch_up().await.unwrap();
    assert_eq!((second.generation(), second.accounts()), (first.generation(), first.accounts()));
}

#[tokio::test]
async fn a_server_decides_once_it_has_read_the_objects_even_if_the_files_do_not_load_just_then() {
    let first = replica(CONFIG, None).await;
    let own = replica(CONFIG, Some(&first)).await;
    first.write(vec![account("bot", json!({}))]).await.unwrap();
    let state = &own.base.state;
    own.base.set_lacks_objects(true);
    let managed = ManagedObjects::new(ManagedParts {
        store: Arc::clone(&own.objects),
        rules: Arc::new(ServerRules(Arc::clone(&own.base))),
        clock: state.service.shared_clock(),
        entropy: Arc::new(sts_jose::OsEntropy),
        recent: state.service.recent_decisions(),
        lock: Arc::clone(&own.lock),
    });
    let path = write_config(own.folder.path(), "nonsense");
    managed.read_now().await.unwrap();
    assert!(managed.is_loaded() && managed.is_behind());
    assert!(!state.service.snapshot().lacks_objects);
    assert!(own.accounts().contains_key("bot"), "{:?}", own.accounts());
    std::fs::write(&path, CONFIG.replace("MANAGE", "")).unwrap();
    managed.read_now().await.unwrap();
    assert!(managed.is_loaded() && !managed.is_behind());
    assert_eq!(own.generation(), first.generation());
}

#[tokio::test]
async fn the_keys_of_all_accounts_are_listed_account_by_account_the_oldest_first() {
    let own = replica(CONFIG, None).await;
    let service = &own.base.state.service;
    own.write(vec![account("bot", json!({}))]).await.unwrap();
    for (name, own_key) in [("octo", "a"), ("bot", "b"), ("octo", "c"), ("bot", "d")] {
        let request = ApiKeyRequest { name: own_key.to_owned(), ..key_of_account(name) };
        own.managed.create_api_key(request, &admin(), service).await.unwrap();
    }
    let one_by_one: Vec<_> =
        ["bot", "octo"].into_iter().flat_map(|name| own.managed.api_keys_of(name, service)).collect();
    assert_eq!(own.managed.api_keys(service), one_by_one);
    assert_eq!(one_by_one.len(), 4);
}
