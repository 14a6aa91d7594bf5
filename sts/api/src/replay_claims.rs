//! Whether a one-use token was used: `/admin/v1/replay-claims/{key}`.

use serde::{Deserialize, Serialize};
use sts_types::RequestId;
use utoipa::ToSchema;

use crate::schema::RequestIdText;

/// The claim on a one-use token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayClaim {
    /// Whether the token was used.
    pub taken: bool,
    /// The exchange that it was spent on. Claims of earlier versions do not tell.
    #[schema(required)]
    pub earlier_use: Option<EarlierUse>,
}

/// The exchange that a one-use token was spent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarlierUse {
    /// When, in milliseconds since the epoch.
    pub at_millis: u64,
    /// Its request.
    #[schema(value_type = RequestIdText)]
    pub request_id: RequestId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld42_an_answer_is_read_as_it_was_written() {
        let earlier_use = EarlierUse {
            at_millis: 1_790_000_000_123,
            request_id: RequestId::new("01J8Z3QK5V6W7X8Y9ZABCDEFGH").unwrap(),
        };
        for claim in [
            ReplayClaim { taken: false, earlier_use: None },
            ReplayClaim { taken: true, earlier_use: None },
            ReplayClaim { taken: true, earlier_use: Some(earlier_use) },
        ] {
            let text = serde_json::to_string(&claim).unwrap();
            assert!(text.contains("earlier_use"), "{text}");
            assert_eq!(serde_json::from_str::<ReplayClaim>(&text).unwrap(), claim);
        }
        assert!(serde_json::from_str::<ReplayClaim>(r#"{"error":"no such path"}"#).is_err());
    }
}
