//! A real nginx on loopback, in front of a server.

use crate::{free_address, until};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `nginx` that forwards requests over one kept connection. It is killed when it is
/// dropped.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Nginx {
    /// Starts one in front of `upstream`. It forwards as much as its settings allow: even invalid
    /// headers, and bodies unbuffered.
    ///
    /// # Panics
    /// If there is no `nginx`, or it does not start.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        // Another process may take the port before nginx does. Then nginx ends, and the next
        // attempt uses another port.
        for _ in 0..20 {
            let address = free_address();
            let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
                .join(" ");
            let config = format!(
                "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
                 events {{ worker_connections 64; }}
                 http {{
                     access_log off; {scratch}
                     upstream sts {{ server {upstream}; keepalive 1; }}
                     server {{
                         listen {address}; keepalive_timeout 0; ignore_invalid_headers off;
                         location / {{
                             proxy_pass http://sts; proxy_http_version 1.1; proxy_set_header Connection \"\";
                             proxy_request_buffering off;
                         }}
                     }}
                 }}"
            );
            let file = directory.path().join("nginx.conf");
            std::fs::write(&file, config).unwrap();
            let installed = Path::new("/usr/sbin/nginx");
            let mut child = Command::new(if installed.exists() { installed } else { Path::new("nginx") })
                .arg("-e")
                .arg(directory.path().join("error.log"))
                .arg("-c")
                .arg(&file)
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("nginx does not start ({error}): .ci/prerequisites installs it"));
            // nginx writes this file once it listens, and ends if the port is taken.
            let mut ended = false;
            until("nginx listens, or ends", || {
                ended = child.try_wait().unwrap().is_some();
                ended || directory.path().join("pid").exists()
            });
            if !ended {
                return Self { address, child, _directory: directory };
            }
        }
        panic!(
            "nginx did not start: {}",
            std::fs::read_to_string(directory.path().join("error.log")).unwrap_or_default()
        );
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
