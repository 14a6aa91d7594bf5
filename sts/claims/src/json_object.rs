//! A JSON object stored flat: one string for all names and texts, and one list for all values. A
//! token has thirty claims or more, and a tree would cost two allocations and two frees per claim.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};
use smallvec::SmallVec;

/// A JSON object. Made by [`JsonObject::parse`], which is strict, or from a [`Map`].
#[derive(Clone, Debug, Default)]
pub struct JsonObject {
    /// All names and texts, concatenated.
    text: String,
    /// All values in document order. The content of a list or object follows it. The first node is
    /// the whole object.
    nodes: Vec<Node>,
    /// Mark and node index of the top-level members, sorted by mark and name.
    index: Vec<(Mark, u32)>,
}

#[derive(Clone, Debug)]
struct Node {
    name: Name,
    value: Content,
    /// Index of the node after this value and its content.
    after: u32,
}

/// A value. For a list or object only the type: its content is in the nodes that follow.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(Span),
    List,
    Object,
}

/// The range of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    from: u32,
    to: u32,
}

/// The name of a member. It is empty for elements of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Name {
    span: Span,
    mark: Mark,
}

/// A few octets of a name. They differ for most names.
type Mark = u32;

const NOTHING: Node = Node { name: Name { span: Span { from: 0, to: 0 }, mark: 0 }, value: Content::Null, after: 0 };

impl JsonObject {
    /// An empty object with capacity for the usual content of `octets` of JSON.
    pub(crate) fn with_room_for(octets: usize) -> Self {
        let members = octets / 32 + 8;
        Self { text: String::with_capacity(octets), nodes: Vec::with_capacity(members), index: Vec::new() }
    }

    /// The member with exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        let mark = mark_of(name);
        let from = self.index.partition_point(|(other, _)| *other < mark);
        let alike = self.index.get(from..)?.iter().take_while(|(other, _)| *other == mark);
        alike.map(|(_, node_index)| Json { object: self, node_index: *node_index }).find(|member| member.name() == name)
    }

    /// All members, in the order of the text or of the map they were made from.
    pub fn members(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        self.whole().members()
    }

    /// As a map.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        self.whole().to_map()
    }

    fn whole(&self) -> Json<'_> {
        Json { object: self, node_index: 0 }
    }

    pub(crate) fn add_text(&mut self, text: &str) -> Span {
        let from = place(self.text.len());
        self.text.push_str(text);
        Span { from, to: place(self.text.len()) }
    }

    pub(crate) fn add_name(&mut self, name: &str) -> Name {
        Name { span: self.add_text(name), mark: mark_of(name) }
    }

    /// Adds a value and returns its node index. A list or object must be closed after its content
    /// was added.
    pub(crate) fn add(&mut self, name: Name, value: Content) -> usize {
        let node_index = self.nodes.len();
        self.nodes.push(Node { name, value, after: place(node_index + 1) });
        node_index
    }

    /// Marks the list or object at `node_index` as complete.
    pub(crate) fn close(&mut self, node_index: usize) {
        let after = place(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(node_index) {
            node.after = after;
        }
    }

    /// Sorts the members of the closed object at `node_index`. Returns false if two have the same
    /// name.
    #[must_use]
    pub(crate) fn order_members(&mut self, node_index: usize) -> bool {
        let members = Json { object: self, node_index: place(node_index) }.inner();
        // Only the index of the whole object is kept, and few others have more members than fit here.
        let mut index: SmallVec<[(Mark, u32); 24]> =
            members.map(|member| (member.node().name.mark, member.node_index)).collect();
        let order = |(mark, node_index): &(Mark, u32), (other, place): &(Mark, u32)| {
            mark.cmp(other).then_with(|| self.name_at(*node_index).cmp(self.name_at(*place)))
        };
        index.sort_unstable_by(order);
        let single = index.is_sorted_by(|a, b| order(a, b) == Ordering::Less);
        if node_index == 0 {
            self.index = index.into_vec();
        }
        single
    }

    /// Whether the whole value is an object.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self.nodes.first(), Some(Node { value: Content::Object, .. }))
    }

    fn copy(&mut self, name: Name, value: &Value) {
        let value = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => Content::Number(number.clone()),
            Value::String(text) => Content::Text(self.add_text(text)),
            Value::Array(list) => {
                let node_index = self.add(name, Content::List);
                list.iter().for_each(|value| self.copy(Name::default(), value));
                return self.close(node_index);
            }
            Value::Object(map) => return self.copy_map(name, map),
        };
        self.add(name, value);
    }

    fn copy_map(&mut self, name: Name, map: &Map<String, Value>) {
        let node_index = self.add(name, Content::Object);
        for (name, value) in map {
            let name = self.add_name(name);
            self.copy(name, value);
        }
        self.close(node_index);
        // A map has no duplicate names.
        let _ = self.order_members(node_index);
    }

    fn name_at(&self, node_index: u32) -> &str {
        Json { object: self, node_index }.name()
    }

    fn text_at(&self, span: Span) -> &str {
        self.text.get(span.from as usize..span.to as usize).unwrap_or_default()
    }
}

impl From<&Map<String, Value>> for JsonObject {
    fn from(map: &Map<String, Value>) -> Self {
        let mut object = Self::default();
        object.copy_map(Name::default(), map);
        object
    }
}

/// Equal if the members are equal, in any order.
impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

/// A value in a [`JsonObject`].
#[derive(Clone, Copy)]
pub struct Json<'a> {
    object: &'a JsonObject,
    node_index: u32,
}

/// The type of a value, with the value itself if it is a scalar.
#[derive(Clone, Copy, Debug)]
pub enum JsonKind<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(&'a Number),
    /// A string.
    Text(&'a str),
    /// A list: see [`Json::elements`].
    List,
    /// An object: see [`Json::members`].
    Object,
}

impl<'a> Json<'a> {
    /// The value's type and scalar value.
    #[must_use]
    pub fn kind(self) -> JsonKind<'a> {
        match &self.node().value {
            Content::Null => JsonKind::Null,
            Content::Bool(value) => JsonKind::Bool(*value),
            Content::Number(number) => JsonKind::Number(number),
            Content::Text(span) => JsonKind::Text(self.object.text_at(*span)),
            Content::List => JsonKind::List,
            Content::Object => JsonKind::Object,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.node().value, Content::Null)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.kind() {
            JsonKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(self) -> Option<&'a Number> {
        match self.kind() {
            JsonKind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if it fits in an `i64`.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The elements of a list. Any other value counts as a list with one element, as in `aud`.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        match self.node().value {
            Content::List => self.inner(),
            _ => Elements { object: self.object, node_index: self.node_index, end: self.node().after },
        }
    }

    /// The members of an object in document order; empty for any other value.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        let object = matches!(self.node().value, Content::Object);
        self.inner().filter(move |_| object).map(|member| (member.name(), member))
    }

    /// The member with exactly this name, if this is an object.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        if !matches!(self.node().value, Content::Object) {
            return None;
        }
        let mark = mark_of(name);
        self.inner().find(|member| member.node().name.mark == mark && member.name() == name)
    }

    /// The value as a tree.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self.kind() {
            JsonKind::Null => Value::Null,
            JsonKind::Bool(value) => Value::Bool(value),
            JsonKind::Number(number) => Value::Number(number.clone()),
            JsonKind::Text(text) => Value::String(text.to_owned()),
            JsonKind::List => Value::Array(self.inner().map(Json::to_value).collect()),
            JsonKind::Object => Value::Object(self.to_map()),
        }
    }

    /// The members as a map; empty if this is not an object.
    #[must_use]
    pub fn to_map(self) -> Map<String, Value> {
        self.members().map(|(name, value)| (name.to_owned(), value.to_value())).collect()
    }

    fn name(self) -> &'a str {
        self.object.text_at(self.node().name.span)
    }

    /// The content of a list or object.
    fn inner(self) -> Elements<'a> {
        Elements { object: self.object, node_index: self.node_index.saturating_add(1), end: self.node().after }
    }

    fn node(self) -> &'a Node {
        self.object.nodes.get(self.node_index as usize).unwrap_or(&NOTHING)
    }
}

impl std::fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_value().fmt(f)
    }
}

/// Iterator over sibling values.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    object: &'a JsonObject,
    node_index: u32,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let value = Json { object: self.object, node_index: self.node_index };
        (self.node_index < self.end).then(|| {
            self.node_index = value.node().after;
            value
        })
    }
}

/// Converts a position. No document that is parsed reaches 4 GiB.
fn place(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Length, and the first, middle and last octet.
fn mark_of(name: &str) -> Mark {
    let octets = name.as_bytes();
    let octet_at = |position: usize| octets.get(position).copied().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "names whose lengths agree in the low octet are compared whole"
    )]
    let length = octets.len() as u8;
    Mark::from_be_bytes([length, octet_at(0), octet_at(octets.len() / 2), octet_at(octets.len().wrapping_sub(1))])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let name = || "[a\\\\\"\u{e9}]{0,2}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            name().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map(name(), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_is_what_another_reader_reads(members in proptest::collection::btree_map("[ab]{0,3}", json(), 0..40)) {
            let text = Value::Object(members.into_iter().collect()).to_string();
            let map: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let parsed = JsonObject::parse(text.as_bytes()).unwrap();
            for object in [&parsed, &JsonObject::from(&map)] {
                prop_assert_eq!(&object.to_map(), &map);
                prop_assert_eq!(object.members().count(), map.len());
                for (name, value) in &map {
                    let own = object.get(name).unwrap();
                    prop_assert_eq!(&own.to_value(), value);
                    let elements = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                    prop_assert_eq!(own.elements().map(Json::to_value).collect::<Vec<_>>(), elements);
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        prop_assert_eq!(&own.get(name).unwrap().to_value(), inner);
                    }
                }
                prop_assert!(object.get("c").is_none());
            }
        }
    }

    #[test]
    fn c035_names_that_look_alike_are_told_apart_and_the_same_name_twice_is_seen() {
        // Same length, and the same first, middle and last octets.
        let names: Vec<String> = (0..2_000).map(|n| format!("a{n:04}m{:04}z", n ^ 0x5a5)).collect();
        let text = |names: &[String]| {
            let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":\"{name}\"")).collect();
            format!("{{{}}}", members.join(","))
        };
        let object = JsonObject::parse(text(&names).as_bytes()).unwrap();
        for name in &names {
            assert_eq!(object.get(name).and_then(Json::as_str), Some(name.as_str()));
        }
        assert!(object.get("a0000m0000z").is_none());
        let nested = format!("{{\"n\":{}}}", text(&names));
        let nested = JsonObject::parse(nested.as_bytes()).unwrap();
        let nested = nested.get("n").unwrap();
        for name in &names {
            assert_eq!(nested.get(name).and_then(Json::as_str), Some(name.as_str()));
        }
        assert!(nested.get("a0000m0000z").is_none());
        for twice in [0, 1, 999, 1_999] {
            let mut names = names.clone();
            names.push(names[twice].clone());
            assert!(JsonObject::parse(text(&names).as_bytes()).is_err(), "{twice}");
        }
    }

    #[test]
    fn an_object_of_nothing_has_no_members() {
        for object in [JsonObject::default(), JsonObject::parse(b"{}").unwrap()] {
            assert!(object.get("").is_none());
            assert_eq!(object.members().count(), 0);
            assert_eq!(object, JsonObject::from(&Map::new()));
        }
        let object = JsonObject::parse(br#"{"":{"a":[]},"b":[{"a":1}]}"#).unwrap();
        assert_eq!(object.get("").unwrap().get("a").unwrap().elements().count(), 0);
        assert!(object.get("b").unwrap().get("a").is_none(), "of a list there are no members");
        assert_eq!(object.get("b").unwrap().members().count(), 0);
        assert_eq!(object.to_map(), json!({ "": { "a": [] }, "b": [{ "a": 1 }] }).as_object().cloned().unwrap());
    }
}
