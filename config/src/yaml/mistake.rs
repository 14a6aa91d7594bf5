//! A mistake in the text of a file.

use sts_types::CheckCode;

use crate::report::Report;
use crate::source::Span;

/// A mistake that is not reported yet: the parser may still find that a patch makes it vanish.
pub(super) struct Mistake {
    pub(super) code: CheckCode,
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Mistake {
    pub(super) fn report(self, report: &mut Report) {
        report.error(self.code, self.span, self.message, self.help);
    }
}
