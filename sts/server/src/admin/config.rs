//! The configuration that is in force: `/admin/v1/config`. It holds no secret, only the names of their files.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sts_audit::{AuditSpec, FileSpec};
use sts_config::{ConsoleProvider, LogFormat, Settings};
use sts_keyring::{KeyStoreSpec, KeyringSpec, Pkcs11Spec};
use sts_policy::{ConsoleSpec, TokensSpec};
use sts_store::spec::{Node, RedisSpec, StoreSpec, Topology};
use sts_types::ObjectKind;

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, managed};
use crate::app_state::AppState;
use crate::openapi::{EffectiveConfig, Model};
use crate::openid_provider::conditions_json;

pub(super) const ROUTES: &[Route] = &[Route::to::<ShowConfig>()];

/// The configuration in force, from both sources, with defaults filled in.
#[derive(Debug)]
pub(crate) struct ShowConfig;

impl Operation for ShowConfig {
    type Answer = Value;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/config",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "showConfig",
            summary: "The configuration in force, without secrets, with its generation and sources",
            body: None,
            answer: Some(Model::of::<EffectiveConfig>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::default()
    }

    fn not_done(&self) -> &'static str {
        "nothing was shown"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Value, OperationError> {
        let mut document = managed::rules(state)?.ask(|compiled| {
            let mut document = settings(&compiled.settings, &compiled.rules.frame().tokens);
            document.extend(compiled.console.as_ref().map(|configured| ("console".to_owned(), console(configured))));
            document.insert("generation".to_owned(), json!(compiled.generation));
            let files: Vec<String> = compiled.files.iter().map(|file| path(file)).collect();
            document.insert("sources".to_owned(), json!({ "files": files }));
            document
        });
        for kind in ObjectKind::ALL {
            let page = managed::page(state, kind, None, usize::MAX, |_, _| true, |_| true).await?;
            let in_force = page.items.into_iter().filter(|object| object.not_in_force.is_none());
            let objects = in_force.map(|object| (object.name, Value::Object(object.spec))).collect();
            document.insert(kind.key().to_owned(), Value::Object(objects));
        }
        let count = managed::engine(state)?.view().objects.len();
        if let Some(Value::Object(sources)) = document.get_mut("sources") {
            sources.insert("managed_objects".to_owned(), json!(count));
        }
        Ok(Value::Object(document))
    }
}

fn settings(settings: &Settings, tokens: &TokensSpec) -> Map<String, Value> {
    let Settings { issuer, listen, behind_tls_proxy, admin, data_dir, store, keyring, .. } = settings;
    let tls = |files: &Option<sts_config::TlsFiles>| {
        files.as_ref().map(|files| json!({ "cert_file": path(&files.cert_file), "key_file": path(&files.key_file) }))
    };
    let proxies: Vec<String> = behind_tls_proxy.iter().map(ToString::to_string).collect();
    let kinds: Vec<&str> = settings.managed_kinds.iter().map(|kind| kind.key()).collect();
    let (limits, log, api_keys) = (&settings.limits, &settings.log, &settings.api_keys);
    let document = json!({
        "issuer": issuer,
        "listen": listen,
        "tls": tls(&settings.tls),
        "behind_tls_proxy": proxies,
        "admin": { "listen": admin.listen, "hosts": admin.hosts, "tls": tls(&admin.tls) },
        "data_dir": path(data_dir),
        "store": self::store(store),
        "signing": signing(keyring),
        "tokens": {
            "ttl": seconds(u64::from(tokens.ttl.value.as_secs())),
            "max_ttl": seconds(u64::from(tokens.max_ttl.value.as_secs())),
            "cap_to_subject": settings.cap_to_subject,
            "require_account": tokens.require_account,
            "ignore_scopes": tokens.ignore_scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "copy_claims": tokens.copy_claims.iter().map(|claim| claim.value.clone()).collect::<Vec<_>>(),
        },
        "status_list": settings.status_list,
        "api_keys": {
            "enabled": api_keys.enabled,
            "default_ttl": seconds(api_keys.default_ttl),
            "max_ttl": seconds(api_keys.max_ttl),
        },
        "manage": { "kinds": kinds },
        "limits": {
            "failures_per_second": limits.failures_per_second,
            "failure_burst": limits.failure_burst,
            "connections": limits.connections,
            "keep_alive": duration(limits.keep_alive),
        },
        "shutdown": { "drain": duration(settings.drain) },
        "log": { "format": match log.format { LogFormat::Text => "text", LogFormat::Json => "json" }, "level": log.level.name(), "claims": log.claims },
        "audit": audit(&settings.audit),
    });
    let Value::Object(members) = document else { return Map::new() };
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn console(configured: &ConsoleProvider) -> Value {
    let ConsoleSpec { issuer, admin, read } = &configured.rules;
    let document = json!({
        "issuer": issuer.value,
        "client_id": configured.client_id.as_str(),
        "client_secret_file": configured.client_secret_file.as_deref().map(path),
        "scopes": configured.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "admin": admin.as_ref().map(conditions_json),
        "read": read.as_ref().map(conditions_json),
        "ca_file": configured.keys.ca_file.as_deref().map(path),
        "proxy": configured.keys.proxy.as_ref().map(ToString::to_string),
    });
    let Value::Object(members) = document else { return document };
    members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
}

fn audit(spec: &AuditSpec) -> Value {
    let AuditSpec { file, syslog, required } = spec;
    let mut members = Map::from_iter([("required".to_owned(), json!(required))]);
    if let Some(FileSpec { path, max_size, max_files }) = file {
        let file = json!({ "path": path.to_string_lossy(), "max_size": max_size, "max_files": max_files });
        members.insert("file".to_owned(), file);
    }
    if let Some(target) = syslog {
        members.insert("syslog".to_owned(), json!(target.to_string()));
    }
    members.into()
}

fn store(spec: &StoreSpec) -> Value {
    match spec {
        StoreSpec::Embedded => json!("embedded"),
        StoreSpec::Redis(redis) => {
            let RedisSpec { topology, database, tls, username, password_file, prefix, timeout, wait_replicas, shards } =
                &**redis;
            let nodes = |nodes: &[Node]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let scheme = if tls.is_some() { "rediss" } else { "redis" };
            let url = match topology {
                Topology::Single(node) => format!("{scheme}://{node}/{database}"),
                Topology::Cluster(all) => format!("{scheme}-cluster://{}", nodes(all)),
                Topology::Sentinel { sentinels, name } => {
                    format!("{scheme}-sentinel://{}/{name}/{database}", nodes(sentinels))
                }
            };
            json!({
                "url": url,
                "username": username,
                "password_file": password_file.as_deref().map(path),
                "ca_file": tls.as_ref().and_then(|tls| tls.ca_file.as_deref()).map(path),
                "prefix": prefix,
                "timeout": duration(*timeout),
                "wait_replicas": wait_replicas,
                "shards": shards.get(),
            })
        }
    }
}

fn signing(keyring: &KeyringSpec) -> Value {
    let KeyringSpec { store, device, algorithms, rotate_every, max_ttl: _ } = keyring;
    let (place, keys_dir, seal_key_file) = match store {
        KeyStoreSpec::Directory(directory) => ("directory", path(directory), None),
        KeyStoreSpec::Redis { seal_key_files, earlier } => {
            ("redis", path(earlier), Some(seal_key_files.iter().map(|file| path(file)).collect::<Vec<_>>()))
        }
    };
    let device = device.as_ref().map(|Pkcs11Spec { module, token_label, pin_file }| {
        json!({ "module": path(module), "token_label": token_label, "pin_file": path(pin_file) })
    });
    json!({
        "algorithms": algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>(),
        "rotate_every": rotate_every.map(seconds),
        "store": place,
        "keys_dir": keys_dir,
        "seal_key_file": seal_key_file,
        "pkcs11": device,
    })
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => seconds(duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// As the configuration writes it: `15m`.
fn seconds(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m")] {
        if seconds > 0 && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ShowConfig);
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for (given, shown) in [(0, "0s"), (90, "90s"), (900, "15m"), (3600, "1h"), (2_592_000, "30d"), (3660, "61m")] {
            assert_eq!(seconds(given), shown);
        }
        assert_eq!(duration(Duration::from_millis(250)), "250ms");
    }
}
