//! Names characters that a reader does not see in a value, and where they are.

use crate::finding::is_invisible;

/// Whether `c` is white space of any kind, a control character, or invisible.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_invisible(c)
}

/// Whether `c` is a quote of configurations, shells or word processors.
pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '‘' | '’')
}

/// The hidden characters or quotes that one of the values has more of. `None` if both have the same
/// number.
pub(super) fn extra(expected: &str, actual: &str) -> Option<String> {
    let count = |text: &str, is_one: fn(char) -> bool| text.chars().filter(|c| is_one(*c)).count();
    for (is_one, say) in [(is_hidden as fn(char) -> bool, one as fn(&str) -> Option<String>), (is_quote, quotes)] {
        let (wanted, sent) = (count(expected, is_one), count(actual, is_one));
        let (who, text) = match wanted.cmp(&sent) {
            std::cmp::Ordering::Equal => continue,
            std::cmp::Ordering::Greater => ("expected", expected),
            std::cmp::Ordering::Less => ("actual", actual),
        };
        return say(text).map(|what| format!("the {who} value has {what}"));
    }
    None
}

fn quotes(_: &str) -> Option<String> {
    Some("them".to_owned())
}

/// Names one hidden character. The end and the beginning come first, where it is easiest to
/// overlook.
fn one(text: &str) -> Option<String> {
    let at_end = text.chars().next_back().filter(|c| is_hidden(*c)).map(|c| (c, "at its end"));
    let at_beginning = || text.chars().next().filter(|c| is_hidden(*c)).map(|c| (c, "at its beginning"));
    let within = || text.chars().find(|c| is_hidden(*c)).map(|c| (c, "in it"));
    let (c, place) = at_end.or_else(at_beginning).or_else(within)?;
    Some(format!("{} {place}", name(c)))
}

fn name(c: char) -> String {
    let name = match c {
        ' ' => return "a blank".to_owned(),
        '\t' => return "a tab".to_owned(),
        '\r' => return "a carriage return".to_owned(),
        '\n' => return "a line break".to_owned(),
        '\u{a0}' => "a no-break space",
        '\u{feff}' => "a byte order mark",
        '\u{200b}'..='\u{200d}' => "a character without width",
        '\u{ad}' => "a soft hyphen",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a character that turns the direction of writing",
        c if c.is_whitespace() => "a blank of another kind",
        _ => "an invisible character",
    };
    format!("{name} (U+{:04X})", u32::from(c))
}
