//! Our signing keys.

use serde_json::{Value, json};
use sts_service::Service;

use super::OperationError;

/// The keys with what each is doing.
pub(super) fn list(service: &Service) -> Value {
    let now = service.clock().now();
    let keys: Vec<Value> = service
        .keyring()
        .keys()
        .iter()
        .map(|key| {
            json!({
                "kid": key.kid(),
                "algorithm": key.algorithm().name(),
                "phase": key.phase(now),
                "created": key.created,
                "signs_from": key.signs_from,
                "signs_until": key.signs_until,
                "published_until": key.published_until,
            })
        })
        .collect();
    json!({ "keys": keys })
}

/// Makes successors where none wait. `made` names those that were made now.
pub(super) fn rotate(service: &Service, by: &str) -> Result<Value, OperationError> {
    let rotated = service.keyring().rotate(service.clock().now());
    let made = rotated.map_err(|error| OperationError::Failed(error.to_string()))?;
    if made.is_empty() {
        tracing::info!(%by, "signing keys not rotated: their successors wait already");
    } else {
        tracing::warn!(%by, made = %json!(made), "signing keys rotated");
    }
    let mut value = list(service);
    if let Some(members) = value.as_object_mut() {
        members.insert("made".to_owned(), json!(made));
    }
    Ok(value)
}
