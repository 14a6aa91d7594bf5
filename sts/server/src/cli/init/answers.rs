//! The answers: from the command line, or asked for one by one.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use super::platform::Presence;

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 1024;

/// Answers by their names, and where further ones come from.
pub(super) struct Answers<'a> {
    given: BTreeMap<String, String>,
    /// Without one, what is not given has its default.
    asked: Option<Asked<'a>>,
    /// What is required and was not to be had.
    missing: Vec<String>,
}

/// Somebody who answers.
pub(super) struct Asked<'a> {
    pub(super) input: &'a mut dyn BufRead,
    pub(super) output: &'a mut dyn Write,
}

impl<'a> Answers<'a> {
    pub(super) fn new(given: BTreeMap<String, String>, asked: Option<Asked<'a>>) -> Self {
        Self { given, asked, missing: Vec::new() }
    }

    /// The answer to one question; an empty text where it is missing.
    ///
    /// # Errors
    /// What is wrong with an answer that was given, rather than asked for.
    pub(super) fn answer(
        &mut self,
        name: &str,
        text: &str,
        example: &str,
        presence: Presence,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Option<String>, String> {
        let fits = |answer: &str| plain(answer).and_then(|()| check(answer));
        if let Some(answer) = self.given.remove(name) {
            fits(&answer).map_err(|what| format!("`{name}`: {what}"))?;
            return Ok(Some(answer));
        }
        let default = match presence {
            Presence::Default(default) => Some(default),
            Presence::Required | Presence::Optional => None,
        };
        let hint = match presence {
            Presence::Required => format!("such as {example}"),
            Presence::Default(default) => format!("[{default}]"),
            Presence::Optional => format!("such as {example}; leave it empty for any"),
        };
        while let Some(asked) = &mut self.asked {
            let _ = write!(asked.output, "\n{text} ({name})\n  {hint}: ");
            let _ = asked.output.flush();
            let Some(line) = line(asked.input) else {
                let _ = writeln!(asked.output);
                self.asked = None;
                break;
            };
            match (line.is_empty(), presence) {
                (true, Presence::Required) => continue,
                (true, _) => return Ok(default.map(str::to_owned)),
                (false, _) => {}
            }
            match fits(&line) {
                Ok(()) => return Ok(Some(line)),
                Err(what) => {
                    let _ = writeln!(asked.output, "  {what}");
                }
            }
        }
        if presence == Presence::Required {
            self.missing.push(format!("{name}={example}"));
            return Ok(Some(String::new()));
        }
        Ok(default.map(str::to_owned))
    }

    /// What was given, or `default`. Nobody is asked.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) fn given_or(
        &mut self,
        name: &str,
        default: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<String, String> {
        let asked = self.asked.take();
        let answer = self.answer(name, "", "", Presence::Optional, check);
        self.asked = asked;
        Ok(answer?.unwrap_or_else(|| default.to_owned()))
    }

    /// Whether all is there.
    ///
    /// # Errors
    /// What is missing, or what nobody asked for.
    pub(super) fn finish(self) -> Result<(), String> {
        if !self.missing.is_empty() {
            let missing = self.missing.join("\n  ");
            return Err(format!("these answers are missing; give them as arguments, such as\n  {missing}"));
        }
        match self.given.keys().next() {
            Some(name) => Err(format!("there is no answer of the name `{name}` here")),
            None => Ok(()),
        }
    }
}

/// The next line without blanks around it. `None` at the end.
pub(super) fn line(input: &mut dyn BufRead) -> Option<String> {
    let mut line = String::new();
    let read = input.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}

/// An answer stands for itself: it is no pattern.
fn plain(answer: &str) -> Result<(), String> {
    if answer.is_empty() || answer.len() > MAX_ANSWER || answer.chars().any(char::is_control) {
        return Err(format!("it must be one line of 1 to {MAX_ANSWER} bytes"));
    }
    if answer.contains(['*', '?', '\\']) {
        return Err("it must be one value; patterns are for later, in the file".to_owned());
    }
    Ok(())
}

/// `template` with the answers in place of their names in braces.
pub(super) fn filled(template: &str, answers: &BTreeMap<&'static str, String>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((answers.get(name)?, after))) {
            Some((answer, after)) => {
                text.push_str(answer);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: &str) -> Result<(), String> {
        Ok(())
    }

    #[test]
    fn a_question_is_asked_until_its_answer_fits_and_a_default_is_taken_for_an_empty_line() {
        let (mut input, mut output) = (&b"\nocto-*\n octo-org \n\n\n"[..], Vec::new());
        let mut answers = Answers::new(BTreeMap::new(), Some(Asked { input: &mut input, output: &mut output }));
        let mut ask = |presence| answers.answer("owner", "Owner", "octo-org", presence, any).unwrap();
        assert_eq!(ask(Presence::Required).as_deref(), Some("octo-org"));
        assert_eq!(ask(Presence::Default("main")).as_deref(), Some("main"));
        assert_eq!(ask(Presence::Optional), None);
        answers.finish().unwrap();
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains("one value") && output.contains("[main]"), "{output}");
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_and_so_is_what_nobody_asks_for() {
        let mut answers = Answers::new(BTreeMap::new(), None);
        for name in ["owner", "name"] {
            answers.answer(name, "", "octo", Presence::Required, any).unwrap();
        }
        assert!(answers.finish().unwrap_err().ends_with("owner=octo\n  name=octo"));
        let given = BTreeMap::from([("onwer".to_owned(), "octo".to_owned())]);
        assert!(Answers::new(given, None).finish().unwrap_err().contains("`onwer`"));
        let given = BTreeMap::from([("owner".to_owned(), "a*".to_owned())]);
        let wrong = Answers::new(given, None).answer("owner", "", "octo", Presence::Required, any);
        assert!(wrong.unwrap_err().contains("`owner`"));
    }

    #[test]
    fn answers_are_put_into_a_text_once() {
        let answers = BTreeMap::from([("one", "{two}".to_owned()), ("two", "2".to_owned())]);
        assert_eq!(filled("a{one}b{two}{three}{", &answers), "a{two}b2{three}{");
    }
}
