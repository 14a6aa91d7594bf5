//! The subset of YAML that the configuration may use, parsed into a tree with source positions.
//!
//! A file is one document of mappings, sequences and scalars. Anchors, aliases, tags, merge keys
//! and duplicate keys are refused, each with a message of its own: they let a file mean something
//! other than what a reader sees.

mod mistake;
mod node;
mod parse;
mod scalar;
mod trap;

pub(crate) use node::{Entry, Node, Scalar, Value};
pub(crate) use parse::parse;
pub(crate) use scalar::{Plain, resolve};
