//! Tells the service manager how the server is, as `sd_notify(3)` does for a systemd unit with
//! `Type=notify`. Nothing else changes: a server without a manager runs the same.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

/// The service manager that started this process, if it wants to be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceManager(Option<Arc<Channel>>);

#[derive(Debug)]
struct Channel {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl ServiceManager {
    /// The manager that listens at `address`, the value of `NOTIFY_SOCKET`.
    pub(crate) fn at(address: Option<&str>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return Self::default() };
        match Channel::to(address) {
            Ok(channel) => Self(Some(Arc::new(channel))),
            Err(error) => {
                warn(&error);
                Self::default()
            }
        }
    }

    /// The listeners serve. Whether exchanges can be served is what `/readyz` tells: a store that is
    /// away comes back without a restart, so it must not fail the start.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again. [`ready`](Self::ready) ends this.
    pub(crate) fn reloading(&self) {
        self.tell("RELOADING=1");
    }

    /// The shutdown has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    fn tell(&self, state: &str) {
        let Some(channel) = &self.0 else { return };
        if let Err(error) = channel.socket.send_to_addr(state.as_bytes(), &channel.address) {
            warn(&error);
        }
    }
}

impl Channel {
    fn to(address: &str) -> io::Result<Self> {
        let address = match address.strip_prefix('@') {
            Some(name) => abstract_address(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up the server.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &str) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract sockets are Linux's alone"))
}

fn warn(error: &io::Error) {
    tracing::warn!(
        %error,
        "cannot tell the service manager at `NOTIFY_SOCKET` how the server is; a systemd unit with `Type=notify` will end it at \
         its start timeout"
    );
}
