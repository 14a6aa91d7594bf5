//! Sends spans to a collector, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use url::Url;

use super::otlp;
use super::span::Span;

/// The most spans that wait. Later ones are lost, and counted.
const QUEUE: usize = 4096;
/// The most spans of one request.
const BATCH: usize = 512;
/// How long the first span of a request waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// Deadline of a request. A collector that takes longer loses the spans that come meanwhile.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a stop waits for the last spans.
const LAST: Duration = Duration::from_secs(1);

/// The queue before the sender. Offering a span never waits.
pub(crate) struct Exporter {
    queue: mpsc::Sender<Message>,
    counts: Arc<Counts>,
}

enum Message {
    Span(Box<Span>),
    /// Send what is there, then answer.
    Flush(oneshot::Sender<()>),
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    lost: AtomicU64,
}

/// How many spans were sent, and how many were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanCounts {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
}

impl Exporter {
    /// Starts the sender on the current runtime.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub(crate) fn start(url: &Url) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("sts/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let (queue, messages) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let sender =
            Sender { client, url: otlp::traces_url(url.clone()), counts: Arc::clone(&counts), is_failing: false };
        tokio::spawn(sender.run(messages));
        Ok(Self { queue, counts })
    }

    pub(super) fn offer(&self, span: Span) {
        if self.queue.try_send(Message::Span(Box::new(span))).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> SpanCounts {
        let Counts { sent, lost } = &*self.counts;
        SpanCounts { sent: sent.load(Ordering::Relaxed), lost: lost.load(Ordering::Relaxed) }
    }

    /// Waits until the spans so far are sent, up to a timeout.
    pub(super) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let flushing = async {
            if self.queue.send(Message::Flush(done)).await.is_ok() {
                // An error means that the sender is gone, and with it the spans.
                let _ = is_done.await;
            }
        };
        let _ = timeout(LAST, flushing).await;
    }
}

struct Sender {
    client: Client,
    url: Url,
    counts: Arc<Counts>,
    /// Whether the log says that the collector fails.
    is_failing: bool,
}

impl Sender {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(first) = messages.recv().await {
            let (spans, flushed) = gather(first, &mut messages).await;
            if !spans.is_empty() {
                self.send(&spans).await;
            }
            if let Some(flushed) = flushed {
                // Whoever waits may have given up.
                let _ = flushed.send(());
            }
        }
    }

    async fn send(&mut self, spans: &[Span]) {
        let body = otlp::export_request(spans).to_string();
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, otlp::MEDIA_TYPE).body(body);
        let outcome = match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered with status {}", answer.status().as_u16())),
            // Without the URL, which the line has already.
            Err(error) => Err(error.without_url().to_string()),
        };
        let count = if outcome.is_ok() { &self.counts.sent } else { &self.counts.lost };
        count.fetch_add(spans.len() as u64, Ordering::Relaxed);
        match &outcome {
            Ok(()) if self.is_failing => tracing::info!("the collector of traces takes spans again"),
            Err(error) if !self.is_failing => {
                tracing::warn!(url = %self.url, %error, "the collector of traces takes no spans; they are lost until it does");
            }
            Ok(()) | Err(_) => {}
        }
        self.is_failing = outcome.is_err();
    }
}

/// The first message and those that come soon after it.
async fn gather(first: Message, messages: &mut mpsc::Receiver<Message>) -> (Vec<Span>, Option<oneshot::Sender<()>>) {
    let mut spans = Vec::new();
    let mut next = Some(first);
    let mut end = std::pin::pin!(tokio::time::sleep(GATHER));
    loop {
        match next {
            Some(Message::Span(span)) => spans.push(*span),
            Some(Message::Flush(done)) => return (spans, Some(done)),
            None => return (spans, None),
        }
        if spans.len() >= BATCH {
            return (spans, None);
        }
        next = tokio::select! {
            () = &mut end => return (spans, None),
            message = messages.recv() => message,
        };
    }
}
