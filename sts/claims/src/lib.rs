//! JSON in tokens and requests, parsed strictly, and the claims of a token.
//!
//! One parser serves JOSE headers, claims and request bodies. It refuses duplicate members (RFC
//! 8259 section 4 leaves their meaning open), nesting deeper than [`MAX_JSON_DEPTH`], and anything
//! after the value.

mod claim_set;
mod json_object;
mod strict_json;

pub use claim_set::{ClaimPath, ClaimPathError, ClaimSet};
pub use json_object::{Elements, Json, JsonKind, JsonObject};
pub use strict_json::{MAX_JSON_DEPTH, StrictJsonError, parse_object};
