//! Claims on one-use tokens: whether a token was used, and by which request.

use serde_json::{Value, json};
use sts_service::Service;
use sts_store::{EarlierUse, TakenClaim};
use sts_types::Digest256;

use super::OperationError;

/// The claim of the key with these hexadecimal digits.
pub(super) async fn find(service: &Service, key: &str) -> Result<Value, OperationError> {
    let key: Digest256 = serde_json::from_value(json!(key))
        .map_err(|_| OperationError::NotFound("the key of a claim has 64 lower-case hexadecimal digits".to_owned()))?;
    match service.find_claim(key).await {
        Ok(taken) => Ok(answer(taken.as_ref())),
        Err(error) => {
            tracing::error!(%error, "the store did not answer");
            Err(OperationError::StoreUnavailable(NOT_LOOKED_UP))
        }
    }
}

pub(super) const NOT_LOOKED_UP: &str = "the claim on the token was not looked up";

fn answer(taken: Option<&TakenClaim>) -> Value {
    let earlier_use = taken.and_then(|taken| taken.earlier_use.as_ref());
    json!({ "taken": taken.is_some(), "earlier_use": earlier_use })
}

/// Reads an answer about the claim of `key`; `None` when it is none.
pub(crate) fn read(key: Digest256, value: &Value) -> Option<Option<TakenClaim>> {
    let is_taken = value.get("taken")?.as_bool()?;
    let earlier_use: Option<EarlierUse> = serde_json::from_value(value.get("earlier_use")?.clone()).ok()?;
    Some(is_taken.then_some(TakenClaim { key, earlier_use }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_types::RequestId;

    #[test]
    fn fld42_an_answer_is_read_as_it_was_written() {
        let key = Digest256([7; 32]);
        let earlier_use = EarlierUse {
            at_millis: 1_790_000_000_123,
            request_id: RequestId::new("01J8Z3QK5V6W7X8Y9ZABCDEFGH").unwrap(),
        };
        for taken in [
            None,
            Some(TakenClaim { key, earlier_use: None }),
            Some(TakenClaim { key, earlier_use: Some(earlier_use) }),
        ] {
            assert_eq!(read(key, &answer(taken.as_ref())), Some(taken));
        }
        assert_eq!(read(key, &json!({ "error": "no such path" })), None);
    }
}
