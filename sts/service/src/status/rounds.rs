//! The background of the status lists: round after round, what was revoked, by token or by rule, and what lost its account,
//! identity or issuer entry, gets into the lists.
//!
//! A round asks the ledger for one small answer. All records are looked at only when something was revoked, another snapshot is in
//! force, an account or identity ends, or a rule reaches into the future; and never for more than a fifth of the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sts_store::{Entry, LedgerError, Listing, StatusMark};
use sts_token::{StatusBits, StatusListSpec, sign_status_list};
use sts_types::{STATUS_LIST_LENGTH, StatusListId, StatusWindow, UnixTime};

use super::board::{StatusList, StatusListsView};
use super::{STATUS_LIST_TTL, uri};
use crate::{Service, Snapshot};

/// Between two rounds, unless one is asked for.
const PERIOD: Duration = Duration::from_secs(5);
/// Between two rounds that are asked for.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times as long as a look at all records took none is begun after it.
const REST: u32 = 4;
/// Seconds for which a signed list may be relied on.
const VALIDITY: i64 = 300;
/// Seconds after which a list is signed anew, whether or not anything changed.
const RENEWAL: i64 = 120;
/// How long the window of a dead token is still answered, in seconds: as long as a verifier's leeway.
const AFTERLIFE: i64 = 60;
/// Records that are asked for at a time.
const PAGE: usize = 1000;
/// How often a look at all records begins anew when the record that it was to go on after is swept meanwhile.
const ATTEMPTS: usize = 5;

/// What is known from one round to the next.
#[derive(Default)]
struct Rounds {
    scan: Option<Scan>,
}

/// One look at all records.
struct Scan {
    /// The number that every revocation raises, as it was when the look began.
    revocations: u64,
    /// The snapshot that was in force.
    generation: String,
    /// When something may be different although nothing was changed.
    until: Option<UnixTime>,
    /// Monotonic time before which there is no other.
    not_before: Duration,
    took: Duration,
    invalid: BTreeMap<StatusListId, StatusBits>,
    count: usize,
}

impl Service {
    /// Keeps the status lists up to date for as long as the process runs.
    pub async fn keep_status_lists(&self) {
        let mut rounds = Rounds::default();
        let mut failing = false;
        loop {
            let outcome = rounds.round(self).await;
            self.board.rounds.send_modify(|count| *count = count.wrapping_add(1));
            match &outcome {
                Err(error) if !failing => {
                    tracing::error!(%error, "the status lists cannot be brought up to date; the last ones serve until they expire");
                }
                Ok(()) if failing => tracing::info!("the status lists are brought up to date again"),
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
            let _ = tokio::time::timeout(PERIOD, self.board.wanted.notified()).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Rounds {
    async fn round(&mut self, service: &Service) -> Result<(), LedgerError> {
        let (now, snapshot) = (service.clock.now(), service.snapshot());
        service.status.forget_before(now);
        service.board.revoked_here().retain(|window, _| is_alive(*window, now));
        let mark = service.ledger.status().await?;
        let leased: Vec<(StatusWindow, u64)> = mark
            .leased
            .iter()
            .filter(|(window, _)| is_alive(**window, now))
            .map(|(&own, &taken)| (own, taken))
            .collect();
        if leased.is_empty() {
            self.scan = None;
        } else if self.is_due(service, &mark, &snapshot, now).await? {
            self.scan = Some(scan(service, &mark, &snapshot, now).await?);
        }
        self.publish(service, &snapshot, &leased, now);
        Ok(())
    }

    async fn is_due(
        &self,
        service: &Service,
        mark: &StatusMark,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Result<bool, LedgerError> {
        let Some(scan) = &self.scan else { return Ok(true) };
        if service.clock.monotonic() < scan.not_before {
            return Ok(false);
        }
        let changed = scan.revocations != mark.revocations
            || scan.generation != snapshot.generation
            || scan.until.is_some_and(|until| until <= now);
        // Such a rule covers tokens that were not minted yet at the last look.
        Ok(changed || service.ledger.rules().await?.iter().any(|rule| rule.before > now))
    }

    /// Signs what is new, changed or old, and lets go of what is dead.
    fn publish(&self, service: &Service, snapshot: &Snapshot, leased: &[(StatusWindow, u64)], now: UnixTime) {
        let mut invalid: HashMap<StatusListId, StatusBits> = HashMap::new();
        for (window, indexes) in service.board.revoked_here().iter() {
            for (id, place) in indexes.iter().filter_map(|index| StatusListId::holding(*window, *index)) {
                let scanned = || self.scan.as_ref().and_then(|scan| scan.invalid.get(&id)).cloned().unwrap_or_default();
                invalid.entry(id).or_insert_with(scanned).set(place);
            }
        }
        let published = service.board.lists.load_full();
        let mut lists = HashMap::new();
        for id in leased.iter().flat_map(|(window, taken)| ids(*window, *taken)) {
            let bits = invalid.get(&id).or_else(|| self.scan.as_ref().and_then(|scan| scan.invalid.get(&id)));
            let held = published.get(&id);
            match held.filter(|list| list.bits.as_ref() == bits && now.since(list.signed).abs() < RENEWAL) {
                Some(list) => drop(lists.insert(id, Arc::clone(list))),
                None => match sign(service, snapshot, id, bits, now) {
                    Ok(list) => drop(lists.insert(id, Arc::new(list))),
                    Err(error) => {
                        tracing::error!(%error, list = %id, "a status list could not be signed");
                        lists.extend(held.map(|list| (id, Arc::clone(list))));
                    }
                },
            }
        }
        *service.board.view.lock().unwrap_or_else(PoisonError::into_inner) = StatusListsView {
            lists: lists.len(),
            invalid: self.scan.as_ref().map_or(0, |scan| scan.count),
            updated: Some(service.clock.monotonic()),
            scan: self.scan.as_ref().map_or(Duration::ZERO, |scan| scan.took),
        };
        service.board.lists.store(Arc::new(lists));
    }
}

/// Looks at every record once.
async fn scan(service: &Service, mark: &StatusMark, snapshot: &Snapshot, now: UnixTime) -> Result<Scan, LedgerError> {
    let began = service.clock.monotonic();
    for _ in 0..ATTEMPTS {
        let Some((invalid, count)) = look_at_all(service, snapshot, now).await? else { continue };
        let ended = service.clock.monotonic();
        let took = ended.saturating_sub(began);
        return Ok(Scan {
            revocations: mark.revocations,
            generation: snapshot.generation.clone(),
            until: snapshot.rules.next_end(now),
            not_before: ended.saturating_add(took.saturating_mul(REST)),
            took,
            invalid,
            count,
        });
    }
    Err(LedgerError::Unavailable("the records change faster than they can be looked at".into()))
}

/// The bits of all lists that have any, and how many; `None` when the record to go on after was swept.
async fn look_at_all(
    service: &Service,
    snapshot: &Snapshot,
    now: UnixTime,
) -> Result<Option<(BTreeMap<StatusListId, StatusBits>, usize)>, LedgerError> {
    let rules = service.ledger.rules().await?;
    let mut invalid: BTreeMap<StatusListId, StatusBits> = BTreeMap::new();
    let mut count = 0;
    let mut after = None;
    loop {
        let page = service.ledger.list(Listing { account: None, after: after.clone(), limit: PAGE }).await?;
        if let (true, Some(after)) = (page.is_empty(), after) {
            // Nothing comes after the last record, and after one that is not there any more.
            return Ok(service.ledger.look_up(after).await?.map(|_| (invalid, count)));
        }
        for Entry { record, revoked } in &page {
            let Some(index) = record.status_index else { continue };
            let is_valid = revoked.is_none() && !service.rules.covers(&rules, record) && snapshot.supports(record, now);
            if !is_valid && let Some((id, place)) = StatusListId::holding(StatusWindow::of(record.exp), index) {
                invalid.entry(id).or_default().set(place);
                count += 1;
            }
        }
        match page.into_iter().next_back() {
            Some(Entry { record, .. }) => after = Some(record.jti),
            None => return Ok(Some((invalid, count))),
        }
    }
}

fn sign(
    service: &Service,
    snapshot: &Snapshot,
    id: StatusListId,
    bits: Option<&StatusBits>,
    now: UnixTime,
) -> Result<StatusList, Box<dyn std::error::Error>> {
    let expires = now.plus(VALIDITY);
    let signer = service.keyring.signer(service.keyring.default_algorithm(), now)?;
    let uri = uri(&snapshot.issuer, id);
    let spec = StatusListSpec { issuer: &snapshot.issuer, uri: &uri, iat: now, exp: expires, ttl: STATUS_LIST_TTL };
    let jwt = sign_status_list(&*signer, &spec, &bits.cloned().unwrap_or_default())?;
    let digest = sts_jose::sha256(jwt.as_bytes());
    let etag = format!("\"{}\"", sts_jose::base64url(digest.0.get(..16).unwrap_or_default()));
    Ok(StatusList { jwt, etag, signed: now, expires, bits: bits.cloned() })
}

/// The lists that so many indexes of `window` fill.
fn ids(window: StatusWindow, taken: u64) -> impl Iterator<Item = StatusListId> {
    let count = u32::try_from(taken.div_ceil(u64::from(STATUS_LIST_LENGTH))).unwrap_or(u32::MAX);
    (0..count).map(move |number| StatusListId { window, number })
}

fn is_alive(window: StatusWindow, now: UnixTime) -> bool {
    window.end().plus(AFTERLIFE) >= now
}
