//! The background of the status lists: round after round, what was revoked, by token or by rule, and what lost its account,
//! identity or issuer entry, gets into the lists.
//!
//! A round asks the ledger for one small answer, and for the tokens that were revoked alone when there are any. Beside the rounds the
//! records of an account are looked at for a rule that names one; and all records when a rule names none or reaches into the future,
//! when another snapshot is in force, or when an account or identity ends, but never for more than a fifth of the time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use sts_store::{Entry, LedgerError, Listing, Revocation, RevocationScope, StatusMark};
use sts_token::{StatusBits, StatusListSpec, sign_status_list};
use sts_types::{AccountId, STATUS_LIST_LENGTH, StatusListId, StatusWindow, UnixTime};

use super::board::{StatusList, StatusListsView};
use super::{STATUS_LIST_TTL, uri};
use crate::{Service, Snapshot};

/// Between two rounds, unless one is asked for.
const PERIOD: Duration = Duration::from_secs(5);
/// Between any two rounds.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times as long as a look at all records took none is begun after it.
const REST: u32 = 4;
/// Seconds for which a signed list may be relied on.
const VALIDITY: i64 = 300;
/// Seconds after which a list is signed anew, whether or not anything changed.
const RENEWAL: i64 = 120;
/// How long the window of a dead token is still answered, in seconds: as long as a verifier's leeway.
const AFTERLIFE: i64 = 60;
/// How long after it was decided a token may be recorded, in seconds. What is looked at sooner after a rule was made or the snapshot
/// changed is looked at again: a token that was decided on before may have come after.
const SETTLING: i64 = 10;
/// Records that are asked for at a time.
const PAGE: usize = 1000;
/// How often a look at records begins anew when the record that it was to go on after is swept meanwhile.
const ATTEMPTS: usize = 5;

/// What is known from one round to the next.
#[derive(Default)]
struct Rounds<'a> {
    known: Option<Known>,
    /// The looks at records that are under way.
    looks: FuturesUnordered<BoxFuture<'a, Found>>,
    /// Whether one of them is at all records.
    scanning: bool,
    /// The accounts whose records are looked at.
    looking_at: BTreeSet<AccountId>,
    /// What looks at accounts have found since the look at all records began.
    found_meanwhile: Bits,
    /// Whether all records are to be looked at, as soon as that may begin.
    scan_due: bool,
    /// Monotonic time before which it may not.
    rest_until: Duration,
    /// The time of the last round.
    last: Option<UnixTime>,
    /// The snapshot of the last round, and since when it is in force when another one was before it.
    generation: Option<(String, Option<UnixTime>)>,
}

/// Which tokens are not valid, and what was there to be known when that was found.
struct Known {
    mark: StatusMark,
    /// The rules that need no other look.
    rules: Vec<Revocation>,
    /// All rules that were looked for, as of the last round. One that is taken back is missing in the next.
    looked_for: Arc<[Revocation]>,
    /// The snapshot that was in force, when it needs none.
    generation: Option<String>,
    /// When something may be different although nothing was changed.
    until: Option<UnixTime>,
    /// How long the look at all records took, and when it ended on the monotonic clock.
    took: Duration,
    ended: Duration,
    invalid: Bits,
}

/// What a look at records found.
enum Found {
    /// At all of them.
    All(Result<Known, LedgerError>),
    /// At those of one account.
    Account(AccountId, Result<Bits, LedgerError>),
}

type Bits = BTreeMap<StatusListId, StatusBits>;

impl Service {
    /// Keeps the status lists up to date for as long as the process runs.
    pub async fn keep_status_lists(&self) {
        let mut rounds = Rounds::default();
        let mut failing = false;
        loop {
            let outcome = rounds.round(self).await;
            // Without the feature nobody waits for a list.
            let is_on = self.snapshot().status_list;
            match &outcome {
                Ok(true) => self.board.rounds.send_modify(|count| *count = count.wrapping_add(1)),
                Err(error) if !failing && is_on => {
                    tracing::error!(%error, "the status lists cannot be brought up to date; the last ones serve until they expire");
                }
                Ok(false) | Err(_) => {}
            }
            if failing && outcome.is_ok() {
                tracing::info!("the status lists are brought up to date again");
            }
            failing = outcome.is_err() && is_on;
            // The looks go on whatever is waited for.
            let mut pause = std::pin::pin!(tokio::time::sleep(PAUSE));
            let mut is_wanted = false;
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(found) = rounds.looks.next() => {
                        rounds.take(self, found);
                        is_wanted = true;
                    }
                }
            }
            if !is_wanted {
                tokio::select! {
                    _ = tokio::time::timeout(PERIOD, self.board.wanted.notified()) => {}
                    Some(found) = rounds.looks.next() => rounds.take(self, found),
                }
            }
        }
    }
}

impl<'a> Rounds<'a> {
    /// Answers whether every list that there is was published.
    async fn round(&mut self, service: &'a Service) -> Result<bool, LedgerError> {
        let (now, snapshot) = (service.clock.now(), service.snapshot());
        // What was let go of as dead, by a clock that was set back since, is alive again.
        self.scan_due |= self.last.replace(now).is_some_and(|last| now < last);
        service.status.forget_before(now);
        service.board.revoked_alone().retain(|window, _| is_alive(*window, now));
        let mark = service.ledger.status().await?;
        let leased: Vec<(StatusWindow, u64)> = mark
            .leased
            .iter()
            .filter(|(window, _)| is_alive(**window, now))
            .map(|(&own, &taken)| (own, taken))
            .collect();
        self.note_generation(&snapshot.generation, now);
        if leased.is_empty() {
            *self = Self { last: self.last, generation: self.generation.take(), ..Self::default() };
        } else {
            self.catch_up(service, &mark, &snapshot, now).await?;
            self.scan_if_due(service, mark, &snapshot, now);
        }
        let complete = leased.is_empty() || self.known.is_some();
        if complete {
            self.publish(service, &snapshot, &leased, now);
        }
        Ok(complete)
    }

    fn note_generation(&mut self, generation: &str, now: UnixTime) {
        if self.generation.as_ref().is_none_or(|(held, _)| held != generation) {
            let since = self.generation.as_ref().map(|_| now);
            self.generation = Some((generation.to_owned(), since));
        }
    }

    /// Whether what was decided under another snapshot than the one in force is recorded by now.
    fn is_generation_settled(&self, now: UnixTime) -> bool {
        self.generation.as_ref().is_some_and(|(_, since)| since.is_none_or(|since| since.plus(SETTLING) <= now))
    }

    /// Learns what was revoked since the last round where that takes no look at all records.
    async fn catch_up(
        &mut self,
        service: &'a Service,
        mark: &StatusMark,
        snapshot: &Arc<Snapshot>,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        let Some(known) = &mut self.known else { return Ok(()) };
        let rules = service.ledger.rules().await?;
        self.scan_due |=
            known.generation.as_ref() != Some(&snapshot.generation) || known.until.is_some_and(|until| until <= now);
        if known.mark.revocations != mark.revocations {
            match service.ledger.revoked_since(&known.mark).await? {
                Some(records) => records.iter().for_each(|record| service.board.note(record)),
                None => self.scan_due = true,
            }
            known.mark = mark.clone();
        }
        // Bits are only ever added to those that are known, so valid tokens are found by a look at all records.
        let is_there = |rule: &Revocation| rules.iter().any(|other| other.id == rule.id);
        self.scan_due |= known.looked_for.iter().any(|rule| rule.until >= now && !is_there(rule));
        known.looked_for = Arc::clone(&rules);
        let mut settled = Vec::new();
        for rule in rules.iter().filter(|rule| !known.rules.contains(rule)) {
            match account_of(rule) {
                // One that reaches into the future is looked at again and again, which is to leave time for other work.
                Some(account) if rule.before.is_none_or(|before| before <= now) => {
                    if self.looking_at.insert(account.clone()) {
                        settled.extend(is_settled(rule, now).then(|| rule.clone()));
                        let (snapshot, rules) = (Arc::clone(snapshot), Arc::clone(&rules));
                        let look = async move {
                            let bits = look_at(service, &snapshot, &rules, Some(&account), now).await;
                            Found::Account(account, bits)
                        };
                        self.looks.push(look.boxed());
                    }
                }
                _ => self.scan_due = true,
            }
        }
        known.rules.retain(|rule| rules.contains(rule));
        known.rules.extend(settled);
        Ok(())
    }

    fn scan_if_due(&mut self, service: &'a Service, mark: StatusMark, snapshot: &Arc<Snapshot>, now: UnixTime) {
        let is_due = self.scan_due || self.known.is_none();
        if is_due && !self.scanning && service.clock.monotonic() >= self.rest_until {
            (self.scanning, self.scan_due) = (true, false);
            let (snapshot, is_settled) = (Arc::clone(snapshot), self.is_generation_settled(now));
            self.looks.push(async move { Found::All(scan(service, mark, &snapshot, is_settled, now).await) }.boxed());
        }
    }

    /// Takes what a look has found.
    fn take(&mut self, service: &Service, found: Found) {
        let failed = |error| tracing::warn!(%error, "the records could not be looked at for the status lists");
        match found {
            Found::All(fresh) => {
                self.scanning = false;
                match fresh {
                    Ok(mut fresh) => {
                        self.rest_until = fresh.ended.saturating_add(fresh.took.saturating_mul(REST));
                        // Both looked at what may have changed in between, so that there is another look.
                        self.scan_due |= !self.found_meanwhile.is_empty();
                        merge(&mut fresh.invalid, std::mem::take(&mut self.found_meanwhile));
                        self.known = Some(fresh);
                    }
                    Err(error) => {
                        failed(error);
                        self.scan_due = true;
                        self.rest_until = service.clock.monotonic().saturating_add(PERIOD);
                    }
                }
            }
            Found::Account(account, bits) => {
                self.looking_at.remove(&account);
                match (bits, &mut self.known) {
                    (Ok(bits), Some(known)) => {
                        if self.scanning {
                            merge(&mut self.found_meanwhile, bits.clone());
                        }
                        merge(&mut known.invalid, bits);
                    }
                    (Ok(_), None) => {}
                    (Err(error), _) => {
                        failed(error);
                        self.scan_due = true;
                    }
                }
            }
        }
    }

    /// Signs what is new, changed or old, and lets go of what is dead.
    fn publish(&self, service: &Service, snapshot: &Snapshot, leased: &[(StatusWindow, u64)], now: UnixTime) {
        let found = |id: StatusListId| self.known.as_ref().and_then(|known| known.invalid.get(&id));
        let mut invalid: HashMap<StatusListId, StatusBits> = HashMap::new();
        for (window, indexes) in service.board.revoked_alone().iter() {
            for (id, place) in indexes.iter().filter_map(|index| StatusListId::holding(*window, *index)) {
                invalid.entry(id).or_insert_with(|| found(id).cloned().unwrap_or_default()).set(place);
            }
        }
        let published = service.board.lists.load_full();
        let mut lists = HashMap::new();
        for id in leased.iter().flat_map(|(window, taken)| ids(*window, *taken)) {
            let bits = invalid.get(&id).or_else(|| found(id));
            let held = published.get(&id);
            match held.filter(|list| list.bits.as_ref() == bits && (0..RENEWAL).contains(&now.since(list.signed))) {
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
            invalid: lists.values().filter_map(|list| list.bits.as_ref()).map(StatusBits::count).sum(),
            updated: (snapshot.status_list || !lists.is_empty()).then(|| service.clock.monotonic()),
            scan: self.known.as_ref().map_or(Duration::ZERO, |known| known.took),
        };
        service.board.lists.store(Arc::new(lists));
    }
}

fn merge(bits: &mut Bits, more: Bits) {
    for (id, more) in more {
        bits.entry(id).or_default().merge(&more);
    }
}

/// The account whose tokens alone a rule covers, if it names one.
fn account_of(rule: &Revocation) -> Option<AccountId> {
    match &rule.scope {
        RevocationScope::Rule(rule) => rule.account.as_deref().and_then(|account| AccountId::new(account).ok()),
        RevocationScope::Token(_) => None,
    }
}

/// Whether every token that `rule` covers is recorded by `now`. A rule without `before` covers none that is recorded later.
fn is_settled(rule: &Revocation, now: UnixTime) -> bool {
    rule.before.is_none_or(|before| before.max(rule.at).plus(SETTLING) <= now)
}

/// Looks at every record once; the snapshot may be settled by then.
async fn scan(
    service: &Service,
    mark: StatusMark,
    snapshot: &Snapshot,
    is_generation_settled: bool,
    now: UnixTime,
) -> Result<Known, LedgerError> {
    let began = service.clock.monotonic();
    let rules = service.ledger.rules().await?;
    let invalid = look_at(service, snapshot, &rules, None, now).await?;
    let ended = service.clock.monotonic();
    Ok(Known {
        mark,
        rules: rules.iter().filter(|rule| is_settled(rule, now)).cloned().collect(),
        looked_for: rules,
        generation: is_generation_settled.then(|| snapshot.generation.clone()),
        until: snapshot.rules.next_end(now.plus(-SETTLING)),
        took: ended.saturating_sub(began),
        ended,
        invalid,
    })
}

/// The bits of all lists that have any, of `account` or of all.
async fn look_at(
    service: &Service,
    snapshot: &Snapshot,
    rules: &Arc<[Revocation]>,
    account: Option<&AccountId>,
    now: UnixTime,
) -> Result<Bits, LedgerError> {
    for _ in 0..ATTEMPTS {
        if let Some(bits) = look_once(service, snapshot, rules, account, now).await? {
            return Ok(bits);
        }
    }
    Err(LedgerError::Unavailable("the records change faster than they can be looked at".into()))
}

/// `None` when the record to go on after was swept.
async fn look_once(
    service: &Service,
    snapshot: &Snapshot,
    rules: &Arc<[Revocation]>,
    account: Option<&AccountId>,
    now: UnixTime,
) -> Result<Option<Bits>, LedgerError> {
    let mut bits = Bits::new();
    let mut after = None;
    loop {
        let page =
            service.ledger.list(Listing { account: account.cloned(), after: after.clone(), limit: PAGE }).await?;
        if let (true, Some(after)) = (page.is_empty(), after) {
            // Nothing comes after the last record, and after one that is not there any more.
            return Ok(service.ledger.look_up(after).await?.map(|_| bits));
        }
        for Entry { record, revoked } in &page {
            let Some(index) = record.status_index else { continue };
            let is_valid = revoked.is_none() && !service.rules.covers(rules, record) && snapshot.supports(record, now);
            if !is_valid && let Some((id, place)) = StatusListId::holding(StatusWindow::of(record.exp), index) {
                bits.entry(id).or_default().set(place);
            }
        }
        match page.into_iter().next_back() {
            Some(Entry { record, .. }) => after = Some(record.jti),
            None => return Ok(Some(bits)),
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
