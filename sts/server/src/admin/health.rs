//! What the admin listener tells without a token: readiness in detail, and the metrics.

use sts_api::{DirectoryHealth, NamedStatus, Readiness, SetAsideObject, SinkStatus, StoreWarning};
use sts_directory::DirectoryStatus;
use sts_service::manage::{ManagedObjects, SetAside, rule_kind};
use sts_store::ObjectKey;

use super::issuer_state::{entry, family};
use crate::app_state::AppState;
use crate::metrics;

/// `GET /readyz`: whether exchanges can be served, in detail. The store and the signing keys are
/// asked.
pub(crate) async fn readiness(state: &AppState, is_draining: bool) -> Readiness {
    let (store, signing) = tokio::join!(state.store.look(&state.service), state.service.check_signing());
    let cache = state.issuers.borrow().clone();
    let warning =
        |warning: &sts_store::Warning| StoreWarning { name: warning.name.to_owned(), text: warning.text.clone() };
    let (told, warnings) = match &store {
        Ok(warnings) => ("ok".to_owned(), warnings.iter().map(warning).collect()),
        Err(error) => (error.to_string(), Vec::new()),
    };
    Readiness {
        ready: store.is_ok() && state.service.can_decide() && signing.is_ok() && !is_draining,
        store: told,
        store_warnings: warnings,
        configuration: configuration(state.metrics.is_stale()).to_owned(),
        managed_objects: state
            .managed()
            .map_or("ok", |managed| managed_status(managed.is_loaded(), managed.is_behind()))
            .to_owned(),
        set_aside: state.managed().map(|managed| set_aside(&managed)).unwrap_or_default(),
        signing: signing.map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        audit: audit(state),
        sinks: state.metrics.sinks().iter().map(sink).collect(),
        listeners: state.listeners.get().cloned().unwrap_or_default(),
        generation: state.service.snapshot().generation.clone(),
        issuers: cache
            .status()
            .into_iter()
            .map(|status| NamedStatus { name: status.name.clone(), status: entry(status) })
            .collect(),
        directories: directories(state),
        families: cache
            .families()
            .into_iter()
            .map(|status| NamedStatus { name: status.name.clone(), status: family(status) })
            .collect(),
    }
}

/// A sink that is broken makes no server unready, unless `audit.required` is set and no other sink takes
/// events.
fn audit(state: &AppState) -> String {
    let broken = state.audit.sinks().iter().map(|sink| sink.status()).filter(|status| !status.is_available);
    let broken = broken.map(|status| {
        let why = status.fault.unwrap_or_else(|| "its queue is full".to_owned());
        format!("{} takes no events: {why}", status.name)
    });
    let broken: Vec<String> = broken.collect();
    match (state.service.can_audit(), broken.is_empty()) {
        (true, true) => "ok".to_owned(),
        (true, false) => broken.join("; "),
        (false, _) => format!("`audit.required` is set, and no sink takes events: {}", broken.join("; ")),
    }
}

/// Directories never make a server unready: static teams go on, and external ones end by their age.
fn directories(state: &AppState) -> Vec<DirectoryHealth> {
    let now = state.service.clock().now();
    let health = |status: DirectoryStatus| DirectoryHealth {
        name: status.name.to_string(),
        age_seconds: status.last_success.map(|at| u64::try_from(now.since(at)).unwrap_or(0)),
        status: status.last_failure.map_or_else(|| "ok".to_owned(), |failure| failure.to_string()),
    };
    state.directories.status().into_iter().map(health).collect()
}

fn sink(own: &sts_audit::SinkStatus) -> SinkStatus {
    SinkStatus {
        name: own.name.to_owned(),
        ok: own.is_available,
        lost: own.lost,
        waiting_bytes: own.waiting_bytes as u64,
        error: own.fault.clone(),
    }
}

/// A server whose files were changed to something wrong stays ready: what was in force goes on.
const fn configuration(is_stale: bool) -> &'static str {
    if is_stale {
        "the last change of the files was refused, so an older one is in force: see the log, and repair the files"
    } else {
        "ok"
    }
}

/// A server that is behind stays ready: what was in force goes on, and the files need a person.
const fn managed_status(is_loaded: bool, is_behind: bool) -> &'static str {
    match (is_loaded, is_behind) {
        (_, true) => "changes in the store are not in force here, because the files do not load: repair the files",
        (false, false) => "they are not read from the store yet",
        (true, false) => "ok",
    }
}

fn managed_health(managed: &ManagedObjects) -> metrics::ManagedHealth {
    let view = managed.view();
    metrics::ManagedHealth {
        objects: view.objects.len(),
        set_aside: view.set_aside.len(),
        shadowed: managed.shadowed().len(),
        is_behind: managed.is_behind(),
        keys_to_expire: managed.api_keys_to_expire(),
    }
}

/// The managed objects that are not in force, each with its reason.
fn set_aside(managed: &ManagedObjects) -> Vec<SetAsideObject> {
    let view = managed.view();
    let own = |(key, aside): (&ObjectKey, &SetAside)| SetAsideObject {
        object: format!("{}/{}", rule_kind(key.kind).map_or("api-keys", sts_types::ObjectKind::name), key.name),
        why: aside.why.clone(),
    };
    view.set_aside.iter().map(own).collect()
}

/// `GET /metrics`.
pub(crate) async fn metrics_text(state: &AppState) -> String {
    // What was answered before is counted.
    state.service.told_of_exchanges().await;
    let cache = state.issuers.borrow().clone();
    state.metrics.render(
        &state.service.snapshot().generation,
        &cache.status(),
        &cache.families(),
        (state.service.status_lists(), state.service.clock().monotonic()),
        metrics::DroppedObservations {
            decisions: state.service.dropped_decisions(),
            refusals: state.service.dropped_refusals(),
        },
        metrics::Health {
            store: state.store.read(state.service.clock().monotonic()),
            can_sign: state.service.can_sign().is_ok(),
            managed: state.managed().map(|managed| managed_health(&managed)),
            directories: state.directories.status(),
            signing_keys: state.service.keyring().keys(),
            now: state.service.clock().now(),
            spans: state.traces.as_ref().map(|traces| traces.counts()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::managed_status;

    #[test]
    fn the_detail_of_readiness_names_what_keeps_managed_objects_from_being_in_force() {
        assert_eq!(managed_status(true, false), "ok");
        assert!(managed_status(false, false).contains("not read"));
        assert!(managed_status(true, true).contains("repair the files"));
        assert!(managed_status(false, true).contains("repair the files"));
    }
}
