//! What the admin listener tells without a token: readiness in detail, and the metrics.

use sts_api::{NamedStatus, Readiness, SetAsideObject, SinkStatus, StoreWarning};
use sts_service::manage::{ManagedObjects, SetAside, rule_kind};
use sts_store::ObjectKey;

use super::issuer_state::{entry, family};
use crate::app_state::AppState;
use crate::metrics;

/// `GET /readyz`: whether exchanges can be served, in detail. The store and the signing keys are
/// asked.
pub(crate) async fn readiness(state: &AppState, is_draining: bool) -> Readiness {
    let (store, signing) = tokio::join!(state.store.look(&state.service), state.service.check_signing());
    let is_audited = state.service.can_audit();
    let cache = state.issuers.borrow().clone();
    let warning =
        |warning: &sts_store::Warning| StoreWarning { name: warning.name.to_owned(), text: warning.text.clone() };
    let (told, warnings) = match &store {
        Ok(warnings) => ("ok".to_owned(), warnings.iter().map(warning).collect()),
        Err(error) => (error.to_string(), Vec::new()),
    };
    Readiness {
        ready: store.is_ok()
            && state.managed().is_none_or(|managed| managed.is_loaded())
            && signing.is_ok()
            && is_audited
            && !is_draining,
        store: told,
        store_warnings: warnings,
        managed_objects: state
            .managed()
            .map_or("ok", |managed| managed_status(managed.is_loaded(), managed.is_behind()))
            .to_owned(),
        set_aside: state.managed().map(|managed| set_aside(&managed)).unwrap_or_default(),
        signing: signing.map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        audit: if is_audited { "ok" } else { "no sink takes decision events, and `audit.required` is set" }.to_owned(),
        sinks: state.metrics.sinks().iter().map(sink).collect(),
        generation: state.service.snapshot().generation.clone(),
        issuers: cache
            .status()
            .into_iter()
            .map(|status| NamedStatus { name: status.name.clone(), status: entry(status) })
            .collect(),
        families: cache
            .families()
            .into_iter()
            .map(|status| NamedStatus { name: status.name.clone(), status: family(status) })
            .collect(),
    }
}

fn sink(own: &crate::sinks::SinkStatus) -> SinkStatus {
    SinkStatus {
        name: own.name.to_owned(),
        ok: own.is_available,
        lost: own.lost,
        waiting_bytes: own.waiting_bytes as u64,
        error: own.fault.clone(),
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
