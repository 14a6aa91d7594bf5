//! Operations at the same time, stores that fail in the middle of a change, and devices that are away.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

/// A store whose next read waits for the test, with what it has read.
struct PausingStore {
    store: Arc<dyn KeyStore>,
    pause: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl PausingStore {
    /// Has the next read wait. Returns what it tells when it has read, and how it goes on.
    fn pause(&self) -> (Receiver<()>, Sender<()>) {
        let ((has_read, told), (go_on, goes_on)) = (channel(), channel());
        *self.pause.lock().unwrap() = Some((has_read, goes_on));
        (told, go_on)
    }
}

impl KeyStore for PausingStore {
    fn load(&self) -> Result<StoredKeys, KeyringError> {
        let stored = self.store.load();
        let pause = self.pause.lock().unwrap().take();
        if let Some((has_read, goes_on)) = pause {
            has_read.send(()).unwrap();
            goes_on.recv().unwrap();
        }
        stored
    }

    fn update(&self, change: &mut dyn FnMut(&mut StoredKeys)) -> Result<StoredKeys, KeyringError> {
        self.store.update(change)
    }

    fn seal_key(&self, entropy: &dyn Entropy) -> Result<SealKey, KeyringError> {
        self.store.seal_key(entropy)
    }
}

#[test]
fn a_key_that_is_withdrawn_while_the_store_is_read_does_not_come_back() {
    for (place, may_forget) in Place::all().iter().flat_map(|place| [(place, true), (place, false)]) {
        let server = place.servers.fetch_add(1, Ordering::Relaxed);
        let store = Arc::new(PausingStore { store: place.store(server, &["key"]).unwrap(), pause: Mutex::default() });
        let ring = Keyring::open(spec(), Arc::clone(&store) as _, None, &OsEntropy, T0).unwrap();
        let withdrawn = kids(&ring)[0].clone();
        let (has_read, go_on) = store.pause();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| if may_forget { ring.maintain(T0) } else { ring.reread() });
            has_read.recv().unwrap();
            let (done, is_done) = channel();
            let (ring, withdrawn) = (&ring, &withdrawn);
            scope.spawn(move || {
                ring.withdraw(withdrawn, T0).unwrap().unwrap();
                let _ = done.send(());
            });
            // It may be done before the read goes on, or wait for it.
            let _ = is_done.recv_timeout(Duration::from_millis(200));
            go_on.send(()).unwrap();
            reading.join().unwrap().unwrap();
        });
        assert!(!kids(&ring).contains(&withdrawn));
        assert_ne!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), withdrawn);
        assert!(ring.verifying_key(&withdrawn, T0).is_none());
    }
}

#[test]
fn a_withdrawal_that_fails_says_whether_the_key_is_still_in_use() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let set = |writes| *place.value().writes.lock().unwrap() = writes;
    let first = kids(&ring)[0].clone();
    set(Writes::Refused);
    assert!(matches!(ring.withdraw(&first, T0), Err(WithdrawError::InUse(_))));
    assert_eq!(kids(&ring), std::slice::from_ref(&first));
    place.value().is_away.store(true, Ordering::Relaxed);
    assert!(matches!(ring.withdraw(&first, T0), Err(WithdrawError::InUse(_))), "nothing was written");
    place.value().is_away.store(false, Ordering::Relaxed);
    set(Writes::TheLast);
    assert!(matches!(ring.withdraw(&first, T0), Err(WithdrawError::Unknown(_))));
    place.value().is_away.store(false, Ordering::Relaxed);
    set(Writes::Done);
    ring.maintain(T0).unwrap();
    let second = kids(&ring);
    assert!(second.len() == 1 && second[0] != first, "it was withdrawn, as turns out");
    set(Writes::WithoutAnswer);
    let withdrawal = ring.withdraw(&second[0], T0).unwrap().unwrap();
    assert!(withdrawal.not_replaced.is_some() && kids(&ring).is_empty(), "{withdrawal:?}");
    set(Writes::Done);
    ring.maintain(T0).unwrap();
    assert!(kids(&ring).len() == 1 && kids(&ring) != second);
}

#[test]
fn a_key_whose_device_is_away_is_withdrawn_and_said_to_be_left_on_it() {
    for place in Place::all() {
        let device = Arc::new(FakeDevice::default());
        let ring = on_device(&place, &device, T0).unwrap();
        let first = kids(&ring)[0].clone();
        ring.rotate(T0.plus(1)).unwrap();
        device.is_gone.store(true, Ordering::Relaxed);
        let withdrawal = ring.withdraw(&first, T0.plus(2)).unwrap().unwrap();
        assert!(withdrawal.not_destroyed.is_some() && withdrawal.not_replaced.is_none(), "{withdrawal:?}");
        assert!(!kids(&ring).contains(&first) && device.kids().contains(&first));
        let without_device = place.open_as(1, &["key"], spec(), T0.plus(2)).unwrap();
        let second = kids(&without_device)[0].clone();
        let withdrawal = without_device.withdraw(&second, T0.plus(3)).unwrap().unwrap();
        assert!(withdrawal.not_destroyed.unwrap().to_string().contains("signing.pkcs11"));
        assert_eq!(withdrawal.made.len(), 1, "somebody must sign");
    }
}

#[test]
fn a_key_on_the_device_that_gets_on_no_record_is_destroyed_there() {
    let device = Arc::new(FakeDevice::default());
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(FailingStore::of(Directory::open(directory.path()).unwrap()));
    let ring = Keyring::open(spec(), Arc::clone(&store) as _, Some(Arc::clone(&device) as _), &OsEntropy, T0).unwrap();
    let first = device.kids();
    store.fails_to_create.store(true, Ordering::Relaxed);
    assert!(ring.rotate(T0.plus(1)).is_err() && ring.maintain(T0.plus(40 * 86_400)).is_err());
    assert_eq!(device.kids(), first);

    // What a store that is away has is not known yet.
    let (place, device) = (Place::sealed(), Arc::new(FakeDevice::default()));
    let ring = on_device(&place, &device, T0).unwrap();
    let set = |writes| *place.value().writes.lock().unwrap() = writes;
    for (writes, is_recorded) in [(Writes::Refused, false), (Writes::WithoutAnswer, true)] {
        let before = device.kids();
        set(writes);
        assert!(ring.rotate(T0.plus(1)).is_err());
        assert_eq!(device.kids().len(), before.len() + 1);
        set(Writes::Done);
        device.is_gone.store(true, Ordering::Relaxed);
        assert_eq!(ring.maintain(T0.plus(2)).is_err(), !is_recorded, "the device is asked if there is something to do");
        device.is_gone.store(false, Ordering::Relaxed);
        ring.maintain(T0.plus(3)).unwrap();
        assert_eq!((device.kids().len(), device.kids()), (before.len() + usize::from(is_recorded), kids(&ring)));
    }
}

#[test]
fn a_server_without_the_device_makes_no_successor_to_a_key_on_it_unless_it_is_told_to() {
    for place in Place::all() {
        let device = Arc::new(FakeDevice::default());
        let with_device = on_device(&place, &device, T0).unwrap();
        let first = kids(&with_device);
        let late = T0.plus(31 * 86_400);
        let without = place.open_as(1, &["key"], spec(), late).unwrap();
        assert!(!without.maintain(late).unwrap());
        assert_eq!(kids(&without), first);
        // Back to keys in files: the key on the device signs until its successor does.
        let second = without.rotate(late).unwrap().made;
        let signing = |ring: &Keyring, at: UnixTime| ring.signer(Algorithm::ES256, at).unwrap().kid().clone();
        for minute in 0..20 {
            let now = late.plus(60 * minute);
            for ring in [&with_device, &without] {
                ring.maintain(now).unwrap();
                assert_eq!(kids(ring), [first[0].clone(), second[0].clone()]);
                assert_eq!(
                    signing(ring, now),
                    if now < late.plus(LEAD) { first[0].clone() } else { second[0].clone() }
                );
            }
        }
        assert_eq!(device.kids(), first);
    }
}
