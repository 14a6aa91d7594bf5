//! Extracts a few members of a mapping from a text that is not valid YAML as a whole.

use std::ops::Range;

/// Blanks out everything in `text` except the top-level members `wanted`. Lines and columns stay
/// the same. Returns `None` if a wanted name occurs only in places where it may not be a top-level
/// member.
pub(super) fn members(text: &str, wanted: &[&str]) -> Option<String> {
    let first = text.lines().map(str::trim_start).find(|line| !is_aside(line));
    let is_flow = first.is_some_and(|line| line.starts_with('{'));
    let kept = if is_flow { flow_members(text, wanted) } else { block_members(text, wanted) };
    let blanked = blank(text, |offset| !kept.iter().any(|range| range.contains(&offset)));
    let rest = blank(text, |offset| kept.iter().any(|range| range.contains(&offset)));
    if wanted.iter().any(|name| !mentions(&blanked, name) && mentions(&rest, name)) {
        return None;
    }
    Some(if is_flow { wrapped(&blanked) } else { blanked })
}

/// Whether a line has no content: it is empty, a comment, a directive, or the start of the
/// document.
fn is_aside(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || line.starts_with("---") || line.starts_with('%')
}

/// The ranges of members in block style: a line that begins in the first column, and the indented
/// lines below it.
fn block_members(text: &str, wanted: &[&str]) -> Vec<Range<usize>> {
    let mut kept: Vec<Range<usize>> = Vec::new();
    let (mut start, mut is_kept) = (0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        if !line.trim().is_empty() && !line.starts_with([' ', '#']) {
            is_kept = key(line).is_some_and(|key| wanted.contains(&key));
        }
        if is_kept {
            kept.push(start..end);
        }
        start = end;
    }
    kept
}

/// The ranges of members inside the outermost braces, each with the comma after it.
fn flow_members(text: &str, wanted: &[&str]) -> Vec<Range<usize>> {
    let mut kept = Vec::new();
    let (mut depth, mut start, mut quote, mut before) = (0_usize, 0, None, ' ');
    let mut comment = false;
    let mut take = |range: Range<usize>| {
        if text.get(range.clone()).and_then(key).is_some_and(|key| wanted.contains(&key)) {
            kept.push(range);
        }
    };
    for (offset, c) in text.char_indices() {
        let previous = std::mem::replace(&mut before, c);
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some('"'), _) if previous == '\\' => before = ' ',
            (Some(open), _) => quote = Some(open).filter(|open| *open != c),
            (None, '"' | '\'') if !previous.is_alphanumeric() => quote = Some(c),
            (None, '#') if previous.is_whitespace() => comment = true,
            (None, '{' | '[') => {
                depth += 1;
                start = if depth == 1 { offset + 1 } else { start };
            }
            (None, '}' | ']') => {
                if depth == 1 {
                    take(start..offset);
                    start = offset;
                }
                depth = depth.saturating_sub(1);
            }
            (None, ',') if depth == 1 => {
                take(start..offset + 1);
                start = offset + 1;
            }
            _ => {}
        }
    }
    if depth == 1 {
        take(start..text.len());
    }
    kept
}

/// The key at the beginning of `text`, without quotes.
fn key(text: &str) -> Option<&str> {
    let (key, _) = text.split_once(':')?;
    Some(key.trim().trim_matches(['"', '\'']))
}

/// Replaces the characters at the offsets that `hidden` accepts by spaces.
fn blank(text: &str, hidden: impl Fn(usize) -> bool) -> String {
    let spaced = text.char_indices().map(|(offset, c)| if c != '\n' && hidden(offset) { ' ' } else { c });
    spaced.collect()
}

/// Puts members into braces without moving lines. The opening brace takes the place of the first
/// blank.
fn wrapped(members: &str) -> String {
    let inner = members.strip_prefix(' ').unwrap_or(members).trim_end().trim_end_matches(',');
    format!("{{{inner} }}")
}

/// Whether `text` contains `name` as a key, outside of comments.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.lines().map(|line| line.split(" #").next().unwrap_or(line)).filter(|line| !line.starts_with('#')).any(|line| {
        line.match_indices(name).any(|(offset, _)| {
            let before = line.get(..offset).and_then(|text| text.chars().next_back());
            let after = line.get(offset + name.len()..).unwrap_or_default().trim_start_matches(['"', '\'']);
            before.is_none_or(|c| !is_part(c)) && after.trim_start().starts_with(':')
        })
    })
}
