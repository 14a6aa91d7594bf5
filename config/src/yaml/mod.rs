//! The part of YAML that is read, as a tree in which everything knows its place.
//!
//! One document of mappings, sequences and scalars. Anchors, aliases, tags, merge keys and duplicate keys are refused by name:
//! each is a way for a file to mean something else than what a reader sees.

mod parse;
mod scalar;
mod trap;

pub(crate) use parse::parse;
pub(crate) use scalar::{Plain, resolve};

use crate::source::Span;

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it is: the whole of a scalar or flow collection; for a block collection and for nothing at all, the key it stands
    /// under, or its first entry.
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// What has been complained about already.
    Broken,
}

/// A scalar's text, and whether it was written without quotes (only then can it mean anything but a text).
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) plain: bool,
}

/// One member of a mapping. Where the key was refused, it is empty and the value broken.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

impl Node {
    /// Whether nothing was written: `key:` and the end of the line.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty())
    }

    /// Whether it is `[]`.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::Sequence(items) if items.is_empty())
    }

    /// Whether anything in it was complained about when it was parsed.
    pub(crate) fn is_broken(&self) -> bool {
        match &self.value {
            Value::Scalar(_) => false,
            Value::Sequence(items) => items.iter().any(Self::is_broken),
            Value::Mapping(entries) => entries.iter().any(|entry| entry.node.is_broken()),
            Value::Broken => true,
        }
    }
}
