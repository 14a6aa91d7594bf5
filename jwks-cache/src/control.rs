//! When an entry may be asked for its keys: single flight, cool-down, pauses after failures, the next background refresh.
//!
//! Pure state, no I/O: whoever holds the lock around a [`Control`] holds it for a few instructions.

use std::collections::HashSet;
use std::time::Duration;

use sts_types::UnixTime;
use tokio::sync::watch;

use crate::fetch::Validator;
use crate::history::SeenFrom;
use crate::moment::Moment;
use crate::static_keys::FileMark;
use crate::{FetchCounts, FetchError, FetchFault, LastError, LastFetch, RefreshReport};

/// The pause after the first failure; it doubles up to the entry's cool-down.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause that an issuer's `Retry-After` may ask for.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(60);
/// The most questions that are remembered as looked up in vain; those beyond are answered as not looked up yet.
const MOST_IN_VAIN: usize = 1024;

/// What a fetch came to, for everybody who waits for it.
pub(crate) type Outcome = Result<RefreshReport, FetchError>;

/// Why a fetch was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is no usable set.
    Load,
    /// A kid that the set lacks, or a signature that fails where kids are reused. It alone begins a cool-down.
    UnknownKid,
    /// The set is about to expire, or a file is looked at.
    Background,
    /// An operator wants the keys as they are now.
    Operator,
}

/// A digest of what a token asked for. Token text itself is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question(pub(crate) u64);

/// Whether a fetch may be started for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Go,
    /// No need: it was looked up in this cool-down, and is not there.
    InVain,
    /// Not before this time has passed.
    NotYet(Duration),
}

/// A fetch under way.
struct Flight {
    asked: HashSet<Question>,
    landed: watch::Receiver<Option<Outcome>>,
}

struct CoolDown {
    until: Moment,
    in_vain: HashSet<Question>,
}

/// The state behind an entry's lock.
#[derive(Default)]
pub(crate) struct Control {
    flight: Option<Flight>,
    cool_down: Option<CoolDown>,
    failures: u32,
    /// No load before this, after one failed.
    retry_at: Option<Moment>,
    /// When the next background refresh is due; at once when there was none yet.
    due_at: Option<Moment>,
    pub(crate) last_fetch: Option<LastFetch>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) counts: FetchCounts,
    pub(crate) validator: Option<Validator>,
    /// Where the current set came from.
    pub(crate) seen_from: Option<SeenFrom>,
    pub(crate) file_mark: Option<FileMark>,
}

impl Control {
    /// Joins the fetch under way, if there is one, on behalf of `question`.
    pub(crate) fn join(&mut self, question: Option<Question>) -> Option<watch::Receiver<Option<Outcome>>> {
        // A channel closed without an outcome is a task that died (its runtime was shut down): nobody waits for it again.
        let flight = self.flight.as_mut().filter(|flight| flight.landed.has_changed().is_ok())?;
        remember(&mut flight.asked, question);
        Some(flight.landed.clone())
    }

    /// Notes that a fetch is under way.
    pub(crate) fn depart(&mut self, question: Option<Question>, landed: watch::Receiver<Option<Outcome>>) {
        let mut asked = HashSet::new();
        remember(&mut asked, question);
        self.flight = Some(Flight { asked, landed });
    }

    /// Whether an unknown kid may start a fetch.
    pub(crate) fn admit_unknown(&self, question: Question, now: Moment) -> Admission {
        match &self.cool_down {
            Some(cool_down) if now < cool_down.until => {
                if cool_down.in_vain.contains(&question) {
                    Admission::InVain
                } else {
                    Admission::NotYet(now.until(cool_down.until))
                }
            }
            _ => Admission::Go,
        }
    }

    /// Whether a token may start the load of an entry that has no usable keys.
    pub(crate) fn admit_load(&self, now: Moment) -> Admission {
        match self.retry_at {
            Some(at) if now < at => Admission::NotYet(now.until(at)),
            _ => Admission::Go,
        }
    }

    /// Whether the background refresh is due.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        self.due_at.is_none_or(|at| at <= now)
    }

    /// The time until the background refresh is due.
    pub(crate) fn due_in(&self, now: Moment) -> Duration {
        self.due_at.map_or(Duration::ZERO, |at| now.until(at))
    }

    /// When a caller whose fetch failed may try again.
    pub(crate) fn retry_after(&self, now: Moment) -> Duration {
        let cool_down = self.cool_down.as_ref().map_or(Duration::ZERO, |cool_down| now.until(cool_down.until));
        let pause = self.retry_at.map_or(Duration::ZERO, |at| now.until(at));
        cool_down.max(pause)
    }

    /// The fetch landed at `at` with a set that is next due at `due_at`.
    pub(crate) fn landed_well(
        &mut self,
        cause: Cause,
        now: Moment,
        at: UnixTime,
        due_at: Moment,
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
        let asked = self.flight.take().map(|flight| flight.asked).unwrap_or_default();
        if cause == Cause::UnknownKid {
            self.cool_down = Some(CoolDown { until: now.plus(cool_down), in_vain: asked });
        }
    }

    /// The file was looked at and is as it was.
    pub(crate) fn landed_untouched(&mut self, due_at: Moment) {
        self.due_at = Some(due_at);
        self.flight = None;
    }

    /// The fetch failed at `at`: whoever asked got no answer, so nothing was looked up in vain.
    pub(crate) fn landed_badly(
        &mut self,
        cause: Cause,
        now: Moment,
        at: UnixTime,
        cool_down: Duration,
        error: &FetchError,
    ) {
        self.flight = None;
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(16);
        let asked_for = match error.fault {
            FetchFault::Status { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST_ASKED_PAUSE),
            _ => Duration::ZERO,
        };
        let retry_at = now.plus(doubled.min(cool_down).max(asked_for));
        self.retry_at = Some(retry_at);
        self.due_at = Some(retry_at);
        if cause == Cause::UnknownKid {
            self.cool_down = Some(CoolDown { until: now.plus(cool_down), in_vain: HashSet::new() });
        }
        self.last_fetch = Some(LastFetch { at, outcome: error.fault.kind() });
        self.last_error = Some(LastError { at, message: error.to_string() });
        *self.counts.failed.entry(error.fault.kind()).or_default() += 1;
    }
}

fn remember(asked: &mut HashSet<Question>, question: Option<Question>) {
    if let Some(question) = question
        && asked.len() < MOST_IN_VAIN
    {
        asked.insert(question);
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
        /// Whatever is asked and however fetches end: unknown kids start at most one fetch per cool-down, and "in vain" is
        /// only ever said of a question that a fetch of this cool-down took along and that ended well.
        #[test]
        fn c101_unknown_kids_start_one_fetch_per_cool_down(steps in prop::collection::vec(step(), 1..200)) {
            let mut control = Control::default();
            let (sender, landed) = watch::channel(None);
            let mut now = Moment::EPOCH;
            let mut aboard: Option<HashSet<u64>> = None;
            let mut last_landing: Option<(Moment, HashSet<u64>)> = None;
            for step in steps {
                match step {
                    Step::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                    Step::Ask(number) => {
                        let question = Question(number);
                        let joined = control.join(Some(question)).is_some();
                        prop_assert_eq!(joined, aboard.is_some());
                        if let Some(aboard) = &mut aboard {
                            aboard.insert(number);
                            continue;
                        }
                        let recent = last_landing.as_ref().filter(|(at, _)| now < at.plus(COOL_DOWN));
                        match control.admit_unknown(question, now) {
                            Admission::Go => {
                                prop_assert!(recent.is_none());
                                control.depart(Some(question), landed.clone());
                                aboard = Some([number].into());
                            }
                            Admission::InVain => prop_assert!(recent.is_some_and(|(_, asked)| asked.contains(&number))),
                            Admission::NotYet(time) => {
                                let Some((at, asked)) = recent else { panic!("there is no cool-down") };
                                prop_assert!(!asked.contains(&number));
                                prop_assert_eq!(now.plus(time), at.plus(COOL_DOWN));
                            }
                        }
                    }
                    Step::Land(well) => {
                        let Some(asked) = aboard.take() else { continue };
                        if well {
                            control.landed_well(Cause::UnknownKid, now, UnixTime::from_secs(0), now, COOL_DOWN, true);
                            last_landing = Some((now, asked));
                        } else {
                            let error = FetchError::new(DocumentKind::KeySet, "x", FetchFault::Stopped);
                            control.landed_badly(Cause::UnknownKid, now, UnixTime::from_secs(0), COOL_DOWN, &error);
                            last_landing = Some((now, HashSet::new()));
                        }
                    }
                }
            }
            drop(sender);
            prop_assert!(control.join(None).is_none());
        }
    }
}
