//! The two listeners, bound before anything is served, with their deadlines and caps.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::max_concurrent_tls_connect;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error, HttpRequest};
use arc_swap::ArcSwap;
use rustls::CipherSuite;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sts_config::{Limits, TlsFiles};
use sts_service::Service;
use sts_types::{CheckCode, SecretFileError, SecretOwner, UnixTime, read_secret_file};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::capacity::Capacity;
use super::client_ip::Source;
use super::connection::{Connection, HEADER_DEADLINE, LINGER, NewRequestId};
use super::{AdminState, Draining, Failure, Proxies, PublicState, admin, answer, head, public, routing};
use crate::certificate::{self, CertificateProblem, Validity};
use crate::traces::Traces;

/// The longest that a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);
/// The largest private key file, in octets.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// How many seconds the requests in progress may take after the drain.
const LAST_REQUESTS_SECONDS: u64 = 2;

/// A bound listener.
pub(crate) struct ListenerSpec {
    pub(crate) socket: TcpListener,
    pub(crate) certificate: Option<Arc<ServedCertificate>>,
}

/// Why an address cannot be bound, or a certificate not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("cannot listen on {address} (`{key}`): {error}; {}", bind_advice(.error))]
    Address { key: &'static str, address: SocketAddr, error: io::Error },
    #[error("cannot use {} as {what}: {why}", sts_types::shown_path(path))]
    Certificate { code: CheckCode, what: &'static str, path: PathBuf, why: String },
    #[error("{0}")]
    Key(#[from] SecretFileError),
    #[error("cannot start the HTTP server: {0}")]
    Server(io::Error),
}

impl BindError {
    /// A certificate that clients will not accept.
    pub(crate) fn certificate(path: &Path, problem: &CertificateProblem) -> Self {
        let why = format!("it {problem}; {}", problem.help());
        Self::Certificate { code: problem.code(), what: "a certificate chain", path: path.to_owned(), why }
    }

    /// The check code of the error, if a check covers it.
    pub(crate) fn code(&self) -> Option<CheckCode> {
        match self {
            Self::Certificate { code, .. } => Some(*code),
            Self::Key(error) => Some(error.code()),
            Self::Address { .. } | Self::Server(_) => None,
        }
    }
}

/// What to do about an address that cannot be bound.
pub(crate) fn bind_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has this port: stop it, or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need the right to bind them: choose a higher port",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another address",
    }
}

impl ListenerSpec {
    /// Binds `address`, which the configuration sets under `key`.
    pub(crate) fn bind(key: &'static str, address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, BindError> {
        let socket = TcpListener::bind(address).map_err(|error| BindError::Address { key, address, error })?;
        Ok(Self { socket, certificate: tls.map(ServedCertificate::open).transpose()? })
    }

    /// The bound address. It has a port even if port 0 was configured.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// A listener's certificate. A reload may replace it; each connection keeps the one it began with.
#[derive(Debug)]
pub(crate) struct ServedCertificate {
    in_force: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.in_force.load_full())
    }
}

impl ServedCertificate {
    /// Reads the certificate from these files.
    pub(crate) fn open(files: &TlsFiles) -> Result<Arc<Self>, BindError> {
        Ok(Arc::new(Self { in_force: ArcSwap::from_pointee(read_certificate(files)?) }))
    }

    /// Whether this is the current certificate.
    pub(crate) fn serves(&self, certificate: &CertifiedKey) -> bool {
        self.in_force.load().cert == certificate.cert
    }

    /// The problems that clients will have with the current certificate.
    pub(crate) fn problems(&self, now: UnixTime, host: Option<&str>) -> Vec<CertificateProblem> {
        leaf_problems(&self.in_force.load(), now, host)
    }

    /// When the current certificate is valid, if it can be read.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.in_force.load().cert.first().and_then(certificate::validity)
    }

    /// Replaces the current certificate.
    pub(crate) fn replace(&self, certificate: CertifiedKey) {
        self.in_force.store(Arc::new(certificate));
    }
}

/// Reads a chain and its key, and checks that they belong together.
pub(crate) fn read_certificate(TlsFiles { cert_file, key_file }: &TlsFiles) -> Result<CertifiedKey, BindError> {
    let code = CheckCode::InvalidCertificate;
    let wrong = |what, path: &Path, why: String| BindError::Certificate { code, what, path: path.to_owned(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong("a certificate chain", cert_file, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("a certificate chain", cert_file, "it holds no certificate".to_owned()));
    }
    let pem = read_secret_file(key_file, SecretOwner::Configured, MAX_KEY_FILE)?.bytes;
    let key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| wrong("a private key", key_file, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider()).map_err(|error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "its key is not the one in {}: give the certificate and the key that belong together",
                sts_types::shown_path(key_file)
            ),
            error => error.to_string(),
        };
        wrong("the certificate of a key", cert_file, why)
    })
}

/// The problems that clients will have with a certificate.
pub(crate) fn leaf_problems(certificate: &CertifiedKey, now: UnixTime, host: Option<&str>) -> Vec<CertificateProblem> {
    certificate.cert.first().map(|leaf| certificate::problems(leaf, now, host)).unwrap_or_default()
}

/// TLS 1.2 and 1.3 with the suites of the provider: no CBC, no RSA key exchange (RFC 9325).
fn tls_config(certificate: Arc<ServedCertificate>) -> Result<rustls::ServerConfig, BindError> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // Processors help with SHA-256, not with SHA-384. Most clients offer both, the slower one first, and its
    // digests take a tenth of the time of a call over a new connection.
    provider.cipher_suites.sort_by_key(|suite| !has_sha256(suite.suite()));
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| BindError::Server(io::Error::other(error)))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Nothing is resumed. A job connects once, and would come back to another replica. Without tickets
    // there is no secret that opens earlier connections, either.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether it is AES-128-GCM with SHA-256.
const fn has_sha256(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// Both servers, ready to be awaited.
pub(crate) struct Listeners {
    pub(crate) public: Server,
    pub(crate) admin: Server,
    /// The listener for the metrics alone, if there is one.
    pub(crate) metrics: Option<Server>,
    pub(crate) closing: ConnectionShutdown,
}

/// Tells every connection to close: after its current request, or at once if it has none.
pub(crate) struct ConnectionShutdown(watch::Sender<bool>);

impl ConnectionShutdown {
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Listeners {
    /// Starts serving.
    pub(crate) fn start(
        public: ListenerSpec,
        public_state: Data<PublicState>,
        limits: &Limits,
        admin: ListenerSpec,
        admin_state: Data<AdminState>,
        metrics: Option<ListenerSpec>,
    ) -> Result<Self, BindError> {
        // One worker per core. With fewer, a core stays idle. More per core do not raise
        // throughput, and callers wait longer (measured: tests/benches/RESULTS.md, "By workers").
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = usize::try_from(limits.connections).unwrap_or(usize::MAX);
        let capacity = Capacity::here(wanted);
        if capacity.public < wanted {
            tracing::warn!(
                wanted,
                connections = capacity.public,
                "fewer connections than `limits.connections`: this process may not open more files, or not use more memory"
            );
        }
        let workers = workers.min(capacity.public);
        let per_worker = capacity.public / workers;
        // By default, actix-tls has a lower limit on concurrent handshakes. A client that begins
        // handshakes and never ends them would then lock everybody out until they time out. Here it
        // meets the limit on connections first.
        max_concurrent_tls_connect(per_worker.max(capacity.admin));
        let (closing, closed) = watch::channel(false);
        let options = ConnectionOptions { keep_alive: limits.keep_alive, closed };
        let metrics = metrics.map(|metrics| {
            let listener = Listener::Metrics(admin_state.clone());
            server(metrics, listener, 1, capacity.metrics, options.clone())
        });
        Ok(Self {
            metrics: metrics.transpose()?,
            public: server(public, Listener::Public(public_state), workers, per_worker, options.clone())?,
            admin: server(admin, Listener::Admin(admin_state), 1, capacity.admin, options)?,
            closing: ConnectionShutdown(closing),
        })
    }
}

/// The settings of every connection.
#[derive(Clone)]
struct ConnectionOptions {
    keep_alive: Duration,
    closed: watch::Receiver<bool>,
}

/// A listener: its routes, and the state of their handlers.
#[derive(Clone)]
pub(super) enum Listener {
    Public(Data<PublicState>),
    Admin(Data<AdminState>),
    Metrics(Data<AdminState>),
}

impl Listener {
    pub(super) const fn is_admin(&self) -> bool {
        matches!(self, Self::Admin(_))
    }

    pub(super) fn draining(&self) -> &Draining {
        match self {
            Self::Public(state) => &state.draining,
            Self::Admin(state) | Self::Metrics(state) => &state.draining,
        }
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        match self {
            Self::Public(state) => &state.service,
            Self::Admin(state) | Self::Metrics(state) => &state.state.service,
        }
    }

    /// Traces, if there is a collector for them.
    pub(super) fn traces(&self) -> Option<&Arc<Traces>> {
        match self {
            Self::Public(state) => state.traces.as_ref(),
            Self::Admin(state) => state.state.traces.as_ref(),
            Self::Metrics(_) => None,
        }
    }

    /// The normalised path of our issuer, under which the routes answer as well.
    pub(super) fn base(&self) -> &str {
        match self {
            Self::Public(state) => &state.metadata.base,
            Self::Admin(_) | Self::Metrics(_) => "",
        }
    }

    /// The caller's address.
    pub(super) fn source(&self, request: &HttpRequest) -> Source {
        match self {
            Self::Public(state) => state.proxies.source(request),
            Self::Admin(state) => state.proxies.source(request),
            // Nothing here goes by the address.
            Self::Metrics(_) => Proxies::default().source(request),
        }
    }

    fn routes(&self, routes: &mut ServiceConfig) {
        match self {
            Self::Public(state) => public::routes(routes.app_data(state.clone())),
            Self::Admin(state) => admin::routes(state, routes.app_data(state.clone())),
            Self::Metrics(state) => admin::metrics_alone(routes.app_data(state.clone())),
        }
    }

    /// Refuses what no handler may see.
    fn admit(&self, request: &ServiceRequest) -> Result<(), Failure> {
        head::refuse_malformed(request.request())?;
        match self {
            Self::Public(state) => public::admit(request, state),
            Self::Admin(state) => admin::check_host(request.request(), &state.hosts),
            // Scrapers use whatever name they find it by, and there is nothing to change.
            Self::Metrics(_) => Ok(()),
        }
    }

    fn new_request_id(&self) -> NewRequestId {
        let service = Arc::clone(self.service());
        Rc::new(move || service.new_request_id())
    }
}

/// The middleware that refuses what no handler may see.
async fn admit(listener: Listener, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    match listener.admit(&request) {
        Ok(()) => next.call(request).await,
        Err(failure) => Ok(request.error_response(failure)),
    }
}

/// The routes of `listener`, and the middlewares around them.
fn app(
    listener: &Listener,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()> + use<>,
> {
    let [admitting, routing, answering] = [(); 3].map(|()| listener.clone());
    App::new()
        .configure(|routes| listener.routes(routes))
        .default_service(web::to(answer::no_such_path))
        // The last one is the outermost.
        .wrap(from_fn(move |request, next| admit(admitting.clone(), request, next)))
        .wrap(from_fn(move |request, next| routing::normalise_request(routing.clone(), request, next)))
        .wrap(from_fn(move |request, next| answer::answer(answering.clone(), request, next)))
}

fn server(
    ListenerSpec { socket, certificate }: ListenerSpec,
    listener: Listener,
    workers: usize,
    connections_per_worker: usize,
    options: ConnectionOptions,
) -> Result<Server, BindError> {
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections_per_worker)
        .shutdown_timeout(LAST_REQUESTS_SECONDS)
        .disable_signals();
    let builder = match certificate {
        None => builder.listen("http", socket, move || {
            let new_request_id = listener.new_request_id();
            let connection = move |socket: TcpStream| {
                let (peer, new_request_id) = (prepare_socket(&socket), Rc::clone(&new_request_id));
                async move { Ok::<_, ()>((Connection::new(socket, new_request_id), peer)) }
            };
            fn_service(connection).and_then(http(&listener, options.clone()))
        }),
        Some(certificate) => {
            let mut acceptor = Acceptor::new(tls_config(certificate)?);
            acceptor.set_handshake_timeout(HANDSHAKE_DEADLINE);
            builder.listen("https", socket, move || {
                let new_request_id = listener.new_request_id();
                let connection = move |stream: TlsStream<TcpStream>| {
                    let peer = prepare_socket(stream.get_ref().0);
                    (Connection::new(stream, Rc::clone(&new_request_id)), peer)
                };
                let secured = acceptor.clone().map_err(|_| ()).map(connection);
                secured.and_then(http(&listener, options.clone()))
            })
        }
    };
    Ok(builder.map_err(BindError::Server)?.run())
}

/// Turns Nagle's algorithm off, so that answers leave at once. Returns the peer's address.
fn prepare_socket(socket: &TcpStream) -> Option<SocketAddr> {
    // A failure only delays answers.
    let _ = socket.set_nodelay(true);
    socket.peer_addr().ok()
}

/// HTTP/1.1 on our own [`Connection`] type, set up as `actix_web::HttpServer` would do it. That one
/// does not let us wrap the socket.
fn http<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    listener: &Listener,
    ConnectionOptions { keep_alive, closed }: ConnectionOptions,
) -> impl ServiceFactory<(Connection<T>, Option<SocketAddr>), Config = (), Response = (), Error = (), InitError = ()> + use<T>
{
    let app = app(listener).into_factory().map_err(|error| error.error_response());
    HttpService::build()
        .client_request_timeout(HEADER_DEADLINE)
        .client_disconnect_timeout(LINGER)
        .keep_alive(keep_alive)
        .graceful_shutdown_signal(move || {
            let mut closed = closed.clone();
            async move {
                // An error means that the server is gone, and this connection with it.
                let _ = closed.wait_for(|closed| *closed).await;
            }
        })
        .on_connect_ext(|connection: &Connection<T>, data| {
            data.insert(connection.in_flight());
        })
        .h1(map_config(app, |()| AppConfig::default()))
        // Nobody is left to receive the error.
        .map_err(|_| ())
}
