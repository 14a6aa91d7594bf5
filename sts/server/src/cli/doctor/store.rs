//! The store: as the running server sees it, or by a look at it that changes nothing.

use std::sync::Arc;

use sts_config::Settings;
use sts_store::Warning;
use sts_store::spec::{RedisSpec, StoreSpec, Topology};
use sts_store_embedded::{Examined, OpenError};
use sts_types::{Clock, Seal};

use super::row::{Row, Status};
use super::running::Running;
use super::{DISK, bounded};
use crate::components::{redis_watermark, store_path};
use crate::signing_keys;

const CHECK: &str = "store";

/// The rows of the store. `settings` is `None` where the configuration names none for certain.
pub(super) async fn rows(settings: Option<&Settings>, running: &Running, clock: &Arc<dyn Clock>) -> Vec<Row> {
    let subject = settings.map_or_else(|| "-".to_owned(), subject);
    if let Running::Yes { readiness, .. } = running {
        let warnings = readiness.store_warnings.iter().map(|warning| (warning.name.as_str(), warning.text.as_str()));
        let mut rows = vec![match readiness.store.as_str() {
            "ok" => Row::ok(CHECK, subject, "the server can use it"),
            fault => fault_row(&subject, fault),
        }];
        rows.extend(warnings.map(|(name, text)| warning_row(name, text)));
        return rows;
    }
    let Some(settings) = settings else {
        let cure = "correct `data_dir`, `store` and `signing` in the configuration";
        return vec![Row::fault(CHECK, "-", "the configuration does not say for certain which store it is", cure)];
    };
    let seal = match signing_keys::read(settings) {
        Ok((seal, _)) => seal,
        Err(error) => return vec![Row::fault(CHECK, subject, error.to_string(), "restore the signing keys")],
    };
    match &settings.store {
        StoreSpec::Embedded => {
            let path = store_path(settings);
            bounded(CHECK, DISK, move || vec![embedded(&path, seal.as_ref().map(|seal| seal as &dyn Seal))]).await
        }
        StoreSpec::Redis(spec) => {
            let seal = seal.map(|seal| Arc::new(seal) as Arc<dyn Seal>);
            redis(&subject, (**spec).clone(), seal, &**clock, settings).await
        }
    }
}

fn embedded(path: &std::path::Path, seal: Option<&dyn Seal>) -> Row {
    let subject = path.display();
    match (path.try_exists(), seal) {
        (Ok(false), _) => Row::ok(CHECK, subject, "it is not there yet; the server makes it when it starts"),
        (_, None) => {
            let found = "the key that seals it is missing, so its content cannot be trusted";
            Row::fault(CHECK, subject, found, "restore `seal.key` in the key directory")
        }
        (_, Some(seal)) => match sts_store_embedded::examine(path, seal) {
            Ok(Examined::Sound) => Row::ok(CHECK, subject, "it is sound, and no server has it open"),
            Ok(Examined::Doubtful(why)) => {
                let cure = "put the right file back, or accept the loss with `sts store accept-epoch`";
                Row::fault(CHECK, subject, format!("it cannot be trusted: {why}"), cure)
            }
            Err(OpenError::Held { .. }) => {
                let found = "another process has it open, whose admin listener is not where the configuration says";
                Row::warning(CHECK, subject, found, "look whether a server runs with another configuration")
            }
            Err(error) => Row::fault(CHECK, subject, error.to_string(), "restore it from a backup"),
        },
    }
}

async fn redis(
    subject: &str,
    spec: RedisSpec,
    seal: Option<Arc<dyn Seal>>,
    clock: &dyn Clock,
    settings: &Settings,
) -> Vec<Row> {
    match sts_store_redis::examine(spec, seal, clock, redis_watermark(settings)).await {
        Ok(warnings) => {
            let mut rows = vec![Row::ok(CHECK, subject, "it answers, and holds what this server knows of it")];
            rows.extend(warnings.iter().map(|Warning { name, text }| warning_row(name, text)));
            rows
        }
        Err(error) => vec![fault_row(subject, &error.to_string())],
    }
}

fn fault_row(subject: &str, text: &str) -> Row {
    Row::fault(CHECK, subject, text, "see \"The store\" in the documentation")
}

fn warning_row(name: &str, text: &str) -> Row {
    Row::of_text(Status::Warning, CHECK, name, text)
}

/// The store, without credentials.
fn subject(settings: &Settings) -> String {
    match &settings.store {
        StoreSpec::Embedded => store_path(settings).display().to_string(),
        StoreSpec::Redis(spec) => match &spec.topology {
            Topology::Single(node) => format!("Redis at {node}"),
            Topology::Cluster(nodes) => format!("Redis Cluster at {}", listed(nodes)),
            Topology::Sentinel { sentinels, name } => format!("Redis `{name}` behind {}", listed(sentinels)),
        },
    }
}

fn listed(nodes: &[sts_store::spec::Node]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
