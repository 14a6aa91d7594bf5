//! An exchange, from the head of its request until its answer is handed to the network.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Clock, RequestId};

use crate::Snapshot;
use crate::decision_record::{Conclusion, DecisionRecord, EndedExchange};
use crate::observers::Observers;
use crate::phase::PhaseTimes;
use crate::reason::{Reason, RefusedError, TransportRefusal};
use crate::request::RequestContext;

/// An exchange whose answer has not left yet.
///
/// Keep it until the answer is ready to be sent, then drop it. Only then do the observers see the
/// exchange. They see it exactly once, whether it was answered, could not be read, or was abandoned
/// by its caller.
pub struct PendingExchange {
    request_id: RequestId,
    source: Option<IpAddr>,
    is_source_known: bool,
    snapshot: Arc<Snapshot>,
    record: DecisionRecord,
    /// How it ended, when, and the time of each phase.
    concluded: Option<(Conclusion, u64, PhaseTimes)>,
    observers: Arc<Observers>,
    /// Whether a place with the observers is reserved.
    has_place: bool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for PendingExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingExchange")
            .field("request_id", &self.request_id)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl PendingExchange {
    /// The exchange of the request of this context.
    pub(crate) fn begin(
        snapshot: Arc<Snapshot>,
        context: &RequestContext,
        observers: &Arc<Observers>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            request_id: context.request_id.clone(),
            source: context.source,
            is_source_known: context.is_source_known,
            snapshot,
            record: DecisionRecord::since(context.arrived),
            concluded: None,
            observers: Arc::clone(observers),
            has_place: false,
            clock: Arc::clone(clock),
        }
    }

    /// Refuses a request whose parameters could not be read.
    pub fn refuse(&mut self, refused: RefusedError) {
        self.conclude(Conclusion::Refused(refused));
    }

    /// Refuses a request for a reason that only the transport knows.
    pub fn refuse_unread(&mut self, refusal: TransportRefusal) {
        self.conclude(Conclusion::Unread(refusal));
    }

    /// Reserves a place with the observers. Returns false if too many exchanges wait there.
    pub(crate) fn reserve_place(&mut self) -> bool {
        self.has_place = self.has_place || self.observers.reserve();
        self.has_place
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The caller's address, if known.
    pub(crate) const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The caller's own address. `None` where only a proxy's is known, which vouches for nobody.
    pub(crate) fn known_source(&self) -> Option<IpAddr> {
        self.source.filter(|_| self.is_source_known)
    }

    /// Uses `snapshot` from here on.
    pub(crate) fn run_under(&mut self, snapshot: &Arc<Snapshot>) {
        self.snapshot = Arc::clone(snapshot);
    }

    /// The facts so far.
    pub(crate) fn record(&mut self) -> &mut DecisionRecord {
        &mut self.record
    }

    /// Ends the exchange now, because its answer is known.
    pub(crate) fn conclude(&mut self, conclusion: Conclusion) {
        let phases = self.record.stop(&*self.clock);
        self.concluded = Some((conclusion, self.clock.now_millis(), phases));
    }
}

impl Drop for PendingExchange {
    fn drop(&mut self) {
        if self.concluded.is_none() {
            // The task was dropped before the end, because the caller hung up or by a panic.
            let is_our_fault = std::thread::panicking();
            let fault = || Conclusion::Refused(Reason::ServerError.into());
            self.conclude(if is_our_fault { fault() } else { Conclusion::Abandoned });
        }
        let Some((conclusion, ended_millis, phases)) = self.concluded.take() else { return };
        let exchange = EndedExchange {
            snapshot: Arc::clone(&self.snapshot),
            request_id: self.request_id.clone(),
            source: self.source,
            ended_millis,
            phases,
            record: std::mem::replace(&mut self.record, DecisionRecord::since(Duration::ZERO)),
            conclusion,
        };
        self.observers.hand_over(exchange, self.has_place);
    }
}
