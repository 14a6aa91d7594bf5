//! Builds the tree from parser events.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use sts_types::CheckCode;

use super::mistake::Mistake;
use super::node::{Entry, Node, Scalar, Value};
use super::trap;
use crate::quote::quoted;
use crate::report::Report;
use crate::source::{FileId, Span};

/// Deepest nesting of a file.
const MAX_DEPTH: usize = 64;
/// Most values of a file.
const MAX_NODES: usize = 1_000_000;
/// Mappings with fewer keys find duplicates by a linear search. Most mappings are that small, and a
/// hash map for each would take longer.
const MANY: usize = 16;
/// Bound on the reported anchors, tags and duplicate keys of a file.
const MAX_MISTAKES: usize = 200;
/// Bound on the syntax errors of a file that the parser recovers from.
const MAX_REPAIRS: usize = 20;

/// Parses the text of one file. Findings go into `report`. Returns `None` if there is no tree to
/// read. An empty file is an empty mapping.
///
/// The parser recovers from a mistake of known extent (see [`trap`]), so that one run reports the
/// later mistakes, too. It patches the text and parses again; the value at the patch is
/// [`Value::Broken`].
pub(crate) fn parse(file: FileId, text: &str, report: &mut Report) -> Option<Node> {
    let mut text = Cow::Borrowed(text);
    let mut patches: Vec<(u32, u32)> = Vec::new();
    let mut findings = Vec::new();
    for _ in 0..=MAX_REPAIRS {
        let mut builder =
            Builder { file, patches: &patches, findings: Vec::new(), open: Vec::new(), root: None, nodes: 0 };
        match builder.run(&text) {
            Ok(()) => {
                findings.append(&mut builder.findings);
                let nothing = Node { span: Span::start_of(file), value: Value::Mapping(Vec::new()) };
                findings.into_iter().for_each(|mistake| mistake.report(report));
                return Some(builder.root.unwrap_or(nothing));
            }
            Err(ParseStop::Budget(mistake)) => {
                findings.append(&mut builder.findings);
                findings.push(mistake);
                break;
            }
            Err(ParseStop::Syntax(error)) => {
                let trap = trap::explain(&text, file, &error);
                let patched = trap.patch.and_then(|span| patch(&text, span));
                findings.push(trap.mistake);
                let Some((patched, at)) = patched else {
                    // Only here: after a patch, the next pass finds these mistakes again.
                    findings.append(&mut builder.findings);
                    break;
                };
                text = Cow::Owned(patched);
                patches.push(at);
            }
        }
    }
    findings.into_iter().for_each(|mistake| mistake.report(report));
    None
}

/// Replaces the characters of `span`, which is on one line, by as many `x`. All later positions
/// stay the same.
fn patch(text: &str, span: Span) -> Option<(String, (u32, u32))> {
    let length = usize::try_from(span.end_column.checked_sub(span.column)?).ok()?;
    let line_index = usize::try_from(span.line).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line_index).map(str::len).sum();
    let line = text.get(start..)?;
    let skipped: usize =
        line.chars().take(usize::try_from(span.column).ok()?.checked_sub(1)?).map(char::len_utf8).sum();
    let from = start + skipped;
    let replaced: usize = text.get(from..)?.chars().take(length).map(char::len_utf8).sum();
    let (before, rest) = (text.get(..from)?, text.get(from + replaced..)?);
    (length > 0).then(|| (format!("{before}{}{rest}", "x".repeat(length)), (span.line, span.column)))
}

enum ParseStop {
    Syntax(saphyr_parser::ScanError),
    Budget(Mistake),
}

fn too_large(span: Span, message: String, help: &str) -> ParseStop {
    ParseStop::Budget(Mistake { code: CheckCode::YamlTooLarge, span, message, help: Some(help.to_owned()) })
}

/// A collection whose end the parser has not reached yet.
struct Open {
    span: Span,
    flow: bool,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// The key whose value comes next; `Some(None)` if that key was refused.
        key: Option<Option<(String, Span)>>,
        /// Index of each key in `entries`. Empty until there are [`MANY`].
        seen: HashMap<String, usize>,
    },
}

struct Builder<'p> {
    file: FileId,
    patches: &'p [(u32, u32)],
    findings: Vec<Mistake>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn run(&mut self, text: &str) -> Result<(), ParseStop> {
        let mut documents = 0;
        for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            let (event, range) = event.map_err(ParseStop::Syntax)?;
            let span = self.span(range);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(ParseStop::Budget(Mistake {
                            code: CheckCode::YamlMultipleDocuments,
                            span,
                            message: "a second YAML document begins here".to_owned(),
                            help: Some(
                                "a file has one document: move the part after `---` into another file".to_owned(),
                            ),
                        }));
                    }
                }
                Event::Scalar(value, style, anchor, tag) => {
                    let refused = self.refuse_properties(text, span, anchor, tag.as_deref());
                    self.scalar(value, style, span, refused)?;
                }
                Event::Alias(_) => {
                    self.findings.push(Mistake {
                        code: CheckCode::YamlAlias,
                        span,
                        message: "aliases (`*`) are not supported".to_owned(),
                        help: Some(
                            "write the value out; if this is a string that begins with `*`, put it in single quotes: '*'"
                                .to_owned(),
                        ),
                    });
                    self.value(Node { span, value: Value::Broken })?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_properties(text, span, anchor, tag.as_deref());
                    self.begin(span, !range.is_empty(), Kind::Sequence(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_properties(text, span, anchor, tag.as_deref());
                    let kind = Kind::Mapping { entries: Vec::new(), key: None, seen: HashMap::new() };
                    self.begin(span, !range.is_empty(), kind)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn span(&self, range: saphyr_parser::Span) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            line: number(range.start.line()),
            column: number(range.start.col()).saturating_add(1),
            end_line: number(range.end.line()),
            end_column: number(range.end.col()).saturating_add(1),
        }
    }

    /// Reports the anchor and the tag of a node, and returns whether there was one. Both are
    /// refused because they change the meaning of a text from another place.
    fn refuse_properties(&mut self, text: &str, span: Span, anchor: usize, tag: Option<&saphyr_parser::Tag>) -> bool {
        let refused = [
            (
                anchor != 0,
                '&',
                CheckCode::YamlAnchor,
                "anchors (`&`) are not supported",
                "write the value at each place that uses it",
            ),
            (tag.is_some(), '!', CheckCode::YamlTag, "tags (`!`) are not supported", "remove it"),
        ];
        for (_, mark, code, message, advice) in refused.iter().filter(|(is_present, ..)| *is_present) {
            let line = usize::try_from(span.line)
                .ok()
                .and_then(|line| text.split('\n').nth(line.checked_sub(1)?))
                .unwrap_or("");
            let (span, form) = trap::value_with(line, span, *mark);
            let help = match form {
                Some(form) => format!("{advice}; for a string that begins with `{mark}`, write {}", quoted(&form)),
                None => format!("{advice}; for a string that begins with `{mark}`, use quotes"),
            };
            self.findings.push(Mistake { code: *code, span, message: (*message).to_owned(), help: Some(help) });
        }
        refused.iter().any(|(is_present, ..)| *is_present)
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, span: Span, refused: bool) -> Result<(), ParseStop> {
        let value = if refused || self.patches.contains(&(span.line, span.column)) {
            Value::Broken
        } else {
            Value::Scalar(Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
        };
        self.value(Node { span, value })
    }

    fn begin(&mut self, span: Span, flow: bool, kind: Kind) -> Result<(), ParseStop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_large(span, format!("nested more than {MAX_DEPTH} deep"), "nest less deeply"));
        }
        self.open.push(Open { span, flow, kind });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), ParseStop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let mut span = open.span;
        if open.flow {
            (span.end_line, span.end_column) = (end.end_line, end.end_column);
        }
        let value = match open.kind {
            // There are very many collections, and spare capacity would double their memory.
            Kind::Sequence(mut items) => {
                items.shrink_to_fit();
                if let (false, Some(first)) = (open.flow, items.first()) {
                    span = first.span;
                }
                Value::Sequence(items)
            }
            Kind::Mapping { mut entries, .. } => {
                entries.shrink_to_fit();
                if let (false, Some(first)) = (open.flow, entries.first()) {
                    span = first.key_span;
                }
                Value::Mapping(entries)
            }
        };
        self.value_of(Node { span, value }, open.flow)
    }

    fn value(&mut self, node: Node) -> Result<(), ParseStop> {
        self.value_of(node, true)
    }

    /// Adds a finished value to the open collection. If the value has no extent of its own to
    /// underline (`shows` is false), findings about it underline its key.
    fn value_of(&mut self, mut node: Node, shows: bool) -> Result<(), ParseStop> {
        self.nodes += 1;
        if self.findings.len() >= MAX_MISTAKES {
            let message = format!("the file has more than {MAX_MISTAKES} mistakes; the rest of it was not read");
            return Err(too_large(node.span, message, "correct those above, and check again"));
        }
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values");
            return Err(too_large(node.span, message, "split it into several account files"));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping { entries, key, seen } => match key.take() {
                None => *key = Some(key_of(node, &mut self.findings)),
                Some(None) => {
                    let span = node.span;
                    let node = Node { span, value: Value::Broken };
                    entries.push(Entry { key: String::new(), key_span: span, node });
                }
                Some(Some((name, key_span))) => {
                    let nothing =
                        matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty());
                    if !shows || nothing {
                        node.span = key_span;
                    }
                    if let Some(first) = first_of(entries, seen, &name) {
                        let Span { line, column, .. } = first.key_span;
                        self.findings.push(Mistake {
                            code: CheckCode::DuplicateKey,
                            span: key_span,
                            message: format!("duplicate key {}", quoted(&name)),
                            help: Some(format!("keep one; the first is at line {line}, column {column}")),
                        });
                    } else {
                        if !seen.is_empty() {
                            seen.insert(name.clone(), entries.len());
                        }
                        entries.push(Entry { key: name, key_span, node });
                    }
                }
            },
        }
        Ok(())
    }
}

/// The first entry with the key `name`. Refused keys do not count.
fn first_of<'e>(entries: &'e [Entry], seen: &mut HashMap<String, usize>, name: &str) -> Option<&'e Entry> {
    let is_refused = |entry: &Entry| entry.key.is_empty() && matches!(entry.node.value, Value::Broken);
    if entries.len() < MANY {
        return entries.iter().find(|entry| entry.key == name && !is_refused(entry));
    }
    if seen.is_empty() {
        let named = entries.iter().enumerate().filter(|(_, entry)| !is_refused(entry));
        seen.extend(named.map(|(index, entry)| (entry.key.clone(), index)));
    }
    entries.get(*seen.get(name)?)
}

/// The text of a key. Returns `None` for an invalid key, which is reported here unless it was
/// reported before.
fn key_of(node: Node, findings: &mut Vec<Mistake>) -> Option<(String, Span)> {
    let (code, message, help) = match node.value {
        Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => (
            CheckCode::YamlMergeKey,
            "merge keys (`<<`) are not supported",
            "write the members out; for a claim of that name, quote it: \"<<\"",
        ),
        Value::Scalar(scalar) => return Some((scalar.text, node.span)),
        Value::Broken => return None,
        Value::Sequence(_) | Value::Mapping(_) => {
            (CheckCode::YamlKeyNotString, "this key is not a string", "put a key that begins with `{` or `[` in quotes")
        }
    };
    findings.push(Mistake { code, span: node.span, message: message.to_owned(), help: Some(help.to_owned()) });
    None
}
