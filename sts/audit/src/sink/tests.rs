use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::Stream;

const LONG: Duration = Duration::from_secs(20);

/// A writer whose every outcome a test decides.
struct Scripted {
    begun: SyncSender<Vec<u8>>,
    outcomes: Receiver<Result<(), (usize, io::Error)>>,
}

impl LineWriter for Scripted {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let _ = self.begun.send(lines.to_vec());
        self.outcomes.recv().unwrap_or(Ok(()))
    }
}

type Script = (Arc<Sink>, Receiver<Vec<u8>>, SyncSender<Result<(), (usize, io::Error)>>);

fn scripted(max_waiting: usize) -> Script {
    let (begun, seen) = sync_channel(100);
    let (decide, outcomes) = sync_channel(100);
    (Sink::bounded("test", Ok(Scripted { begun, outcomes }), max_waiting), seen, decide)
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[test]
fn fld12_a_stream_that_blocks_holds_nobody_up_and_what_does_not_fit_is_counted() {
    let (sink, seen, decide) = scripted(20);
    assert!(sink.offer(b"first\n"));
    assert_eq!(seen.recv().unwrap(), b"first\n");
    // The writer is in its write, and stays there.
    assert!(sink.offer(b"second\n") && sink.offer(b"third\n"));
    assert!(!sink.is_available());
    assert!(!sink.offer(b"too much\n"));
    assert_eq!(sink.status().lost, 1);
    sink.flush(Duration::from_millis(1));
    decide.send(Ok(())).unwrap();
    assert_eq!(seen.recv().unwrap(), b"second\nthird\n");
    decide.send(Ok(())).unwrap();
    sink.flush(LONG);
    assert!(sink.is_available());
    assert_eq!(sink.status().lost, 1);
}

#[test]
fn fld13_a_stream_whose_last_write_failed_takes_nothing_until_one_succeeds() {
    let (sink, seen, decide) = scripted(1000);
    assert!(sink.offer(b"a\n"));
    seen.recv().unwrap();
    assert!(sink.offer(b"b\n") && sink.offer(b"c\n"));
    decide.send(Ok(())).unwrap();
    assert_eq!(seen.recv().unwrap(), b"b\nc\n");
    assert!(sink.offer(b"d\n"));
    // `b` was written, `c` was not, and `d` waits behind it.
    decide.send(Err((2, full()))).unwrap();
    sink.flush(LONG);
    assert_eq!(seen.recv().unwrap(), b"c\n", "it is tried again");
    let status = sink.status();
    assert_eq!((status.lost, status.is_available), (2, false));
    assert!(status.fault.is_some());
    assert!(!sink.offer(b"e\n"));
    decide.send(Err((0, full()))).unwrap();
    assert_eq!(seen.recv().unwrap(), b"c\n");
    decide.send(Ok(())).unwrap();
    while !sink.is_available() {
        std::thread::yield_now();
    }
    assert_eq!(sink.status().lost, 3);
    assert!(sink.offer(b"f\n"));
    assert_eq!(seen.recv().unwrap(), b"f\n");
}

#[test]
fn fld12_closing_waits_for_what_was_taken_and_not_for_ever() {
    let (sink, seen, decide) = scripted(1000);
    assert!(sink.offer(b"a\n"));
    seen.recv().unwrap();
    sink.close(Duration::from_millis(1));
    assert!(!sink.offer(b"b\n"));
    decide.send(Ok(())).unwrap();
    sink.close(LONG);
    assert_eq!(sink.status().lost, 1);
}

#[test]
fn the_lines_of_a_batch_are_written_at_its_end_at_once() {
    let (sink, seen, decide) = scripted(1000);
    assert!(sink.offer(b"first\n"));
    assert_eq!(seen.recv().unwrap(), b"first\n");
    decide.send(Ok(())).unwrap();
    // From here on the thread sleeps.
    sink.flush(LONG);
    assert!(sink.offer_in_batch(b"a\n") && sink.offer_in_batch(b"b\n"));
    assert_eq!(sink.status().waiting_bytes, 4);
    sink.end_batch();
    assert_eq!(seen.recv().unwrap(), b"a\nb\n");
    decide.send(Ok(())).unwrap();
    // A batch that has not ended is written, too, when somebody waits for it.
    assert!(sink.offer_in_batch(b"c\n"));
    decide.send(Ok(())).unwrap();
    sink.flush(LONG);
    assert_eq!(seen.recv().unwrap(), b"c\n");
    assert!(sink.offer_in_batch(b"d\n"));
    decide.send(Ok(())).unwrap();
    sink.close(LONG);
    assert_eq!(seen.recv().unwrap(), b"d\n");
}

#[test]
fn a_long_batch_is_written_before_its_end() {
    let (sink, seen, _decide) = scripted(MAX_WAITING);
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    for _ in 0..BATCH / line.len() {
        assert!(sink.offer_in_batch(&line));
    }
    assert!(!seen.recv_timeout(LONG).unwrap().is_empty());
}

#[test]
fn fld13_a_stream_that_was_closed_before_we_began_takes_nothing() {
    let sink = Sink::start("test", Err::<Stream, _>("closed".to_owned()));
    assert!(!sink.offer(b"a\n") && !sink.is_available());
    assert_eq!(sink.status().lost, 1);
    sink.close(LONG);
}
