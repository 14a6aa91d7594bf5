//! One row of the table.

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// It works, and its operator should know something. The exit code stays 0.
    Warning,
    Fault,
}

/// One row of the table.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    /// What is looked at: `configuration`, or `directory NAME`.
    pub(super) check: String,
    /// Which part of it.
    pub(super) subject: String,
    pub(super) status: Status,
    /// False for a fault alone.
    pub(super) ok: bool,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cure: Option<String>,
}

impl Row {
    pub(super) fn ok(check: impl Into<String>, subject: impl ToString, found: impl Into<String>) -> Self {
        Self::new(Status::Ok, check.into(), subject.to_string(), found.into(), None)
    }

    pub(super) fn warning(
        check: impl Into<String>,
        subject: impl ToString,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(Status::Warning, check.into(), subject.to_string(), found.into(), Some(cure.into()))
    }

    pub(super) fn fault(
        check: impl Into<String>,
        subject: impl ToString,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(Status::Fault, check.into(), subject.to_string(), found.into(), Some(cure.into()))
    }

    /// A fault or warning whose text says what to do, after its first semicolon.
    pub(super) fn of_text(status: Status, check: impl Into<String>, subject: impl ToString, text: &str) -> Self {
        let (found, cure) = text.split_once("; ").map_or((text, None), |(found, cure)| (found, Some(cure.to_owned())));
        Self::new(status, check.into(), subject.to_string(), found.to_owned(), cure)
    }

    fn new(status: Status, check: String, subject: String, found: String, cure: Option<String>) -> Self {
        Self { check, subject, status, ok: status != Status::Fault, found, cure }
    }
}
