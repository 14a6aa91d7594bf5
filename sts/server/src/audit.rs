//! The audit trail of this process: which sinks it has, and who signs its checkpoints.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use sts_audit::{
    Act, Actor, ActorKind, AuditFile, AuditSpec, ChainParts, CheckpointSigner, ConsoleRefused, ConsoleSignedIn,
    ConsoleSignedOut, DecisionEvent, RequestRefused, Sink, Stream, Syslog, SyslogTarget, Trail,
};
use sts_console::{BrowserRequest, RecordSession, SessionEvent};
use sts_jose::sign_compact_digested;
use sts_keyring::Keyring;
use sts_policy::RuleSet;
use sts_service::{EventSink, ExchangeTimes, Reason, RequestContext};
use sts_types::{Clock, rfc};

use crate::app_state::AppState;
use crate::http::{Failure, route_of};
use crate::last_uses::LastUses;
use crate::metrics::Metrics;
use crate::syslog_tls;
use crate::traces::Traces;

/// How long a sink may write pending lines at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for the signature of a checkpoint.
const SIGN_TIMEOUT: Duration = Duration::from_secs(3);

/// Whose trail it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailOwner {
    /// A server. Its events go to standard output too.
    Server,
    /// A command without a server. Standard output has its answer.
    CommandLine,
    /// Nobody: no event is written.
    #[cfg(test)]
    Nobody,
}

/// Opens the trail into the sinks that `spec` names. Called within a runtime, on which checkpoints are
/// signed.
pub(crate) fn open_trail(spec: &AuditSpec, owner: TrailOwner, clock: &Arc<dyn Clock>, keyring: &Arc<Keyring>) -> Trail {
    let signer = Arc::new(KeyringSigner {
        keyring: Arc::clone(keyring),
        clock: Arc::clone(clock),
        runtime: tokio::runtime::Handle::current(),
    });
    let parts = |writer| ChainParts { clock: Arc::clone(clock), sha256: sts_jose::sha256, signer, writer };
    let trail = match owner {
        TrailOwner::Server => {
            let stdout = Sink::start("stdout", Stream::stdout());
            let sinks = std::iter::once(stdout).chain(start_sinks(spec, parts(ActorKind::Server)));
            Trail::new(Arc::clone(clock), sinks.collect(), spec.required)
        }
        TrailOwner::CommandLine => {
            let (own, parts) = (spec.clone(), parts(ActorKind::CommandLine));
            Trail::with_first_event(Arc::clone(clock), Box::new(move || start_sinks(&own, parts)), spec.required)
        }
        #[cfg(test)]
        TrailOwner::Nobody => return Trail::nowhere(Arc::clone(clock)),
    };
    if let Some(file) = &spec.file {
        trail.remember(&file.path);
    }
    trail
}

/// Starts the sinks that `spec` names.
fn start_sinks(spec: &AuditSpec, parts: ChainParts) -> Vec<Arc<Sink>> {
    let file = spec.file.clone().map(|file| Sink::start("audit_file", Ok(AuditFile::new(file, parts))));
    let syslog = spec.syslog.as_ref().map(|target| Sink::start("syslog", Ok(syslog(target))));
    file.into_iter().chain(syslog).collect()
}

fn syslog(target: &SyslogTarget) -> Syslog {
    match target {
        SyslogTarget::Unix(path) => Syslog::unix(path.clone()),
        SyslogTarget::Tls { host, port } => Syslog::stream(syslog_tls::connect(host.clone(), *port)),
    }
}

/// Waits until the events so far are written, up to a timeout.
pub(crate) fn flush(trail: &Trail) {
    trail.flush(FLUSH_TIMEOUT);
}

/// Takes no more events, and waits for the last ones.
pub(crate) fn close(trail: &Trail) {
    trail.close(FLUSH_TIMEOUT);
}

/// The sender of a request, of whom nothing is proven.
pub(crate) fn caller(context: &RequestContext) -> Actor {
    Actor {
        kind: ActorKind::Caller,
        name: None,
        source: context.source,
        request_id: Some(context.request_id.to_string()),
    }
}

/// What a refused request asked for.
#[derive(Clone, Copy)]
pub(crate) struct RequestLine<'r> {
    pub(crate) method: &'r Method,
    pub(crate) path: &'r ShownPath,
    /// Whether it would have changed something.
    pub(crate) is_change: bool,
}

impl<'r> RequestLine<'r> {
    /// Of a request that changes something unless its method only reads.
    pub(crate) fn new(method: &'r Method, path: &'r ShownPath) -> Self {
        Self { method, path, is_change: ![Method::GET, Method::HEAD].contains(method) }
    }
}

/// The path of a request, for an event: its route, in which a parameter has its value only if that is a
/// name of the rules in force. People and programs put tokens and keys where a name belongs, and no test
/// of a text tells every secret from a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownPath(String);

impl ShownPath {
    /// Of a request to a listener. Before the router has been at work, no parameter has a value.
    pub(crate) fn of(request: &HttpRequest, rules: &RuleSet) -> Self {
        Self::of_route(route_of(request).as_deref(), request.match_info().iter(), rules)
    }

    /// `route` is `None` where no route fits.
    pub(crate) fn of_route<'p>(
        route: Option<&str>,
        parameters: impl Iterator<Item = (&'p str, &'p str)>,
        rules: &RuleSet,
    ) -> Self {
        let Some(route) = route else { return Self("[unknown path]".to_owned()) };
        let named = parameters.filter(|(_, value)| is_name(rules, value));
        Self(named.fold(route.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value)))
    }
}

/// Whether an account, an API or an issuer entry in force has that name.
fn is_name(rules: &RuleSet, text: &str) -> bool {
    let is_entry = || rules.frame().issuers.iter().any(|issuer| issuer.name.value.as_str() == text);
    rules.account(text).is_some() || rules.api(text).is_some() || is_entry()
}

/// Records a refused request: each change, and everything else without the right to it.
pub(crate) fn refused(trail: &Trail, actor: &Actor, request: RequestLine<'_>, failure: &Failure) {
    let RequestLine { method, path: ShownPath(path), is_change } = request;
    let status = failure.status().as_u16();
    if !is_change && !matches!(status, 401 | 403) {
        return;
    }
    trail.record(
        actor,
        RequestRefused {
            method: method.as_str().to_owned(),
            path: path.clone(),
            status,
            reason: failure.reason().name().to_owned(),
            // Never what an operator is told beside it, which may repeat input.
            cause: failure.text().to_owned(),
        },
    );
}

/// Records what happens to sessions of the console.
pub(crate) struct SessionEvents(pub(crate) Arc<AppState>);

impl RecordSession for SessionEvents {
    fn record(&self, browser: &BrowserRequest, event: SessionEvent<'_>) {
        let (user, act) = match event {
            SessionEvent::SignedIn { user, by, rights } => {
                let act = ConsoleSignedIn { by: by.name().to_owned(), rights: rights.key().to_owned() };
                (Some(user), Act::from(act))
            }
            SessionEvent::SignedOut { user, why } => (Some(user), ConsoleSignedOut { why: why.to_owned() }.into()),
            SessionEvent::ReadOnly { user, form } => {
                let ShownPath(path) = ShownPath::of(form, &self.0.service.snapshot().rules);
                let act = RequestRefused {
                    method: Method::POST.as_str().to_owned(),
                    path,
                    status: 403,
                    reason: Reason::InsufficientScope.name().to_owned(),
                    cause: "the session may only read".to_owned(),
                };
                (Some(user), act.into())
            }
            SessionEvent::Refused { user, why } => (user, ConsoleRefused { why: why.to_owned() }.into()),
        };
        let kind = if user.is_some() { ActorKind::ConsoleUser } else { ActorKind::Caller };
        let request_id = Some(browser.request_id.to_string());
        let actor = Actor { kind, name: user.map(str::to_owned), source: browser.address, request_id };
        self.0.audit.record(&actor, act);
    }
}

/// Signs checkpoints with the key that signs tokens by default.
struct KeyringSigner {
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
}

impl CheckpointSigner for KeyringSigner {
    fn sign(&self, hash: &str) -> Result<String, String> {
        let algorithm = self.keyring.default_algorithm();
        let signer = self.keyring.signer(algorithm, self.clock.now()).map_err(|error| error.to_string())?;
        let signing = async {
            let signing = sign_compact_digested(&*signer, rfc::TYP_AUDIT_CHECKPOINT, hash.as_bytes());
            tokio::time::timeout(SIGN_TIMEOUT, signing).await
        };
        match self.runtime.block_on(signing) {
            Ok(signed) => signed.map(|signed| signed.jwt).map_err(|error| error.to_string()),
            Err(_) => Err(format!("the key did not answer within {} s", SIGN_TIMEOUT.as_secs())),
        }
    }
}

/// The service's way to the trail. Decisions are counted too.
pub(crate) struct AuditEvents {
    pub(crate) trail: Arc<Trail>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) last_uses: Arc<LastUses>,
}

impl EventSink for AuditEvents {
    fn decision(&self, event: &DecisionEvent, times: &ExchangeTimes) {
        self.metrics.exchange(event, times);
        self.last_uses.note(event);
        if let Some(traces) = &self.traces {
            traces.exchange(event, times);
        }
        self.trail.decision(event);
    }

    fn end_batch(&self) {
        self.trail.end_batch();
    }

    fn record(&self, actor: &Actor, act: Act) {
        self.trail.record(actor, act);
    }

    fn is_required(&self) -> bool {
        self.trail.is_required()
    }

    fn is_available(&self, waiting: usize) -> bool {
        self.trail.is_available(waiting)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::dev::{Path, ResourceDef};

    use super::*;
    use crate::clock::SystemClock;
    use crate::reload::load;

    #[test]
    fn a_path_of_an_event_is_its_route_with_the_names_in_force_and_no_other_text() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sts.yaml");
        std::fs::write(&config, "{ issuer: https://sts.example.com, data_dir: data }").unwrap();
        let rules = load(&config, SystemClock::new().now()).unwrap().compiled.rules;
        let shown = |route: &str, path: String| {
            let mut path = Path::new(path);
            assert!(ResourceDef::new(route).capture_match_info(&mut path), "{route}");
            ShownPath::of_route(Some(route), path.iter(), &rules).0
        };
        let route = "/admin/v1/apis/{name}/{inner}";
        // The built-in API.
        assert_eq!(shown(route, "/admin/v1/apis/sts/sts".into()), "/admin/v1/apis/sts/sts");
        for secret in [
            "hunter2",
            "octo",
            "1a2b3c4d",
            "AAECAwQFBgcICQoLDA0ODw",
            "correct-horse-battery-staple",
            "%73ts",
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl",
        ] {
            assert_eq!(shown(route, format!("/admin/v1/apis/{secret}/sts")), "/admin/v1/apis/{name}/sts");
            assert_eq!(shown(route, format!("/admin/v1/apis/sts/{secret}")), "/admin/v1/apis/sts/{inner}");
        }
        assert_eq!(ShownPath::of_route(None, std::iter::empty(), &rules).0, "[unknown path]");
    }
}
