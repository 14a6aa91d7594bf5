//! One JSON object, flat in memory: its names and texts lie in one string, its values in one list. A token has thirty claims and more;
//! as a tree each would be two allocations to make and two to free.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// An object of JSON. It is made by [`JsonObject::parse`], which is strict, or of a [`Map`].
#[derive(Clone, Debug, Default)]
pub struct JsonObject {
    /// Every name and every text, one behind the other.
    text: String,
    /// Every value in the order of its first octet: what is in a list or an object follows it. The first is the whole object.
    nodes: Vec<Node>,
    /// Mark and place of each member of the whole object, in the order of mark and name.
    index: Vec<(Mark, u32)>,
}

#[derive(Clone, Debug)]
struct Node {
    name: Name,
    value: Content,
    /// The place behind this value and everything in it.
    after: u32,
}

/// What a value is; of a list or an object, that it is one.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(Span),
    List,
    Object,
}

/// Where a text lies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    from: u32,
    to: u32,
}

/// The name of a member; in a list every name is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Name {
    span: Span,
    mark: Mark,
}

/// A few octets of a name, by which most names differ.
type Mark = u32;

const NOTHING: Node = Node { name: Name { span: Span { from: 0, to: 0 }, mark: 0 }, value: Content::Null, after: 0 };

impl JsonObject {
    /// Room for what `octets` of JSON usually hold.
    pub(crate) fn with_room_for(octets: usize) -> Self {
        let members = octets / 32 + 8;
        Self { text: String::with_capacity(octets), nodes: Vec::with_capacity(members), index: Vec::new() }
    }

    /// The member of that exact name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        let mark = mark_of(name);
        let from = self.index.partition_point(|(own, _)| *own < mark);
        let alike = self.index.get(from..)?.iter().take_while(|(own, _)| *own == mark);
        alike.map(|(_, at)| Json { of: self, at: *at }).find(|member| member.name() == name)
    }

    /// Every member, in the order of the text (of the map, when it was made of one).
    pub fn members(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        self.whole().members()
    }

    /// As a map.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        self.whole().to_map()
    }

    fn whole(&self) -> Json<'_> {
        Json { of: self, at: 0 }
    }

    pub(crate) fn add_text(&mut self, text: &str) -> Span {
        let from = place(self.text.len());
        self.text.push_str(text);
        Span { from, to: place(self.text.len()) }
    }

    pub(crate) fn add_name(&mut self, name: &str) -> Name {
        Name { span: self.add_text(name), mark: mark_of(name) }
    }

    /// Adds a value, and tells its place: a list or an object is closed when all in it was added.
    pub(crate) fn add(&mut self, name: Name, value: Content) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node { name, value, after: place(at + 1) });
        at
    }

    /// Says that nothing more is in the list or object at `at`.
    pub(crate) fn close(&mut self, at: usize) {
        let after = place(self.nodes.len());
        if let Some(own) = self.nodes.get_mut(at) {
            own.after = after;
        }
    }

    /// Puts the members of the closed object at `at` in order; `false` when two of them have one name.
    #[must_use]
    pub(crate) fn order_members(&mut self, at: usize) -> bool {
        let members = Json { of: self, at: place(at) }.inner();
        let mut index: Vec<(Mark, u32)> = members.map(|member| (member.node().name.mark, member.at)).collect();
        let order = |(mark, at): &(Mark, u32), (other, place): &(Mark, u32)| {
            mark.cmp(other).then_with(|| self.name_at(*at).cmp(self.name_at(*place)))
        };
        index.sort_unstable_by(order);
        let single = index.is_sorted_by(|a, b| order(a, b) == Ordering::Less);
        if at == 0 {
            self.index = index;
        }
        single
    }

    /// Whether it is an object, and not another value.
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
                let at = self.add(name, Content::List);
                list.iter().for_each(|value| self.copy(Name::default(), value));
                return self.close(at);
            }
            Value::Object(map) => return self.copy_map(name, map),
        };
        self.add(name, value);
    }

    fn copy_map(&mut self, name: Name, map: &Map<String, Value>) {
        let at = self.add(name, Content::Object);
        for (name, value) in map {
            let name = self.add_name(name);
            self.copy(name, value);
        }
        self.close(at);
        // A map has each name once.
        let _ = self.order_members(at);
    }

    fn name_at(&self, at: u32) -> &str {
        Json { of: self, at }.name()
    }

    fn at(&self, span: Span) -> &str {
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

/// Members in whatever order.
impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

/// A value in a [`JsonObject`].
#[derive(Clone, Copy)]
pub struct Json<'a> {
    of: &'a JsonObject,
    at: u32,
}

/// What a value is.
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
    /// What it is.
    #[must_use]
    pub fn kind(self) -> JsonKind<'a> {
        match &self.node().value {
            Content::Null => JsonKind::Null,
            Content::Bool(value) => JsonKind::Bool(*value),
            Content::Number(number) => JsonKind::Number(number),
            Content::Text(span) => JsonKind::Text(self.of.at(*span)),
            Content::List => JsonKind::List,
            Content::Object => JsonKind::Object,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.node().value, Content::Null)
    }

    /// Its text, when it is a string.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.kind() {
            JsonKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is one.
    #[must_use]
    pub fn as_number(self) -> Option<&'a Number> {
        match self.kind() {
            JsonKind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The number, when it is one that an `i64` holds.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// Of a list its elements, of anything else that one value.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        match self.node().value {
            Content::List => self.inner(),
            _ => Elements { of: self.of, at: self.at, end: self.node().after },
        }
    }

    /// The members of an object, in the order of [`JsonObject::members`]; of anything else none.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        let object = matches!(self.node().value, Content::Object);
        self.inner().filter(move |_| object).map(|member| (member.name(), member))
    }

    /// The member of that exact name, when it is an object that has it.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        if !matches!(self.node().value, Content::Object) {
            return None;
        }
        let mark = mark_of(name);
        self.inner().find(|member| member.node().name.mark == mark && member.name() == name)
    }

    /// As a tree.
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

    /// As a map, which is empty when it is not an object.
    #[must_use]
    pub fn to_map(self) -> Map<String, Value> {
        self.members().map(|(name, value)| (name.to_owned(), value.to_value())).collect()
    }

    fn name(self) -> &'a str {
        self.of.at(self.node().name.span)
    }

    /// What is in a list or object.
    fn inner(self) -> Elements<'a> {
        Elements { of: self.of, at: self.at.saturating_add(1), end: self.node().after }
    }

    fn node(self) -> &'a Node {
        self.of.nodes.get(self.at as usize).unwrap_or(&NOTHING)
    }
}

impl std::fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_value().fmt(f)
    }
}

/// Values beside one another.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    of: &'a JsonObject,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let own = Json { of: self.of, at: self.at };
        (self.at < self.end).then(|| {
            self.at = own.node().after;
            own
        })
    }
}

/// A place in a text or a list. Nothing that is parsed is as long as 4 GiB.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Length, first, middle and last octet.
fn mark_of(name: &str) -> Mark {
    let octets = name.as_bytes();
    let at = |place: usize| octets.get(place).copied().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "names whose lengths agree in the low octet are compared whole"
    )]
    let length = octets.len() as u8;
    Mark::from_be_bytes([length, at(0), at(octets.len() / 2), at(octets.len().wrapping_sub(1))])
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
        // One length, and the same octets at both ends and in the middle.
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
