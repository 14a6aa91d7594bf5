//! Why an HTTP request is refused: a reason of the service, or one that only HTTP knows.

use std::borrow::Cow;

use sts_service::{Outcome, Reason, TransportRefusal};

/// A stable reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpReason {
    /// A reason of the service.
    Service(Reason),
    /// No such path.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed,
    /// The body is too large.
    BodyTooLarge,
    /// The body's media type is not accepted here.
    MediaType,
    /// Too many refused requests from this address.
    RateLimited,
    /// An object of that name exists.
    ObjectExists,
    /// A file declares the object.
    DeclaredByFile,
    /// A change does not say which state of the object it is of.
    PreconditionRequired,
    /// The object was changed meanwhile.
    PreconditionFailed,
    /// A load would refuse the candidate.
    InvalidObject,
    /// A token of ours must not make what outlives it.
    InteractiveRequired,
    /// Objects of the kind are not changed through this server.
    KindNotManaged,
}

impl HttpReason {
    /// The reasons that only HTTP knows.
    const TRANSPORT: [Self; 12] = [
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::MediaType,
        Self::RateLimited,
        Self::ObjectExists,
        Self::DeclaredByFile,
        Self::PreconditionRequired,
        Self::PreconditionFailed,
        Self::InvalidObject,
        Self::InteractiveRequired,
        Self::KindNotManaged,
    ];

    /// The number of reasons.
    pub(crate) const COUNT: usize = Reason::ALL.len() + Self::TRANSPORT.len();

    /// Every reason.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Reason::ALL.iter().copied().map(Self::Service).chain(Self::TRANSPORT)
    }

    /// The name on the wire and in events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Service(reason) => reason.name(),
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::MediaType => "media_type",
            Self::RateLimited => "rate_limited",
            Self::ObjectExists => "object_exists",
            Self::DeclaredByFile => "declared_by_file",
            Self::PreconditionRequired => "precondition_required",
            Self::PreconditionFailed => "precondition_failed",
            Self::InvalidObject => "invalid_object",
            Self::InteractiveRequired => "interactive_required",
            Self::KindNotManaged => "kind_not_managed",
        }
    }

    /// What callers are told, unless a rule says it more exactly: printable ASCII, never input.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Service(reason) => reason.description(),
            Self::NotFound => "there is nothing at this path",
            Self::MethodNotAllowed => "the path does not answer this method",
            Self::BodyTooLarge => "the body is over 64 KiB",
            Self::MediaType => "the body's media type is not read here",
            Self::RateLimited => "too many refused requests from this address",
            Self::ObjectExists => "an object of this name exists",
            Self::DeclaredByFile => "a file of the server declares this object, so it is read-only here",
            Self::PreconditionRequired => "a change names the state that it changes in If-Match",
            Self::PreconditionFailed => "somebody else changed the object meanwhile",
            Self::InvalidObject => "a load would refuse this; the findings say why",
            Self::InteractiveRequired => "this needs the admin token or a console session",
            Self::KindNotManaged => "objects of this kind are declared in files only",
        }
    }

    /// The outcome of an exchange that is refused for this reason.
    pub(crate) const fn outcome(self) -> Outcome {
        match self {
            Self::Service(reason) => sts_service::outcome_of_refusal(reason),
            _ => Outcome::Refused,
        }
    }

    /// The refusal as the observers of exchanges get it. `None` for a reason of the service.
    pub(super) fn transport_refusal(self, detail: Option<Cow<'static, str>>) -> Option<TransportRefusal> {
        let (at_fault, fix) = match self {
            Self::Service(_) => return None,
            Self::NotFound => ("path", "send exchanges to `/token`"),
            Self::MethodNotAllowed => ("method", "use the method that `Allow` names"),
            Self::BodyTooLarge => ("body", "send a body of at most 64 KiB"),
            Self::MediaType => (
                "Content-Type",
                "send `Content-Type: application/x-www-form-urlencoded`, or JSON as `application/json`",
            ),
            Self::RateLimited => ("limits", "wait as long as `Retry-After` says, and mend what is refused"),
            Self::ObjectExists => ("name", "choose another name, or change the object that has it"),
            Self::DeclaredByFile => ("file", "change the file"),
            Self::PreconditionRequired | Self::PreconditionFailed => ("If-Match", "get the object again"),
            Self::InvalidObject => ("spec", "mend what the findings name"),
            Self::InteractiveRequired => ("token", "use the admin token"),
            Self::KindNotManaged => ("manage.kinds", "list the kind under `manage.kinds`"),
        };
        Some(TransportRefusal {
            reason: self.name(),
            description: self.description(),
            detail,
            at_fault,
            fix,
            is_remembered: self != Self::RateLimited,
        })
    }
}

impl From<Reason> for HttpReason {
    fn from(reason: Reason) -> Self {
        Self::Service(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The page with an answer for each reason that a caller may be given.
    const PAGE: &str = include_str!("../../../../deploy/docs/reasons.md");

    /// What each answer says.
    const PARTS: [&str; 3] = ["**Who fixes it:**", "**Usual causes**", "**What to do:**"];

    #[test]
    fn every_reason_has_its_answer_and_no_answer_is_left_without_a_reason() {
        let answered: Vec<&str> = sections().map(|(name, _)| name).collect();
        let distinct: BTreeSet<&str> = answered.iter().copied().collect();
        let reasons: BTreeSet<&str> = HttpReason::all().map(HttpReason::name).collect();
        assert_eq!(distinct, reasons);
        assert_eq!(answered.len(), distinct.len(), "a reason is answered twice");
        assert_eq!(reasons.len(), HttpReason::COUNT, "two reasons have one name");
    }

    #[test]
    fn every_answer_says_who_fixes_it_its_usual_causes_and_what_to_do() {
        for (name, answer) in sections() {
            for part in PARTS {
                assert_eq!(answer.matches(part).count(), 1, "{name} says {part} once");
            }
        }
    }

    #[test]
    fn the_table_of_the_page_names_every_reason() {
        for reason in HttpReason::all() {
            let link = format!("[`{0}`](#{0})", reason.name());
            assert_eq!(PAGE.matches(&link).count(), 1, "{link}");
        }
    }

    /// The reason and the answer of each section.
    fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
        PAGE.split("\n## `").skip(1).map(|section| section.split_once('`').expect("a heading ends in a back-tick"))
    }

    #[test]
    fn the_service_is_told_of_every_refusal_that_is_not_its_own() {
        for reason in HttpReason::all() {
            let refusal = reason.transport_refusal(None);
            assert_eq!(refusal.is_none(), matches!(reason, HttpReason::Service(_)), "{}", reason.name());
            if let Some(refusal) = refusal {
                assert!(!refusal.at_fault.is_empty() && !refusal.fix.is_empty(), "{}", reason.name());
                assert_eq!(reason.outcome(), Outcome::Refused);
            }
        }
    }
}
