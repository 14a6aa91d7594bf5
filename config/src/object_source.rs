//! Objects as JSON documents, and the places in them.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use sts_types::{JsonPointer, ObjectRef};

/// An object as a JSON document in the shape of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSource {
    /// Kind and name.
    pub object: ObjectRef,
    /// The text of the JSON document.
    pub spec: Arc<str>,
    /// The file that declares the object, and the line of its name there. `None` for a managed one.
    pub file: Option<(Arc<Path>, u32)>,
}

/// The pointer to the value of that number in the JSON document `text`.
pub(crate) fn pointer(text: &str, number: u32) -> JsonPointer {
    fn find(value: &Json, at: JsonPointer, rest: &mut u32) -> Option<JsonPointer> {
        *rest = rest.saturating_sub(1);
        if *rest == 0 {
            return Some(at);
        }
        match value {
            Json::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| find(item, at.clone().item(index), rest))
            }
            Json::Object(members) => members.iter().find_map(|(key, value)| find(value, at.clone().member(key), rest)),
            _ => None,
        }
    }
    let Ok(document) = serde_json::from_str(text) else { return JsonPointer::default() };
    find(&document, JsonPointer::default(), &mut number.max(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_has_a_number_that_leads_back_to_it() {
        let spec = json!({ "a": [1, { "b/c": null }], "d": {}, "e": "x" });
        let text = spec.to_string();
        let expected = ["", "/a", "/a/0", "/a/1", "/a/1/b~1c", "/d", "/e"];
        for (number, pointer_text) in (1..).zip(expected) {
            assert_eq!(pointer(&text, number).as_str(), pointer_text);
        }
        assert_eq!(pointer(&text, 99).as_str(), "");
        assert_eq!(pointer("no JSON", 2).as_str(), "");
    }
}
