//! Valid exchanges at a steady pace, for benches that ask what else goes on costs them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sts_testkit::Server;

use crate::connection::Connection;

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
