//! When an entry may ask its issuer for keys: single flight, cool-down, pauses after failures, next
//! background refresh.
//!
//! Pure state without I/O, so the lock around a [`Control`] is held for a few instructions only.

use std::collections::HashSet;
use std::time::Duration;

use sts_types::UnixTime;
use tokio::sync::watch;

use crate::fetch::Validator;
use crate::history::SeenFrom;
use crate::monotonic_time::MonotonicTime;
use crate::observer::KeyChangeCause;
use crate::static_keys::FileMark;
use crate::{FetchCounts, FetchError, FetchErrorKind, LastError, LastFetch, RefreshReport};

/// Pause after the first failure. It doubles with each further failure, up to the entry's
/// cool-down.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that an issuer's `Retry-After` can cause.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(60);
/// Limit of the remembered questions that the issuer had no key for. Further questions count as not
/// asked yet.
const MOST_NEGATIVE: usize = 1024;

/// Outcome of a fetch, shared by all its waiters.
pub(crate) type Outcome = Result<RefreshReport, FetchError>;

/// Why a fetch was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no usable set.
    Load,
    /// A token has an unknown kid, or a bad signature where kids are reused. Only this cause starts
    /// a cool-down.
    UnknownKid,
    /// The set is about to expire, or a key file is polled.
    Background,
    /// An operator asked for a refresh.
    Operator,
}

impl From<Cause> for KeyChangeCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Load => Self::Load,
            Cause::UnknownKid => Self::UnknownKey,
            Cause::Background => Self::Refresh,
            Cause::Operator => Self::Operator,
        }
    }
}

/// Digest of a token's kid and algorithm. Token text is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LookupDigest(pub(crate) u64);

/// Whether a token may start a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Go,
    /// No: a fetch of this cool-down already asked, and the issuer has no such key.
    Negative,
    /// Not until this much time has passed.
    NotYet(Duration),
}

/// A fetch in progress.
struct InFlightFetch {
    /// Questions that this fetch answers.
    questions: HashSet<LookupDigest>,
    outcome: watch::Receiver<Option<Outcome>>,
}

struct CoolDown {
    until: MonotonicTime,
    /// Questions that the fetch before this cool-down found no key for.
    not_found: HashSet<LookupDigest>,
}

/// The state behind an entry's lock.
#[derive(Default)]
pub(crate) struct Control {
    in_flight: Option<InFlightFetch>,
    cool_down: Option<CoolDown>,
    failures: u32,
    /// No load before this time, after a failed one.
    retry_at: Option<MonotonicTime>,
    /// When the next background refresh is due; `None` before the first one, which is due at once.
    due_at: Option<MonotonicTime>,
    pub(crate) last_fetch: Option<LastFetch>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) counts: FetchCounts,
    pub(crate) validator: Option<Validator>,
    /// Source of the current set.
    pub(crate) seen_from: Option<SeenFrom>,
    pub(crate) file_mark: Option<FileMark>,
}

impl Control {
    /// Joins the fetch in progress, if there is one, for `question`.
    pub(crate) fn join(&mut self, question: Option<LookupDigest>) -> Option<watch::Receiver<Option<Outcome>>> {
        // A channel closed without an outcome means that the task died with its runtime. Nobody may
        // wait for it.
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.outcome.has_changed().is_ok())?;
        remember(&mut in_flight.questions, question);
        Some(in_flight.outcome.clone())
    }

    /// Registers a started fetch.
    pub(crate) fn begin_fetch(&mut self, question: Option<LookupDigest>, outcome: watch::Receiver<Option<Outcome>>) {
        let mut questions = HashSet::new();
        remember(&mut questions, question);
        self.in_flight = Some(InFlightFetch { questions, outcome });
    }

    /// Whether an unknown kid may start a fetch.
    pub(crate) fn admit_unknown(&self, question: LookupDigest, now: MonotonicTime) -> Admission {
        match &self.cool_down {
            Some(cool_down) if now < cool_down.until => {
                if cool_down.not_found.contains(&question) {
                    Admission::Negative
                } else {
                    Admission::NotYet(now.until(cool_down.until))
                }
            }
            _ => Admission::Go,
        }
    }

    /// Whether a token may start the load of an entry that has no usable keys.
    pub(crate) fn admit_load(&self, now: MonotonicTime) -> Admission {
        match self.retry_at {
            Some(retry_at) if now < retry_at => Admission::NotYet(now.until(retry_at)),
            _ => Admission::Go,
        }
    }

    /// Whether a background refresh is due.
    pub(crate) fn is_due(&self, now: MonotonicTime) -> bool {
        self.due_at.is_none_or(|due_at| due_at <= now)
    }

    pub(crate) fn due_in(&self, now: MonotonicTime) -> Duration {
        self.due_at.map_or(Duration::ZERO, |due_at| now.until(due_at))
    }

    /// Time until a caller whose fetch failed may try again.
    pub(crate) fn retry_after(&self, now: MonotonicTime) -> Duration {
        let cool_down = self.cool_down.as_ref().map_or(Duration::ZERO, |cool_down| now.until(cool_down.until));
        let pause = self.retry_at.map_or(Duration::ZERO, |retry_at| now.until(retry_at));
        cool_down.max(pause)
    }

    /// Records a successful fetch that ended at `at`. The next refresh is due at `due_at`.
    pub(crate) fn record_success(
        &mut self,
        cause: Cause,
        now: MonotonicTime,
        at: UnixTime,
        due_at: MonotonicTime,
        cool_down: Duration,
        changed: bool,
    ) {
        self.failures = 0;
        self.retry_at = None;
        self.last_error = None;
        self.due_at = Some(due_at);
        let (outcome, count) = match changed {
            true => ("replaced", &mut self.counts.replaced),
            false => ("unchanged", &mut self.counts.unchanged),
        };
        *count += 1;
        self.last_fetch = Some(LastFetch { at, outcome });
        // Every question that joined this fetch and still has no key was answered: the issuer does
        // not have it.
        let questions = self.in_flight.take().map(|in_flight| in_flight.questions).unwrap_or_default();
        if cause == Cause::UnknownKid {
            self.cool_down = Some(CoolDown { until: now.plus(cool_down), not_found: questions });
        }
    }

    /// Records that a polled file is unchanged.
    pub(crate) fn record_unchanged(&mut self, due_at: MonotonicTime) {
        self.due_at = Some(due_at);
        self.in_flight = None;
    }

    /// Records a failed fetch that ended at `at`. Its callers got no answer, so their questions
    /// stay open.
    pub(crate) fn record_failure(
        &mut self,
        cause: Cause,
        now: MonotonicTime,
        at: UnixTime,
        cool_down: Duration,
        error: &FetchError,
    ) {
        self.in_flight = None;
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(16);
        let asked_for = match error.fault {
            FetchErrorKind::Status { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST_ASKED_PAUSE),
            _ => Duration::ZERO,
        };
        let retry_at = now.plus(doubled.min(cool_down).max(asked_for));
        self.retry_at = Some(retry_at);
        self.due_at = Some(retry_at);
        if cause == Cause::UnknownKid {
            self.cool_down = Some(CoolDown { until: now.plus(cool_down), not_found: HashSet::new() });
        }
        self.last_fetch = Some(LastFetch { at, outcome: error.fault.kind() });
        self.last_error = Some(LastError { at, message: error.to_string() });
        *self.counts.failed.entry(error.fault.kind()).or_default() += 1;
    }
}

fn remember(questions: &mut HashSet<LookupDigest>, question: Option<LookupDigest>) {
    if let Some(question) = question
        && questions.len() < MOST_NEGATIVE
    {
        questions.insert(question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentKind;
    use proptest::prelude::*;
    use std::time::Duration;

    const COOL_DOWN: Duration = Duration::from_secs(30);

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Ask(u64),
        Land(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_u64).prop_map(Step::Pass),
            (0..6_u64).prop_map(Step::Ask),
            any::<bool>().prop_map(Step::Land)
        ]
    }

    proptest! {
        /// For any order of questions and outcomes: unknown kids start at most one fetch per
        /// cool-down. The answer "in vain" is given only for a question that joined a successful
        /// fetch of this cool-down.
        #[test]
        fn c101_unknown_kids_start_one_fetch_per_cool_down(steps in prop::collection::vec(step(), 1..200)) {
            let mut control = Control::default();
            let (sender, outcome) = watch::channel(None);
            let mut now = MonotonicTime::EPOCH;
            let mut in_flight: Option<HashSet<u64>> = None;
            let mut last_fetch: Option<(MonotonicTime, HashSet<u64>)> = None;
            for step in steps {
                match step {
                    Step::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                    Step::Ask(number) => {
                        let question = LookupDigest(number);
                        let joined = control.join(Some(question)).is_some();
                        prop_assert_eq!(joined, in_flight.is_some());
                        if let Some(in_flight) = &mut in_flight {
                            in_flight.insert(number);
                            continue;
                        }
                        let recent = last_fetch.as_ref().filter(|(ended_at, _)| now < ended_at.plus(COOL_DOWN));
                        match control.admit_unknown(question, now) {
                            Admission::Go => {
                                prop_assert!(recent.is_none());
                                control.begin_fetch(Some(question), outcome.clone());
                                in_flight = Some([number].into());
                            }
                            Admission::Negative => prop_assert!(recent.is_some_and(|(_, questions)| questions.contains(&number))),
                            Admission::NotYet(time) => {
                                let Some((ended_at, questions)) = recent else { panic!("there is no cool-down") };
                                prop_assert!(!questions.contains(&number));
                                prop_assert_eq!(now.plus(time), ended_at.plus(COOL_DOWN));
                            }
                        }
                    }
                    Step::Land(succeeded) => {
                        let Some(questions) = in_flight.take() else { continue };
                        if succeeded {
                            control.record_success(Cause::UnknownKid, now, UnixTime::from_secs(0), now, COOL_DOWN, true);
                            last_fetch = Some((now, questions));
                        } else {
                            let error = FetchError::new(DocumentKind::KeySet, "x", FetchErrorKind::Stopped);
                            control.record_failure(Cause::UnknownKid, now, UnixTime::from_secs(0), COOL_DOWN, &error);
                            last_fetch = Some((now, HashSet::new()));
                        }
                    }
                }
            }
            drop(sender);
            prop_assert!(control.join(None).is_none());
        }
    }
}
