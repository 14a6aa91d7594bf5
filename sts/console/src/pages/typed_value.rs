//! Values of documents as the text of a field, so that none is lost on the way there and back.

use serde_json::Value;

/// `simple`, unless a browser would send back something else than `value`. Then the value as JSON.
pub(super) fn faithful(value: Option<&Value>, simple: String, read: impl Fn(&str) -> Value) -> String {
    match value {
        None | Some(Value::Null) => simple,
        Some(value) if is_same(value, &read(simple.trim())) => simple,
        Some(value) => value.to_string(),
    }
}

/// [`faithful`] for a field of one line, from which browsers take line breaks.
pub(super) fn faithful_line(value: Option<&Value>, simple: String, read: impl Fn(&str) -> Value) -> String {
    faithful(value, simple, |sent| read(&sent.replace(['\r', '\n'], "")))
}

/// A list, an object or a text that was typed as JSON.
pub(super) fn structured(typed: &str) -> Option<Value> {
    typed.starts_with(['[', '{', '"']).then(|| serde_json::from_str(typed).ok()).flatten()
}

/// Whether both say the same. A word and a list of one word do.
fn is_same(value: &Value, read: &Value) -> bool {
    match (value, read) {
        (Value::Array(values), Value::Array(read)) => {
            values.len() == read.len() && values.iter().zip(read).all(|(value, read)| is_same(value, read))
        }
        (Value::Object(values), Value::Object(read)) => {
            let same = |(key, value): (&String, &Value)| read.get(key).is_some_and(|read| is_same(value, read));
            values.len() == read.len() && values.iter().all(same)
        }
        (Value::Array(one), other @ Value::String(_)) | (other @ Value::String(_), Value::Array(one)) => {
            one.as_slice() == [other.clone()]
        }
        _ => value == read,
    }
}

/// What was typed in the place of `old`: a number for a number, and a switch for a switch.
pub(super) fn of_kind(old: Option<&Value>, typed: &str) -> Value {
    let read = serde_json::from_str::<Value>(typed).ok();
    let is_same_kind = |read: &Value| match old {
        Some(Value::Number(_)) => read.is_number(),
        Some(Value::Bool(_)) => read.is_boolean(),
        _ => false,
    };
    read.filter(is_same_kind).or_else(|| structured(typed)).unwrap_or_else(|| Value::from(typed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_that_would_come_back_as_another_is_typed_as_json() {
        let read = |typed: &str| structured(typed).unwrap_or_else(|| json!(typed));
        for (value, typed) in [
            (json!("a b"), "a b"),
            (json!(" a"), "\" a\""),
            (json!("a\nb"), "\"a\\nb\""),
            (json!("[1]"), "\"[1]\""),
            (json!("[a"), "[a"),
            (json!(["a", "b"]), "[\"a\",\"b\"]"),
        ] {
            let simple = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let shown = faithful_line(Some(&value), simple, read);
            assert_eq!((shown.as_str(), read(&shown)), (typed, value));
        }
    }

    #[test]
    fn a_number_stays_one() {
        assert_eq!(of_kind(Some(&json!(65)), "66"), json!(66));
        assert_eq!(of_kind(Some(&json!(true)), "false"), json!(false));
        assert_eq!(of_kind(Some(&json!("65")), "66"), json!("66"));
        assert_eq!(of_kind(Some(&json!(65)), "6*"), json!("6*"));
    }
}
