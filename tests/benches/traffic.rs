//! Valid exchanges at a steady pace, for benches that ask what else goes on costs them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sts_testkit::{Server, form};

const CONNECTIONS: usize = 32;
/// Between two requests of one connection: 32 of them are 640 exchanges a second.
const PACE: Duration = Duration::from_millis(50);

/// The latencies of valid exchanges for as long as `meanwhile` takes.
pub(crate) fn traffic(server: &Server, token: &str, meanwhile: impl FnOnce()) -> Vec<Duration> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let over = &over;
                scope.spawn(move || {
                    let mut connection = Connection::to(server.public());
                    let mut latencies = Vec::new();
                    // Not all at one beat.
                    std::thread::sleep(PACE / u32::try_from(CONNECTIONS).unwrap() * u32::try_from(number).unwrap());
                    while !over.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        assert_eq!(connection.exchange(token), 200);
                        latencies.push(began.elapsed());
                        std::thread::sleep(PACE.saturating_sub(began.elapsed()));
                    }
                    latencies
                })
            })
            .collect();
        meanwhile();
        over.store(true, Ordering::Relaxed);
        connections.into_iter().flat_map(|connection| connection.join().unwrap()).collect()
    })
}

pub(crate) fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    latencies.sort_unstable();
    latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)]
}

/// A connection that is kept.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The status of an exchange of `token`.
    pub(crate) fn exchange(&mut self, token: &str) -> u16 {
        let body = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token),
        ]);
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: sts\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
        loop {
            let count = self.0.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the server closed the connection");
            answer.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                return head.split(' ').nth(1).unwrap().parse().unwrap();
            }
        }
    }
}
