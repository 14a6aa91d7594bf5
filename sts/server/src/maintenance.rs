//! The work of every minute: rotates signing keys, and forgets expired data in the store and in
//! memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sts_audit::{Actor, SigningKeysRotated};
use sts_keyring::Keyring;
use sts_store::Ledger;
use sts_types::Clock;

use crate::app_state::AppState;

/// The interval. This server publishes a new key of another process that shares its keys within this
/// time.
const INTERVAL: Duration = Duration::from_secs(60);

/// How many intervals a day has.
const TICKS_A_DAY: u32 = 1440;

/// Maintains keys and store, outside of requests, for as long as the server runs.
pub(crate) async fn maintenance(keyring: Arc<Keyring>, ledger: Arc<dyn Ledger>, state: Arc<AppState>) {
    let service = Arc::clone(&state.service);
    let mut tick = tokio::time::interval(INTERVAL);
    let mut steps = ClockSteps::new(service.clock());
    let mut ticks = 0_u32;
    loop {
        tick.tick().await;
        if let Some(seconds) = steps.observe(service.clock()) {
            tracing::error!(
                seconds,
                "the system's clock was set: for an hour no key is made or dropped and nothing is forgotten, in case it is set back"
            );
        }
        if let Some(sessions) = &state.sessions
            && let Err(error) = sessions.publish_admin_token().await
        {
            tracing::error!(%error, "other replicas do not hear of the admin token, which console sessions by a link rest on");
        }
        if let Some(managed) = state.managed() {
            managed.save_api_key_uses(&service).await;
        }
        let may_forget = steps.may_forget(service.clock());
        let now = service.clock().now();
        // Forgetting a verified token is safe: if it comes again, it is verified again.
        service.snapshot().remembered.forget_dead(now);
        state.last_uses.save(now, may_forget && ticks.is_multiple_of(TICKS_A_DAY)).await;
        ticks = ticks.wrapping_add(1);
        let before = kids(&keyring);
        let maintained = Arc::clone(&keyring);
        let keys = move || if may_forget { maintained.maintain(now) } else { maintained.reread() };
        match tokio::task::spawn_blocking(keys).await {
            Ok(Ok(true)) => {
                tracing::info!("the published signing keys changed");
                record_keys(&state, &before, &kids(&keyring));
            }
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the signing keys could not be maintained; the current ones stay in use")
            }
        }
        if !may_forget {
            continue;
        }
        if let Some(sessions) = &state.sessions
            && let Err(error) = sessions.forget_ended().await
        {
            tracing::error!(%error, "ended sessions of the console could not be forgotten");
        }
        match ledger.sweep(now).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "dead records swept"),
            Err(error) => tracing::error!(%error, "the store could not be swept"),
        }
    }
}

fn kids(keyring: &Keyring) -> BTreeSet<String> {
    keyring.keys().iter().map(|key| key.kid().to_string()).collect()
}

/// Records which signing keys came and went by themselves, or by another process.
fn record_keys(state: &AppState, before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let kids = after.difference(before).cloned().collect();
    let removed = before.difference(after).cloned().collect();
    state.audit.record(&Actor::SERVER, SigningKeysRotated { kids, removed });
}

/// The smallest jump of the wall clock that counts as a step, in milliseconds. Time synchronisation
/// slews a clock by less.
const STEP: i128 = 10_000;
/// After a step, how long to do nothing that cannot be undone.
const PAUSE: Duration = Duration::from_secs(3600);

/// Detects steps of the wall clock by comparing it with the monotonic clock. If a clock is wrongly
/// set forward, live data such as a one-use claim looks expired. It must still be there when the
/// clock is set back.
struct ClockSteps {
    /// Wall time minus monotonic time, in milliseconds.
    wall_offset: i128,
    /// Monotonic time until which nothing is forgotten.
    pause_until: Duration,
}

impl ClockSteps {
    fn new(clock: &dyn Clock) -> Self {
        Self { wall_offset: wall_offset(clock), pause_until: Duration::ZERO }
    }

    /// The size of the step since the last call, in seconds, if there was one.
    fn observe(&mut self, clock: &dyn Clock) -> Option<i128> {
        let wall_offset = wall_offset(clock);
        let step = wall_offset - std::mem::replace(&mut self.wall_offset, wall_offset);
        (step.abs() >= STEP).then(|| {
            self.pause_until = clock.monotonic().saturating_add(PAUSE);
            step / 1000
        })
    }

    fn may_forget(&self, clock: &dyn Clock) -> bool {
        clock.monotonic() >= self.pause_until
    }
}

fn wall_offset(clock: &dyn Clock) -> i128 {
    i128::from(clock.now_millis()) - i128::try_from(clock.monotonic().as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_testkit::ManualClock;
    use sts_types::UnixTime;

    #[test]
    fn c142_after_a_step_of_the_clock_nothing_is_forgotten_for_an_hour() {
        let clock = ManualClock::at(UnixTime::from_secs(1_800_000_000));
        let pass = |seconds| clock.advance(Duration::from_secs(seconds));
        let mut steps = ClockSteps::new(&clock);
        for _ in 0..100 {
            pass(60);
            clock.step_wall(30);
            assert_eq!(steps.observe(&clock), None, "a clock that drifts");
            assert!(steps.may_forget(&clock));
        }
        pass(60);
        clock.step_wall(3_600_000);
        assert_eq!(steps.observe(&clock), Some(3600));
        assert!(!steps.may_forget(&clock));
        pass(600);
        clock.step_wall(-3_600_000);
        assert_eq!(steps.observe(&clock), Some(-3600), "set back");
        pass(3599);
        assert_eq!(steps.observe(&clock), None);
        assert!(!steps.may_forget(&clock));
        pass(1);
        assert!(steps.may_forget(&clock));
    }
}
