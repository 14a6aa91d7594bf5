//! The background task of the status lists. Pass by pass it adds the tokens that were revoked, one
//! by one or by a rule, and those whose account, identity or issuer entry is gone.
//!
//! A pass costs one small query, plus one for the tokens revoked one by one if there are new ones.
//! Scans of the records run beside the passes. A rule that names an account causes a scan of that
//! account's records. All records are scanned if a rule names no account or reaches into the
//! future, if another snapshot is in force, if our published keys change, or if an account or
//! identity ends. Full scans take at most a fifth of the time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use sts_jose::{SignError, SignedCompact};
use sts_store::{Entry, LedgerError, Listing, Revocation, RevocationScope, StatusMark};
use sts_token::{StatusBits, StatusListSpec, sign_status_list};
use sts_types::{AccountId, STATUS_LIST_LENGTH, StatusListId, StatusWindow, UnixTime};

use super::published::{StatusList, StatusListsView};
use super::{STATUS_LIST_TTL, StatusLists, uri};
use crate::Snapshot;
use crate::signing::within_deadline;
use crate::standing::{Ancestry, supports};

/// Time between two passes, unless one is requested.
const PERIOD: Duration = Duration::from_secs(5);
/// Minimum time between two passes.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after a full scan, as a multiple of its duration.
const REST: u32 = 4;
/// Lifetime of a signed list, in seconds.
const VALIDITY: i64 = 300;
/// Age at which a list is signed again even if nothing changed, in seconds.
const RENEWAL: i64 = 120;
/// How long the lists of an ended window are still served, in seconds. It covers the leeway of
/// verifiers.
const AFTERLIFE: i64 = 60;
/// How long after its decision a token may be recorded, in seconds. A scan that starts sooner after
/// a new rule or snapshot is repeated, because a token decided before may be recorded after it.
const SETTLING: i64 = 10;
/// Number of records per query.
const PAGE: usize = 1000;
/// How often a scan starts again if the record that it should continue after was swept.
const ATTEMPTS: usize = 5;

/// State between passes.
#[derive(Default)]
struct Publisher<'a> {
    /// Result of the last full scan, kept up to date by the passes.
    result: Option<ScanResult>,
    /// The running scans.
    scans: FuturesUnordered<BoxFuture<'a, ScanOutcome>>,
    /// Whether a full scan is running.
    scanning: bool,
    /// The accounts that are being scanned.
    scanning_accounts: BTreeSet<AccountId>,
    /// What account scans found since the full scan started.
    found_during_scan: Bits,
    /// Whether a full scan is needed as soon as one may start.
    scan_due: bool,
    /// Monotonic time of the earliest next full scan.
    pause_until: Duration,
    /// Time of the last pass.
    last: Option<UnixTime>,
    /// The snapshot of the last pass. If it replaced another one: since when it is in force.
    generation: Option<(String, Option<UnixTime>)>,
}

/// Which tokens are invalid, and the state of the ledger and the rules that this is based on.
struct ScanResult {
    mark: StatusMark,
    /// Rules that need no further scan.
    rules: Vec<Revocation>,
    /// All rules as of the last pass. If one is missing in the next pass, it was withdrawn.
    all_rules: Arc<[Revocation]>,
    /// The snapshot in force, if it needs no further scan.
    generation: Option<String>,
    /// Entity tag of our published keys. Tokens of a key that is gone are invalid.
    keys: Arc<str>,
    /// When validity may change by time alone.
    until: Option<UnixTime>,
    /// Duration of the full scan, and when it ended on the monotonic clock.
    took: Duration,
    ended: Duration,
    invalid: Bits,
}

/// Result of a scan.
enum ScanOutcome {
    /// Of all records.
    All(Result<ScanResult, LedgerError>),
    /// Of the records of one account.
    Account(AccountId, Result<Bits, LedgerError>),
}

type Bits = BTreeMap<StatusListId, StatusBits>;

impl StatusLists {
    /// Keeps the status lists up to date as long as the process runs.
    pub(crate) async fn keep_status_lists(&self) {
        let mut publisher = Publisher::default();
        let mut is_failing = false;
        loop {
            let outcome = publisher.run_pass(self).await;
            // If the feature is off, nobody needs the lists.
            let is_on = self.snapshots.load().status_list;
            match &outcome {
                Ok(true) => self.published.passes.send_modify(|count| *count = count.wrapping_add(1)),
                Err(error) if !is_failing && is_on => {
                    tracing::error!(%error, "the status lists cannot be brought up to date; the last ones serve until they expire");
                }
                Ok(false) | Err(_) => {}
            }
            if is_failing && outcome.is_ok() {
                tracing::info!("the status lists are brought up to date again");
            }
            is_failing = outcome.is_err() && is_on;
            // Collect scan results while waiting.
            let mut pause = std::pin::pin!(tokio::time::sleep(PAUSE));
            let mut has_new_results = false;
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(found) = publisher.scans.next() => {
                        publisher.take(self, found);
                        has_new_results = true;
                    }
                }
            }
            if !has_new_results {
                tokio::select! {
                    _ = tokio::time::timeout(PERIOD, self.published.requested.notified()) => {}
                    Some(found) = publisher.scans.next() => publisher.take(self, found),
                }
            }
        }
    }
}

impl<'a> Publisher<'a> {
    /// Runs one pass. Returns whether every list was published.
    async fn run_pass(&mut self, status: &'a StatusLists) -> Result<bool, LedgerError> {
        let (now, snapshot) = (status.clock.now(), status.snapshots.load_full());
        if snapshot.lacks_objects {
            // Tokens of accounts that are not read yet would seem invalid.
            return Ok(false);
        }
        // The clock was set back: windows that were dropped as ended may be valid again.
        self.scan_due |= self.last.replace(now).is_some_and(|last| now < last);
        status.indexes.forget_before(now);
        status.published.revoked_alone().retain(|window, _| is_alive(*window, now));
        let mark = status.ledger.status().await?;
        let leased: Vec<(StatusWindow, u64)> = mark
            .leased
            .iter()
            .filter(|(window, _)| is_alive(**window, now))
            .map(|(&window, &taken)| (window, taken))
            .collect();
        self.note_generation(&snapshot.generation, now);
        if leased.is_empty() {
            *self = Self { last: self.last, generation: self.generation.take(), ..Self::default() };
        } else {
            self.catch_up(status, &mark, &snapshot, now).await?;
            self.scan_if_due(status, mark, &snapshot, now);
        }
        let complete = leased.is_empty() || self.result.is_some();
        if complete {
            publish(status, self.result.as_ref(), &snapshot, &leased, now).await;
        }
        Ok(complete)
    }

    /// Remembers since when the current snapshot is in force.
    fn note_generation(&mut self, generation: &str, now: UnixTime) {
        if self.generation.as_ref().is_none_or(|(last, _)| last != generation) {
            let since = self.generation.as_ref().map(|_| now);
            self.generation = Some((generation.to_owned(), since));
        }
    }

    /// Whether every token that was decided under an earlier snapshot is recorded by now.
    fn is_generation_settled(&self, now: UnixTime) -> bool {
        self.generation.as_ref().is_some_and(|(_, since)| since.is_none_or(|since| since.plus(SETTLING) <= now))
    }

    /// Learns about revocations since the last pass that need no full scan.
    async fn catch_up(
        &mut self,
        status: &'a StatusLists,
        mark: &StatusMark,
        snapshot: &Arc<Snapshot>,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        let Some(result) = &mut self.result else { return Ok(()) };
        let rules = status.ledger.rules().await?;
        self.scan_due |= result.generation.as_ref() != Some(&snapshot.generation)
            || result.keys != status.keyring.etag()
            || result.until.is_some_and(|until| until <= now);
        if result.mark.revocations != mark.revocations {
            match status.ledger.revoked_since(&result.mark).await? {
                Some(records) => records.iter().for_each(|record| status.published.note(record)),
                None => self.scan_due = true,
            }
            result.mark = mark.clone();
        }
        // Bits are only ever added here. Only a full scan finds that a token is valid again.
        let is_there = |rule: &Revocation| rules.iter().any(|other| other.id == rule.id);
        self.scan_due |= result.all_rules.iter().any(|rule| rule.until >= now && !is_there(rule));
        result.all_rules = Arc::clone(&rules);
        let mut settled = Vec::new();
        for rule in rules.iter().filter(|rule| !result.rules.contains(rule)) {
            match account_of(rule) {
                // A rule that reaches into the future needs repeated scans. Full scans pause
                // between them.
                Some(account)
                    if rule.before.is_none_or(|before| before <= now) && !snapshot.rules.acts_for_others(&account) =>
                {
                    if self.scanning_accounts.insert(account.clone()) {
                        settled.extend(is_settled(rule, now).then(|| rule.clone()));
                        // A token may come from one that the rule covers, and be recorded after it.
                        status.published.look_for_family(account.clone(), now.plus(SETTLING));
                        self.scans.push(account_scan(status, snapshot, &rules, account, now));
                    }
                }
                _ => self.scan_due = true,
            }
        }
        for (account, at) in status.published.families_due(now) {
            if snapshot.rules.acts_for_others(&account) {
                // Its tokens may have given tokens of other accounts.
                self.scan_due = true;
            } else if self.scanning_accounts.insert(account.clone()) {
                // The first scan may miss a token that is recorded a moment later, the second does not.
                if at <= UnixTime::from_secs(0) {
                    status.published.look_for_family(account.clone(), now.plus(SETTLING));
                }
                self.scans.push(account_scan(status, snapshot, &rules, account, now));
            } else {
                status.published.look_for_family(account, at);
            }
        }
        result.rules.retain(|rule| rules.contains(rule));
        result.rules.extend(settled);
        Ok(())
    }

    /// Starts a full scan if one is due and the pause after the last one is over.
    fn scan_if_due(&mut self, status: &'a StatusLists, mark: StatusMark, snapshot: &Arc<Snapshot>, now: UnixTime) {
        let is_due = self.scan_due || self.result.is_none();
        if is_due && !self.scanning && status.clock.monotonic() >= self.pause_until {
            (self.scanning, self.scan_due) = (true, false);
            let (snapshot, is_settled) = (Arc::clone(snapshot), self.is_generation_settled(now));
            self.scans
                .push(async move { ScanOutcome::All(scan(status, mark, &snapshot, is_settled, now).await) }.boxed());
        }
    }

    /// Merges the result of a scan.
    fn take(&mut self, status: &StatusLists, found: ScanOutcome) {
        let failed = |error| tracing::warn!(%error, "the records could not be scanned for the status lists");
        match found {
            ScanOutcome::All(fresh) => {
                self.scanning = false;
                match fresh {
                    Ok(mut fresh) => {
                        self.pause_until = fresh.ended.saturating_add(fresh.took.saturating_mul(REST));
                        // An account scan and this scan may each have missed changes that the other
                        // saw, so scan again.
                        self.scan_due |= !self.found_during_scan.is_empty();
                        merge(&mut fresh.invalid, std::mem::take(&mut self.found_during_scan));
                        self.result = Some(fresh);
                    }
                    Err(error) => {
                        failed(error);
                        self.scan_due = true;
                        self.pause_until = status.clock.monotonic().saturating_add(PERIOD);
                    }
                }
            }
            ScanOutcome::Account(account, bits) => {
                self.scanning_accounts.remove(&account);
                match (bits, &mut self.result) {
                    (Ok(bits), Some(result)) => {
                        if self.scanning {
                            merge(&mut self.found_during_scan, bits.clone());
                        }
                        merge(&mut result.invalid, bits);
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
}

/// Signs lists that are new, changed or due for renewal, and drops those of ended windows.
async fn publish(
    status: &StatusLists,
    result: Option<&ScanResult>,
    snapshot: &Snapshot,
    leased: &[(StatusWindow, u64)],
    now: UnixTime,
) {
    let found = |id: StatusListId| result.and_then(|result| result.invalid.get(&id));
    let mut invalid: HashMap<StatusListId, StatusBits> = HashMap::new();
    for (window, indexes) in status.published.revoked_alone().iter() {
        for (id, place) in indexes.iter().filter_map(|index| StatusListId::holding(*window, *index)) {
            invalid.entry(id).or_insert_with(|| found(id).cloned().unwrap_or_default()).set(place);
        }
    }
    let published = status.published.lists.load_full();
    let mut lists = HashMap::new();
    for id in leased.iter().flat_map(|(window, taken)| ids(*window, *taken)) {
        let bits = invalid.get(&id).or_else(|| found(id));
        let current = published.get(&id);
        match current.filter(|list| list.bits.as_ref() == bits && (0..RENEWAL).contains(&now.since(list.signed))) {
            Some(list) => drop(lists.insert(id, Arc::clone(list))),
            None => match sign(status, snapshot, id, bits, now).await {
                Ok(list) => drop(lists.insert(id, Arc::new(list))),
                Err(error) => {
                    tracing::error!(list = %id, "a status list could not be signed");
                    status.signing.failed(error);
                    // Keep the old list. Verifiers may rely on it until it expires.
                    lists.extend(current.map(|list| (id, Arc::clone(list))));
                }
            },
        }
    }
    *status.published.view.lock().unwrap_or_else(PoisonError::into_inner) = StatusListsView {
        lists: lists.len(),
        invalid: lists.values().filter_map(|list| list.bits.as_ref()).map(StatusBits::count).sum(),
        updated: (snapshot.status_list || !lists.is_empty()).then(|| status.clock.monotonic()),
        scan: result.map_or(Duration::ZERO, |result| result.took),
    };
    status.published.lists.store(Arc::new(lists));
}

fn merge(bits: &mut Bits, more: Bits) {
    for (id, more) in more {
        bits.entry(id).or_default().merge(&more);
    }
}

/// The account of a rule that covers only tokens of one account.
fn account_of(rule: &Revocation) -> Option<AccountId> {
    match &rule.scope {
        RevocationScope::Rule(rule) => rule.account.as_deref().and_then(|account| AccountId::new(account).ok()),
        RevocationScope::Token(_) => None,
    }
}

/// Whether every token that `rule` covers is recorded by `now`. A rule without `before` covers no
/// token that is recorded after it.
fn is_settled(rule: &Revocation, now: UnixTime) -> bool {
    rule.before.is_none_or(|before| before.max(rule.at).plus(SETTLING) <= now)
}

/// Scans all records once. `is_generation_settled` tells whether this scan is enough for the
/// snapshot.
async fn scan(
    status: &StatusLists,
    mark: StatusMark,
    snapshot: &Snapshot,
    is_generation_settled: bool,
    now: UnixTime,
) -> Result<ScanResult, LedgerError> {
    let (began, keys) = (status.clock.monotonic(), status.keyring.etag());
    let rules = status.ledger.rules().await?;
    let invalid = scan_records(status, snapshot, &rules, None, now).await?;
    let ended = status.clock.monotonic();
    Ok(ScanResult {
        mark,
        rules: rules.iter().filter(|rule| is_settled(rule, now)).cloned().collect(),
        all_rules: rules,
        generation: is_generation_settled.then(|| snapshot.generation.clone()),
        keys,
        until: snapshot.rules.next_end(now.plus(-SETTLING)),
        took: ended.saturating_sub(began),
        ended,
        invalid,
    })
}

/// Scans the records of one account.
fn account_scan<'a>(
    status: &'a StatusLists,
    snapshot: &Arc<Snapshot>,
    rules: &Arc<[Revocation]>,
    account: AccountId,
    now: UnixTime,
) -> BoxFuture<'a, ScanOutcome> {
    let (snapshot, rules) = (Arc::clone(snapshot), Arc::clone(rules));
    async move {
        let bits = scan_records(status, &snapshot, &rules, Some(&account), now).await;
        ScanOutcome::Account(account, bits)
    }
    .boxed()
}

/// The bits of all lists that have any, for one account or for all.
async fn scan_records(
    status: &StatusLists,
    snapshot: &Snapshot,
    rules: &Arc<[Revocation]>,
    account: Option<&AccountId>,
    now: UnixTime,
) -> Result<Bits, LedgerError> {
    for _ in 0..ATTEMPTS {
        if let Some(bits) = try_scan(status, snapshot, rules, account, now).await? {
            return Ok(bits);
        }
    }
    Err(LedgerError::Unavailable("the records change faster than they can be scanned".into()))
}

/// `None` if the record to continue after was swept.
async fn try_scan(
    status: &StatusLists,
    snapshot: &Snapshot,
    rules: &Arc<[Revocation]>,
    account: Option<&AccountId>,
    now: UnixTime,
) -> Result<Option<Bits>, LedgerError> {
    let mut bits = Bits::new();
    let mut after = None;
    loop {
        let page = status.ledger.list(Listing { account: account.cloned(), after: after.clone(), limit: PAGE }).await?;
        if let (true, Some(after)) = (page.is_empty(), after) {
            // An empty page has two causes: the last record was reached, or the record `after` is
            // gone.
            return Ok(status.ledger.look_up(after).await?.map(|_| bits));
        }
        let ancestry = Ancestry::of(&*status.ledger, page.iter().map(|entry| &entry.record)).await?;
        for Entry { record, revoked } in &page {
            let Some(index) = record.status_index else { continue };
            let is_valid = revoked.is_none()
                && !status.rules.covers(rules, record)
                && supports(snapshot, &*status.keyring, record, now)
                && ancestry.fault(record, snapshot, (&status.rules, rules), &*status.keyring, now).is_none();
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

async fn sign(
    status: &StatusLists,
    snapshot: &Snapshot,
    id: StatusListId,
    bits: Option<&StatusBits>,
    now: UnixTime,
) -> Result<StatusList, SignError> {
    let expires = now.plus(VALIDITY);
    let signer = status.keyring.signer(status.keyring.default_algorithm(), now)?;
    let uri = uri(&snapshot.issuer, id);
    let spec = StatusListSpec { issuer: &snapshot.issuer, uri: &uri, iat: now, exp: expires, ttl: STATUS_LIST_TTL };
    let bits = bits.cloned();
    let invalid = bits.clone().unwrap_or_default();
    let SignedCompact { jwt, digest } = within_deadline(sign_status_list(&*signer, &spec, &invalid)).await?;
    let etag = format!("\"{}\"", sts_jose::base64url(digest.0.get(..16).unwrap_or_default()));
    Ok(StatusList { jwt, etag, signed: now, expires, bits })
}

/// The lists that `taken` indexes of `window` fill.
fn ids(window: StatusWindow, taken: u64) -> impl Iterator<Item = StatusListId> {
    let count = u32::try_from(taken.div_ceil(u64::from(STATUS_LIST_LENGTH))).unwrap_or(u32::MAX);
    (0..count).map(move |number| StatusListId { window, number })
}

/// Whether the lists of `window` are still served.
fn is_alive(window: StatusWindow, now: UnixTime) -> bool {
    window.end().plus(AFTERLIFE) >= now
}
