//! Explains refusals. One structure serves `sts explain`, the decision event and `sts denials`.

mod candidate;
pub(crate) mod difference;
mod entries;
mod expression;
mod external;
mod hidden;
mod mismatch;
pub(crate) mod moment;
mod names;
mod platform;
mod refusal;
mod refused;
mod target;
#[cfg(test)]
mod tests;

pub use entries::EntryView;
pub use refusal::diagnose_request;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::IdentityTrace;
use crate::finding::{is_invisible, quoted};

/// The cause of one refusal, with the smallest change that would end it.
///
/// Text from a token is escaped and truncated. A token or secret never appears in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The stable reason code that the caller got.
    pub reason: Cow<'static, str>,
    /// The fault in words, with the actual and the expected value if there are any.
    pub cause: String,
    /// The claim, header member, request parameter or setting at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Its value; as JSON text if it comes from a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// The value it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The smallest change that suffices, is safe and would load. Absent if no such change is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Diagnosis {
    /// A refusal for `reason`, explained by `cause` alone.
    #[must_use]
    pub fn new(reason: impl Into<Cow<'static, str>>, cause: impl Into<String>) -> Self {
        Self { reason: reason.into(), cause: cause.into(), ..Self::default() }
    }

    /// Sets the claim, header member, parameter or setting at fault.
    #[must_use]
    pub fn at(mut self, claim: impl Into<String>) -> Self {
        self.claim = Some(claim.into());
        self
    }

    /// Sets the actual value.
    #[must_use]
    pub fn actual(mut self, actual: impl Into<String>) -> Self {
        self.actual = Some(shown(&actual.into()));
        self
    }

    /// Sets the expected value.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(shown(&expected.into()));
        self
    }

    /// Sets the change that would end the refusal.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Renders one line: the verdict, its cause, and the change.
    #[must_use]
    pub fn line(&self) -> String {
        let fix = self.fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
        format!("refused: {}: {}{fix}", self.reason, self.cause)
    }
}

/// Escapes control and invisible characters of `text`, and truncates it.
fn shown(text: &str) -> String {
    const MOST: usize = 300;
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == MOST {
            out.push('…');
            break;
        }
        match c {
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Names an identity in a sentence.
pub(crate) fn title(identity: &IdentityTrace) -> String {
    format!("{} of {}", quoted(identity.identity.as_str()), quoted(identity.account.as_str()))
}

/// How `actual` differs from the plain text `wanted`, if they are two spellings of one thing.
#[must_use]
pub fn difference(wanted: &str, actual: &str) -> Option<String> {
    let found = difference::between(&crate::Pattern::literal(wanted), actual)?;
    found.is_spelling.then_some(found.text)
}

/// The service that an audience belongs to, if it is a well-known one.
#[must_use]
pub fn shared_audience(audience: &str) -> Option<&'static str> {
    crate::preset::shared_audience(audience)
}

/// Whether a reader takes `host` for `known`, though it is another host.
#[must_use]
pub fn is_look_alike_host(host: &str, known: &str) -> bool {
    shares_letters(host, known) && crate::preset::is_near_host(host, known)
}

/// Whether the hosts share three letters in a row, top-level domains aside. Look-alikes always do.
/// This check is much cheaper than the full one, which matters because strangers choose the hosts.
fn shares_letters(host: &str, known: &str) -> bool {
    let name = |host: &str| host.rsplit_once('.').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let (host_name, other) = (name(host), name(known));
    if !host_name.is_ascii() || host_name.contains("xn--") || other.len() < 3 {
        return true;
    }
    other.as_bytes().windows(3).any(|letters| host_name.as_bytes().windows(3).any(|host_name| host_name == letters))
}
