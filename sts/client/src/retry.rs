//! Further attempts within a deadline.

use std::time::Duration;

use sts_jose::OsEntropy;
use sts_types::Entropy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{ClientError, Retry};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Calls `attempt` until it succeeds, fails for good, or `limit` has passed.
pub(crate) async fn within<T>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let deadline = Instant::now() + limit;
    let mut last: Option<String> = None;
    for count in 0_u32.. {
        let (text, retry) = match timeout_at(deadline, attempt()).await {
            Ok(Err(ClientError::Failed { text, retry })) => (text, retry),
            Ok(done) => return done,
            Err(_) => {
                let text = last.unwrap_or_else(|| "no answer came".to_owned());
                return Err(ClientError::failed(format!("{text}; gave up after {} seconds", limit.as_secs())));
            }
        };
        let pause = match retry {
            Retry::No => return Err(ClientError::failed(text)),
            Retry::Soon => pause(count, &OsEntropy),
            Retry::After(wait) => wait.saturating_add(FIRST_PAUSE.mul_f64(fraction(&OsEntropy))),
        };
        if pause >= deadline.saturating_duration_since(Instant::now()) {
            let seconds = limit.as_secs();
            return Err(ClientError::failed(format!(
                "{text}; another attempt does not fit into {seconds} seconds (--timeout)"
            )));
        }
        last = Some(text);
        sleep(pause).await;
    }
    Err(ClientError::failed("gave up"))
}

/// The pause after attempt number `count`. Jobs that failed together must not come back together.
fn pause(count: u32, entropy: &impl Entropy) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << count.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fraction(entropy) / 2.0)
}

/// A random number from 0 to 1.
pub(crate) fn fraction(entropy: &impl Entropy) -> f64 {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_spread() {
        let longest: Vec<u128> = (0..7).map(|count| pause(count, &Fixed(255)).as_millis()).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(pause(2, &Fixed(0)).as_millis(), 1000);
        assert_eq!(pause(u32::MAX, &Fixed(255)), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_may_help_is_made_and_a_final_failure_ends_it() {
        let limit = Duration::from_secs(60);
        let mut count = 0;
        let done = within(limit, async || {
            count += 1;
            if count < 3 { Err(ClientError::passing("away")) } else { Ok(count) }
        });
        assert_eq!(done.await.unwrap(), 3);
        let mut count = 0;
        let refused = within::<()>(limit, async || {
            count += 1;
            Err(ClientError::failed("refused"))
        });
        assert_eq!(refused.await.unwrap_err().to_string(), "refused");
        assert_eq!(count, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_asks_to_wait_is_waited_if_it_fits() {
        let start = Instant::now();
        let mut count = 0;
        let wait = |seconds| ClientError::Failed {
            text: "busy".to_owned(),
            retry: Retry::After(Duration::from_secs(seconds)),
        };
        let done = within(Duration::from_secs(60), async || {
            count += 1;
            if count == 1 { Err(wait(7)) } else { Ok(()) }
        });
        done.await.unwrap();
        assert!((7.0..7.6).contains(&start.elapsed().as_secs_f64()));
        let refused = within::<()>(Duration::from_secs(5), async || Err(wait(7))).await.unwrap_err();
        assert!(refused.to_string().contains("does not fit into 5 seconds"), "{refused}");
        let refused = within::<()>(Duration::from_secs(5), async || Err(wait(u64::MAX))).await.unwrap_err();
        assert!(refused.to_string().contains("does not fit into 5 seconds"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_left_at_the_deadline() {
        let refused = within::<()>(Duration::from_secs(3), async || std::future::pending().await).await.unwrap_err();
        assert!(refused.to_string().contains("gave up after 3 seconds"), "{refused}");
    }
}
