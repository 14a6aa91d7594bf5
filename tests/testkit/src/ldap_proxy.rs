//! A proxy that makes a mild directory server as strict as Microsoft's, counts searches, and
//! misbehaves when told to.
//!
//! It ends TLS, and speaks TLS to the server behind it. One request is answered before the next is
//! read, as clients of ours send them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::tls_files::write_certificates;

const BIND_RESPONSE: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const ABANDON: u8 = 0x50;
const CONTROLS: u8 = 0xa0;
const PAGED_RESULTS: &[u8] = b"1.2.840.113556.1.4.319";

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct LdapLimits {
    /// The most entries of a page, and of a search without pages.
    pub entries: usize,
    /// The most values of an attribute in one answer; more are to be asked for by range.
    pub values: usize,
}

impl LdapLimits {
    /// Those of Microsoft's server.
    pub const MICROSOFT: Self = Self { entries: 1000, values: 1500 };
}

/// What the proxy does with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapBehaviour {
    /// Passes everything on, within the limits.
    Pass,
    /// Accepts connections and says nothing, not even for TLS.
    Silent,
    /// Answers binds and no search.
    FreezeSearches,
    /// Sends answers to searches one octet at a time, ten a second.
    Drip,
    /// Answers each search with these octets.
    Garbage(Vec<u8>),
}

/// A running proxy. New connections end with it.
#[derive(Debug)]
pub struct LdapProxy {
    address: SocketAddr,
    folder: TempDir,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    limits: LdapLimits,
    behaviour: Mutex<LdapBehaviour>,
    searches: AtomicU64,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl LdapProxy {
    /// A proxy to the server at `url` (`ldaps://ADDRESS[:PORT]`), whose certificate `ca_file` signed.
    ///
    /// # Panics
    /// If the URL has a name in place of an address.
    #[must_use]
    pub fn start(url: &str, ca_file: &Path, limits: LdapLimits) -> Self {
        let host = url.strip_prefix("ldaps://").unwrap();
        let upstream = host.parse().unwrap_or_else(|_| SocketAddr::new(host.parse().unwrap(), 636));
        let folder = tempfile::tempdir().unwrap();
        write_certificates(folder.path(), &[("server", vec!["127.0.0.1".to_owned()])]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            limits,
            behaviour: Mutex::new(LdapBehaviour::Pass),
            searches: AtomicU64::new(0),
            server: server_config(folder.path()),
            client: client_config(ca_file),
        });
        let weak = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (Some(shared), Ok(connection)) = (weak.upgrade(), connection) else { return };
                std::thread::spawn(move || serve(&shared, connection));
            }
        });
        Self { address, folder, shared }
    }

    /// `ldaps://127.0.0.1:PORT`. The certificate is for that address only.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The file with the authority of its certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// How many searches it has seen, each page for itself.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.shared.searches.load(Ordering::SeqCst)
    }

    /// What it does from now on.
    ///
    /// # Panics
    /// If one of its threads has panicked.
    pub fn behave(&self, behaviour: LdapBehaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }
}

impl Drop for LdapProxy {
    fn drop(&mut self) {
        // Wakes the thread that accepts: it finds nobody to work for.
        let address = self.address;
        std::thread::spawn(move || TcpStream::connect(address));
    }
}

fn server_config(folder: &Path) -> Arc<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(folder.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificates = certificates.map(Result::unwrap).collect();
    Arc::new(builder.with_no_client_auth().with_single_cert(certificates, key).unwrap())
}

fn client_config(ca_file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Serves one connection until either side ends it. Its errors are the test's to notice.
fn serve(shared: &Shared, connection: TcpStream) {
    if *shared.behaviour.lock().unwrap() == LdapBehaviour::Silent {
        let mut connection = connection;
        let _ = io::copy(&mut connection, &mut io::sink());
        return;
    }
    let _ = relay(shared, connection);
}

fn relay(shared: &Shared, connection: TcpStream) -> io::Result<()> {
    let mut client = StreamOwned::new(ServerConnection::new(Arc::clone(&shared.server)).unwrap(), connection);
    let name = ServerName::from(shared.upstream.ip());
    let upstream = TcpStream::connect(shared.upstream)?;
    let mut server = StreamOwned::new(ClientConnection::new(Arc::clone(&shared.client), name).unwrap(), upstream);
    loop {
        let mut request = Node::read(&mut client)?;
        let operation = request.children[1].tag;
        if operation == UNBIND {
            return Ok(());
        }
        if operation == ABANDON {
            continue;
        }
        let mut asked = Asked { ranges: Vec::new(), is_paged: true };
        let mut drips = false;
        if operation == SEARCH {
            shared.searches.fetch_add(1, Ordering::SeqCst);
            match shared.behaviour.lock().unwrap().clone() {
                LdapBehaviour::FreezeSearches => continue,
                LdapBehaviour::Garbage(octets) => {
                    client.write_all(&octets)?;
                    client.flush()?;
                    continue;
                }
                LdapBehaviour::Drip => drips = true,
                LdapBehaviour::Pass | LdapBehaviour::Silent => {}
            }
            asked = Asked::of(&mut request, shared.limits);
        }
        server.write_all(&request.encode())?;
        server.flush()?;
        answer(shared, &asked, &mut server, &mut client, drips)?;
    }
}

/// Passes on what the server answers to one request.
fn answer(
    shared: &Shared,
    asked: &Asked,
    server: &mut impl Read,
    client: &mut impl Write,
    drips: bool,
) -> io::Result<()> {
    let mut entries = 0;
    loop {
        let mut answer = Node::read(server)?;
        let operation = &mut answer.children[1];
        let tag = operation.tag;
        if tag == ENTRY {
            entries += 1;
            asked.cut(operation, shared.limits.values);
        }
        let is_over = !asked.is_paged && entries > shared.limits.entries;
        if tag == DONE && is_over {
            // sizeLimitExceeded
            operation.children[0].content = vec![4];
        }
        if tag != ENTRY || !is_over {
            send(client, &answer.encode(), drips)?;
        }
        if !matches!(tag, ENTRY | REFERENCE) {
            debug_assert!(matches!(tag, DONE | BIND_RESPONSE) || tag > BIND_RESPONSE);
            return Ok(());
        }
    }
}

fn send(client: &mut impl Write, octets: &[u8], drips: bool) -> io::Result<()> {
    if !drips {
        client.write_all(octets)?;
        return client.flush();
    }
    for octet in octets {
        client.write_all(&[*octet])?;
        client.flush()?;
        std::thread::park_timeout(Duration::from_millis(100));
    }
    Ok(())
}

/// What a search asked for that concerns the limits.
struct Asked {
    /// Attributes asked for by range, in lower case, with the index of the first value.
    ranges: Vec<(String, usize)>,
    is_paged: bool,
}

impl Asked {
    /// Takes ranges out of a request, so that the server gives all values, and makes its page
    /// smaller.
    fn of(request: &mut Node, limits: LdapLimits) -> Self {
        let mut ranges = Vec::new();
        for attribute in &mut request.children[1].children[7].children {
            let text = String::from_utf8(attribute.content.clone()).unwrap().to_ascii_lowercase();
            if let Some((name, range)) = text.split_once(";range=") {
                ranges.push((name.to_owned(), range.split('-').next().unwrap().parse().unwrap()));
                attribute.content = name.as_bytes().to_vec();
            }
        }
        let controls = request.children.iter_mut().filter(|node| node.tag == CONTROLS);
        let mut controls = controls.flat_map(|node| &mut node.children);
        let paged = controls.find(|control| control.children[0].content == PAGED_RESULTS);
        let is_paged = paged.is_some();
        if let Some(value) = paged.and_then(|control| control.children.last_mut()) {
            let mut page = Node::read(&mut value.content.as_slice()).unwrap();
            let size = page.children[0].content.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet));
            page.children[0].content = u16::try_from(size.min(limits.entries)).unwrap().to_be_bytes().to_vec();
            value.content = page.encode();
        }
        Self { ranges, is_paged }
    }

    /// Leaves `limit` values of each attribute in an entry.
    fn cut(&self, entry: &mut Node, limit: usize) {
        for attribute in &mut entry.children[1].children {
            let name = String::from_utf8(attribute.children[0].content.clone()).unwrap();
            let asked = self.ranges.iter().find(|(asked, _)| name.eq_ignore_ascii_case(asked)).map(|(_, first)| *first);
            let values = &mut attribute.children[1].children;
            if asked.is_none() && values.len() <= limit {
                continue;
            }
            let first = asked.unwrap_or(0).min(values.len());
            let last = (first + limit).min(values.len());
            let end = if last == values.len() { "*".to_owned() } else { (last - 1).to_string() };
            *values = values.drain(..).skip(first).take(limit).collect();
            attribute.children[0].content = format!("{name};range={first}-{end}").into_bytes();
        }
    }
}

/// A BER element: its content, or what it consists of.
struct Node {
    tag: u8,
    content: Vec<u8>,
    children: Vec<Node>,
}

impl Node {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 2];
        from.read_exact(&mut head)?;
        let [tag, first] = head;
        let mut length = usize::from(first & 0x7f);
        if first & 0x80 != 0 {
            let mut octets = vec![0; length];
            from.read_exact(&mut octets)?;
            length = octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet));
        }
        let mut content = vec![0; length];
        from.read_exact(&mut content)?;
        let mut children = Vec::new();
        if tag & 0x20 != 0 {
            let mut rest = content.as_slice();
            while !rest.is_empty() {
                children.push(Self::read(&mut rest)?);
            }
        }
        Ok(Self { tag, content, children })
    }

    fn encode(&self) -> Vec<u8> {
        let is_constructed = self.tag & 0x20 != 0;
        let content =
            if is_constructed { self.children.iter().flat_map(Self::encode).collect() } else { self.content.clone() };
        let mut encoded = vec![self.tag];
        if content.len() < 0x80 {
            encoded.push(u8::try_from(content.len()).unwrap());
        } else {
            encoded.push(0x84);
            encoded.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        }
        encoded.extend(content);
        encoded
    }
}
