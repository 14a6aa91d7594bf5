//! The contract of [`SessionStore`], one function per promise.

use std::any::Any;
use std::sync::Arc;

use serde_json::json;
use sts_types::{Clock as _, Digest256};

use super::{ManualClock, START};
use crate::{SessionKey, SessionKind, SessionStore, StoredSession};

/// A fresh, empty store of sessions and its clock.
pub struct SessionRig {
    /// The store.
    pub sessions: Arc<dyn SessionStore>,
    /// Its clock, at [`START`].
    pub clock: Arc<ManualClock>,
    /// Anything that must live as long as the store: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for SessionRig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionRig").finish_non_exhaustive()
    }
}

/// Runs the whole contract on the store that `$make` makes (`async fn() -> SessionRig`).
#[macro_export]
macro_rules! session_contract_tests {
    ($make:path) => {
        $crate::behaviours! { $make:
            a_session_is_found_as_it_was_kept_until_it_ends
            a_session_of_one_kind_is_none_of_another
            of_many_that_take_a_session_exactly_one_gets_it
            a_session_that_was_taken_is_not_replaced
            a_replaced_session_ends_when_the_new_one_says
            a_sweep_forgets_ended_sessions_alone
        }
    };
}

fn key(kind: SessionKind, number: u8) -> SessionKey {
    SessionKey { kind, digest: Digest256([number; 32]) }
}

fn stored(key: SessionKey, seconds: i64) -> StoredSession {
    StoredSession { key, until: START.plus(seconds), payload: json!({ "user": "\u{e9}\"\\\n", "seconds": seconds }) }
}

/// It comes back whole, up to its last second.
pub async fn a_session_is_found_as_it_was_kept_until_it_ends(rig: &SessionRig) {
    let key = key(SessionKind::Session, 1);
    assert_eq!(rig.sessions.session(key).await.unwrap(), None);
    rig.sessions.create(stored(key, 60)).await.unwrap();
    rig.clock.advance(60);
    assert_eq!(rig.sessions.session(key).await.unwrap(), Some(stored(key, 60)));
    rig.clock.advance(1);
    assert_eq!(rig.sessions.session(key).await.unwrap(), None);
    assert_eq!(rig.sessions.take(key).await.unwrap(), None, "an ended one is not taken either");
}

/// A link is no session, even under the same digest.
pub async fn a_session_of_one_kind_is_none_of_another(rig: &SessionRig) {
    let link = key(SessionKind::Link, 1);
    rig.sessions.create(stored(link, 60)).await.unwrap();
    for other in [SessionKind::Session, SessionKind::SignIn, SessionKind::AdminToken] {
        assert_eq!(rig.sessions.session(key(other, 1)).await.unwrap(), None);
        assert_eq!(rig.sessions.take(key(other, 1)).await.unwrap(), None);
    }
    assert_eq!(rig.sessions.take(link).await.unwrap(), Some(stored(link, 60)));
}

/// One secret opens one session.
pub async fn of_many_that_take_a_session_exactly_one_gets_it(rig: &SessionRig) {
    let link = key(SessionKind::Link, 7);
    rig.sessions.create(stored(link, 60)).await.unwrap();
    let takers: Vec<_> = (0..16)
        .map(|_| {
            let sessions = Arc::clone(&rig.sessions);
            tokio::spawn(async move { sessions.take(link).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap().is_some());
    }
    assert_eq!(taken, 1);
    assert_eq!(rig.sessions.session(link).await.unwrap(), None);
}

/// A page that is still open does not bring a session back after the sign-out.
pub async fn a_session_that_was_taken_is_not_replaced(rig: &SessionRig) {
    let key = key(SessionKind::Session, 1);
    assert!(!rig.sessions.replace(stored(key, 60)).await.unwrap());
    rig.sessions.create(stored(key, 60)).await.unwrap();
    rig.sessions.take(key).await.unwrap().unwrap();
    assert!(!rig.sessions.replace(stored(key, 60)).await.unwrap());
    assert_eq!(rig.sessions.session(key).await.unwrap(), None);
}

/// The use of a session moves its end.
pub async fn a_replaced_session_ends_when_the_new_one_says(rig: &SessionRig) {
    let key = key(SessionKind::Session, 1);
    rig.sessions.create(stored(key, 60)).await.unwrap();
    assert!(rig.sessions.replace(stored(key, 90)).await.unwrap());
    rig.clock.advance(90);
    assert_eq!(rig.sessions.session(key).await.unwrap(), Some(stored(key, 90)));
    rig.clock.advance(1);
    assert!(!rig.sessions.replace(stored(key, 900)).await.unwrap(), "an ended one is not used again");
}

/// What has not ended stays.
pub async fn a_sweep_forgets_ended_sessions_alone(rig: &SessionRig) {
    let (ended, lasting) = (key(SessionKind::Session, 1), key(SessionKind::SignIn, 2));
    rig.sessions.create(stored(ended, 10)).await.unwrap();
    rig.sessions.create(stored(lasting, 20)).await.unwrap();
    rig.clock.advance(11);
    rig.sessions.forget_ended(rig.clock.now()).await.unwrap();
    assert_eq!(rig.sessions.session(ended).await.unwrap(), None);
    assert_eq!(rig.sessions.session(lasting).await.unwrap(), Some(stored(lasting, 20)));
}
