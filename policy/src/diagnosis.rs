//! Why a request is refused, as one structure that every reader shows: `sts explain`, the decision event, `sts denials`.

mod candidate;
pub(crate) mod difference;
mod entries;
mod expression;
mod hidden;
mod mismatch;
pub(crate) mod moment;
mod names;
mod platform;
mod refusal;
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
/// Text from a token is escaped and bounded. A token or a secret is never part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The stable reason, as the caller was told.
    pub reason: Cow<'static, str>,
    /// What is at fault, in words, with the actual and the expected value where there are any.
    pub cause: String,
    /// The claim, header member, request parameter or setting at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// What it is, as JSON text where it comes from a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The smallest change that suffices, is safe and would load; absent where no single change is known to be all that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Diagnosis {
    /// A refusal for `reason`, explained by `cause` alone.
    #[must_use]
    pub fn new(reason: impl Into<Cow<'static, str>>, cause: impl Into<String>) -> Self {
        Self { reason: reason.into(), cause: cause.into(), ..Self::default() }
    }

    /// With the claim, header member, parameter or setting at fault.
    #[must_use]
    pub fn at(mut self, claim: impl Into<String>) -> Self {
        self.claim = Some(claim.into());
        self
    }

    /// With the value found.
    #[must_use]
    pub fn actual(mut self, actual: impl Into<String>) -> Self {
        self.actual = Some(shown(&actual.into()));
        self
    }

    /// With the value wanted.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(shown(&expected.into()));
        self
    }

    /// With what to change.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// One line: the verdict, its cause, and the change.
    #[must_use]
    pub fn line(&self) -> String {
        let fix = self.fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
        format!("refused: {}: {}{fix}", self.reason, self.cause)
    }
}

/// `text` without what hides or reorders, and bounded.
fn shown(text: &str) -> String {
    const MOST: usize = 300;
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == MOST {
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

/// An identity for a sentence.
pub(crate) fn title(identity: &IdentityTrace) -> String {
    format!("{} of {}", quoted(identity.identity.as_str()), quoted(identity.account.as_str()))
}

/// How `actual` differs from `wanted`, a plain text, where both are two ways to write one thing.
#[must_use]
pub fn difference(wanted: &str, actual: &str) -> Option<String> {
    let found = difference::between(&crate::Pattern::literal(wanted), actual)?;
    found.is_spelling.then_some(found.text)
}

/// The service that an audience is known to be of.
#[must_use]
pub fn shared_audience(audience: &str) -> Option<&'static str> {
    crate::preset::shared_audience(audience)
}

/// Whether a reader takes `host` for `known`, which is another one.
#[must_use]
pub fn is_look_alike_host(host: &str, known: &str) -> bool {
    shares_letters(host, known) && crate::preset::is_near_host(host, known)
}

/// Whether three letters in a row are the same, the ending aside. Hosts that a reader takes for each other have some, and this
/// is much cheaper to see: strangers choose what is compared here.
fn shares_letters(host: &str, known: &str) -> bool {
    let name = |host: &str| host.rsplit_once('.').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let (own, other) = (name(host), name(known));
    if !own.is_ascii() || own.contains("xn--") || other.len() < 3 {
        return true;
    }
    other.as_bytes().windows(3).any(|letters| own.as_bytes().windows(3).any(|own| own == letters))
}
