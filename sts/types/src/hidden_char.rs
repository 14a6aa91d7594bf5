//! Characters that a reader does not see in a text, or takes for others.

use std::fmt;

/// A character that nobody means to write, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenChar {
    /// The character.
    pub character: char,
    /// Its place in the text, in characters from 1.
    pub position: usize,
}

/// The first character of `text` that is a control character, is invisible, or is white space. A plain space between other
/// characters counts only where `text` is a URL: elsewhere it can be part of a name.
#[must_use]
pub fn hidden_char(text: &str) -> Option<HiddenChar> {
    let is_url = text.contains("://");
    let last = text.chars().count();
    let found = text.chars().enumerate().map(|(index, character)| HiddenChar { character, position: index + 1 });
    let mut hidden = found.filter(|found| match found.character {
        ' ' => is_url || found.position == 1 || found.position == last,
        c => c.is_control() || c.is_whitespace() || is_invisible(c),
    });
    hidden.next()
}

/// Characters that show nothing, or reorder what is shown: zero-width characters, bidirectional controls, separators,
/// fillers, variation selectors and tags.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

impl fmt::Display for HiddenChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.character {
            ' ' => "a blank",
            '\t' => "a tab",
            '\n' | '\r' => "a line break",
            '\u{a0}' => "a no-break space",
            '\u{200b}' => "a zero-width space",
            '\u{200c}' | '\u{200d}' => "a zero-width joiner",
            '\u{feff}' => "a byte order mark",
            '\u{ad}' => "a soft hyphen",
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                "a mark of the writing direction"
            }
            c if c.is_control() => "a control character",
            c if c.is_whitespace() => "a blank",
            _ => "an invisible character",
        };
        write!(f, "U+{:04X} ({kind}) as character {}", u32::from(self.character), self.position)
    }
}

/// `text` as a terminal may get it: line feeds and tabs stay, and every other control character and
/// every invisible one is written as `\u001b` is. That is an escape of JSON, too, so a JSON document
/// stays the same document.
#[must_use]
pub fn visible(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

/// Like [`visible`], for a text that must not begin another line.
#[must_use]
pub fn one_line(text: &str) -> String {
    escape(text, |_| false)
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_kept(c) || !(c.is_control() || is_invisible(c)) {
            shown.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld30_what_nobody_sees_is_found_with_its_place() {
        for (text, wanted) in [
            (" api", "U+0020 (a blank) as character 1"),
            ("api ", "U+0020 (a blank) as character 4"),
            ("a\tpi", "U+0009 (a tab) as character 2"),
            ("api\n", "U+000A (a line break) as character 4"),
            ("a\u{0}pi", "U+0000 (a control character) as character 2"),
            ("a\u{7f}", "U+007F (a control character) as character 2"),
            ("a\u{a0}pi", "U+00A0 (a no-break space) as character 2"),
            ("a\u{3000}pi", "U+3000 (a blank) as character 2"),
            ("é\u{200b}pi", "U+200B (a zero-width space) as character 2"),
            ("a\u{200d}pi", "U+200D (a zero-width joiner) as character 2"),
            ("\u{feff}api", "U+FEFF (a byte order mark) as character 1"),
            ("a\u{202e}pi", "U+202E (a mark of the writing direction) as character 2"),
            ("a\u{2066}pi", "U+2066 (a mark of the writing direction) as character 2"),
            ("a\u{ad}pi", "U+00AD (a soft hyphen) as character 2"),
            ("a\u{3164}pi", "U+3164 (an invisible character) as character 2"),
            ("a\u{2800}pi", "U+2800 (an invisible character) as character 2"),
            ("a\u{fe0f}pi", "U+FE0F (an invisible character) as character 2"),
            ("a\u{e0041}pi", "U+E0041 (an invisible character) as character 2"),
            ("https://a b", "U+0020 (a blank) as character 10"),
        ] {
            assert_eq!(hidden_char(text).map(|own| own.to_string()).as_deref(), Some(wanted), "{text:?}");
        }
        for sound in ["", "api", "Ein Ausweis", "https://idp.example/ä", "urn:acme:idp", "日本"] {
            assert_eq!(hidden_char(sound), None, "{sound}");
        }
    }

    #[test]
    fn a_terminal_gets_no_character_that_it_would_interpret() {
        for (text, shown, line) in [
            ("plain é 漢", "plain é 漢", "plain é 漢"),
            ("a\n\tb", "a\n\tb", "a\\u000a\\u0009b"),
            (
                "\u{1b}[2J\r\u{7}\u{7f}\u{9b}31m",
                "\\u001b[2J\\u000d\\u0007\\u007f\\u009b31m",
                "\\u001b[2J\\u000d\\u0007\\u007f\\u009b31m",
            ),
            ("x\u{202e}y\u{e0041}", "x\\u202ey\\udb40\\udc41", "x\\u202ey\\udb40\\udc41"),
        ] {
            assert_eq!((visible(text), one_line(text)), (shown.to_owned(), line.to_owned()), "{text:?}");
        }
    }
}
