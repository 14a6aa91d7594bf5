//! OpenTelemetry traces, sent to a collector over OTLP/HTTP. Without `telemetry.otlp` none of this
//! exists, and no request pays for it.
//!
//! A request has one span, with a child for each phase of an exchange and for each call to the store
//! or to an issuer that it waits for. Spans have names of the configuration, statuses and reasons,
//! and nothing of what was sent.

mod context;
mod exporter;
mod keys;
mod ledger;
mod otlp;
mod span;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpRequest};
use sts_service::{DecisionEvent, ExchangeTimes, Phase, RequestContext};
use sts_types::{Clock, Entropy, RequestId};
use tokio::task_local;

pub(crate) use exporter::{Exporter, SpanCounts};
pub(crate) use keys::TracedKeys;
pub(crate) use ledger::TracedLedger;

use crate::http::{normalise, route_of};
use context::{SpanId, TraceParent};
use span::{Attribute, Span, SpanKind};

/// What probes and scrapers ask, all the time.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// The most exchanges whose phases are still to be told.
const OPEN_EXCHANGES: usize = 4096;

task_local! {
    /// The request that this task works on, if it is traced.
    static CURRENT: RequestSpan;
}

/// The traces of this process.
pub(crate) struct Traces {
    exporter: Exporter,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Requests by their ids, until the event of the exchange has come.
    open: Mutex<HashMap<String, RequestSpan>>,
}

/// The span of a request, as its children need it.
#[derive(Clone, Debug)]
pub(crate) struct RequestSpan {
    trace: TraceParent,
    id: SpanId,
    /// When the request arrived: nanoseconds since the epoch, and the monotonic time.
    began: (u64, Duration),
}

impl RequestSpan {
    /// A monotonic time, in nanoseconds since the epoch.
    fn wall_time(&self, monotonic: Duration) -> u64 {
        let (wall, arrived) = self.began;
        let since = monotonic.saturating_sub(arrived).as_nanos();
        wall.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

impl Traces {
    pub(crate) fn new(exporter: Exporter, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { exporter, clock, entropy, open: Mutex::default() })
    }

    /// Spans that were sent, and those that were lost.
    pub(crate) fn counts(&self) -> SpanCounts {
        self.exporter.counts()
    }

    /// Sends what is left, up to a timeout.
    pub(crate) async fn close(&self) {
        self.exporter.flush().await;
    }

    /// Begins the span of a request. `None` if its caller does not want it traced, or it is a probe.
    /// `base` is the normalised path of our issuer, under which routes answer as well.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: &HttpRequest,
        base: &str,
        context: &RequestContext,
    ) -> Option<OpenRequest> {
        let path = normalise(request.path());
        if PROBES.iter().any(|probe| path == *probe || path.strip_prefix(base) == Some(probe)) {
            return None;
        }
        let trace = match TraceParent::of(request.headers()) {
            Some(trace) if trace.is_sampled => trace,
            Some(_) => return None,
            None => TraceParent::root(&*self.entropy),
        };
        let now = self.clock.monotonic();
        let wall = self.clock.now_millis().saturating_mul(1_000_000);
        let before = u64::try_from(now.saturating_sub(context.arrived).as_nanos()).unwrap_or(0);
        let began = (wall.saturating_sub(before), context.arrived);
        let span = RequestSpan { trace, id: SpanId::random(&*self.entropy), began };
        let request_id = context.request_id.to_string();
        let method = known_method(request.method());
        Some(OpenRequest { traces: Arc::clone(self), span, request_id, method, answer: None })
    }

    /// Keeps the span of the current request, which is an exchange, for the phases that its event tells.
    /// Each call is followed by one of [`Self::exchange`], unless the event is lost.
    pub(crate) fn begin_exchange(&self, request_id: &RequestId) {
        let Ok(span) = CURRENT.try_with(RequestSpan::clone) else { return };
        let mut open = self.open();
        if open.len() >= OPEN_EXCHANGES {
            // Their events were lost. Their phases will be missing.
            open.clear();
        }
        open.insert(request_id.to_string(), span);
    }

    /// Tells of the phases of an exchange, once its event is there.
    pub(crate) fn exchange(&self, event: &DecisionEvent, times: &ExchangeTimes) {
        let Some(request) = self.open().remove(&event.request_id) else { return };
        let mut attributes = vec![Attribute::text("sts.outcome", event.outcome.name())];
        let named = [
            ("sts.reason", event.reason),
            ("sts.grant", event.grant),
            ("sts.issuer_entry", event.issuer_entry.as_deref()),
        ];
        attributes.extend(named.into_iter().filter_map(|(name, value)| Some(Attribute::text(name, value?))));
        let mut start = request.began.0;
        for (name, phases) in STEPS {
            let reached: Vec<(Phase, Duration)> =
                phases.iter().filter_map(|phase| Some((*phase, times.phases.of(*phase)?))).collect();
            let Some(length) = reached.iter().map(|(_, time)| *time).reduce(Duration::saturating_add) else { continue };
            let step = self.phase(&request, request.id, name, (start, length), &attributes);
            // The proof is made of parts, which are worth telling apart.
            if phases.len() > 1 {
                let mut part = start;
                for (phase, time) in reached {
                    self.phase(&request, step, phase.name(), (part, time), &[]);
                    part = later(part, time);
                }
            }
            start = later(start, length);
        }
    }

    /// A span of a phase, from its start on. Returns its id.
    fn phase(
        &self,
        request: &RequestSpan,
        parent: SpanId,
        name: &str,
        (start, length): (u64, Duration),
        attributes: &[Attribute],
    ) -> SpanId {
        let id = SpanId::random(&*self.entropy);
        self.exporter.offer(Span {
            trace: request.trace.trace,
            id,
            parent: Some(parent),
            name: name.to_owned(),
            kind: SpanKind::Internal,
            start,
            end: later(start, length),
            attributes: attributes.to_vec(),
            is_error: false,
        });
        id
    }

    /// Begins the span of a call that the current request waits for. `None` if no request does, or it
    /// is not traced.
    fn call(self: &Arc<Self>, name: &'static str, kind: SpanKind, attributes: Vec<Attribute>) -> Option<Call> {
        let request = CURRENT.try_with(RequestSpan::clone).ok()?;
        let began = self.clock.monotonic();
        Some(Call { traces: Arc::clone(self), request, name, kind, attributes, began, is_error: true })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, RequestSpan>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The method, unless the caller made it up.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// A request whose span has begun. The span ends when this is dropped.
pub(crate) struct OpenRequest {
    traces: Arc<Traces>,
    span: RequestSpan,
    request_id: String,
    method: &'static str,
    /// Status and route. `None` for a request that has no answer, because its caller hung up.
    answer: Option<(StatusCode, Option<String>)>,
}

impl OpenRequest {
    /// Handles the request in its span.
    pub(crate) async fn around(
        mut self,
        handling: impl Future<Output = Result<ServiceResponse, Error>>,
    ) -> Result<ServiceResponse, Error> {
        let answered = CURRENT.scope(self.span.clone(), handling).await;
        self.answer = Some(match &answered {
            Ok(answered) => (answered.status(), route_of(answered.request())),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        });
        answered
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let method = self.method;
        let mut attributes =
            vec![Attribute::text("http.request.method", method), Attribute::text("sts.request_id", &self.request_id)];
        let (status, route) = self.answer.take().unzip();
        let route = route.flatten();
        attributes.extend(status.map(|status| Attribute::number("http.response.status_code", status.as_u16().into())));
        attributes.extend(route.as_deref().map(|route| Attribute::text("http.route", route)));
        self.traces.exporter.offer(Span {
            trace: self.span.trace.trace,
            id: self.span.id,
            parent: self.span.trace.parent,
            name: route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
            kind: SpanKind::Server,
            start: self.span.began.0,
            end: self.span.wall_time(self.traces.clock.monotonic()),
            attributes,
            is_error: status.is_some_and(|status| status.is_server_error()),
        });
    }
}

/// The steps of the pipeline, and the phases that each is made of.
const STEPS: [(&str, &[Phase]); 4] = [
    ("prove", &[Phase::Receive, Phase::Parse, Phase::Keys, Phase::Verify]),
    ("authorize", &[Phase::Decide]),
    ("mint", &[Phase::Mint]),
    ("record", &[Phase::Record]),
];

fn later(start: u64, time: Duration) -> u64 {
    start.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A call under way. It ends when it is dropped: as a failure, unless [`Call::succeeded`] was called.
struct Call {
    traces: Arc<Traces>,
    request: RequestSpan,
    name: &'static str,
    kind: SpanKind,
    attributes: Vec<Attribute>,
    began: Duration,
    is_error: bool,
}

impl Call {
    fn succeeded(mut self) {
        self.is_error = false;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Traces { exporter, clock, entropy, .. } = &*self.traces;
        exporter.offer(Span {
            trace: self.request.trace.trace,
            id: SpanId::random(&**entropy),
            parent: Some(self.request.id),
            name: self.name.to_owned(),
            kind: self.kind,
            start: self.request.wall_time(self.began),
            end: self.request.wall_time(clock.monotonic()),
            attributes: std::mem::take(&mut self.attributes),
            is_error: self.is_error,
        });
    }
}
