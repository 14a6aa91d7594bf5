//! Makes text safe to print on a terminal.

/// Whether a character is a control, or a mark that reorders or hides the text around it.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Replaces every character that a terminal would interpret rather than print.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Puts user text in back-ticks, truncated and safe to print on a terminal.
#[must_use]
pub fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = printable(text).chars().take(MOST).map(|c| if c == '`' { '\'' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
