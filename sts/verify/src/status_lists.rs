//! Token Status Lists (draft-ietf-oauth-status-list): which tokens are no longer valid.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use flate2::read::ZlibDecoder;
use reqwest::Client;
use sts_claims::{ClaimSet, Json};
use sts_jose::{CompactJws, decode_base64url};
use sts_types::{Clock, Issuer, rfc};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use url::Url;

use crate::http_client::{Fetched, fetch};
use crate::issuer_keys::IssuerKeys;
use crate::media_type::is_media_type;
use crate::verified_token::StatusReference;
use crate::{TokenFault, VerifyError};

/// Size limit of a signed list. A list of a million tokens with random bits has 180 KiB.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Size limit of a list after decompression: 32 million tokens.
const MAX_DECOMPRESSED: u64 = 4 * 1024 * 1024;
/// How many lists are kept. An issuer has a few for each hour in which tokens expire.
const MAX_LISTS: usize = 256;
/// Pause after a failed fetch.
const PAUSE: Duration = Duration::from_secs(2);
/// When a list that does not say is fetched again.
const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// The status lists of one issuer. Lists at hand are read without a lock.
pub(crate) struct StatusLists {
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<IssuerKeys>,
    pub(crate) issuer: Issuer,
    /// The only origin that lists are fetched from.
    pub(crate) origin: url::Origin,
    /// How old the information may be that a token is accepted on.
    pub(crate) max_age: Duration,
    pub(crate) lists: ArcSwap<HashMap<Box<str>, Arc<Slot>>>,
}

/// One list, by its URL.
#[derive(Default)]
pub(crate) struct Slot {
    list: ArcSwapOption<List>,
    /// Held by the one that fetches.
    fetching: Arc<Mutex<()>>,
    /// When fetching failed last.
    failed_at: ArcSwapOption<Duration>,
}

struct List {
    /// Bits per token: 1, 2, 4 or 8.
    bits: u8,
    bytes: Vec<u8>,
    /// The monotonic time at which the issuer, or a cache on the way, had it for sure.
    as_of: Duration,
    ttl: Duration,
    /// `exp` in wall time.
    expires_at: Option<i64>,
}

impl StatusLists {
    /// Whether the token at `reference` is valid.
    ///
    /// # Errors
    /// [`TokenFault::Revoked`], [`TokenFault::Claim`] if no such list or place can exist, or
    /// `Unavailable` if no list that is young enough can be had.
    pub(crate) async fn check(self: &Arc<Self>, reference: StatusReference<'_>) -> Result<(), VerifyError> {
        let slot = self.slot(reference.uri)?;
        if let Some(list) = slot.list.load().as_ref().filter(|list| self.is_usable(list)) {
            if self.is_due(&slot, list) {
                self.refresh_in_background(&slot, reference.uri);
            }
            return list.check(reference.index);
        }
        self.fetch_once(&slot, reference.uri).await;
        match slot.list.load().as_ref().filter(|list| self.is_usable(list)) {
            Some(list) => list.check(reference.index),
            None => Err(VerifyError::Unavailable {
                what: "the issuer's status list cannot be had right now",
                retry_after: PAUSE,
            }),
        }
    }

    /// Waits for one fetch, this caller's or another's. It is a task of its own, so that a caller that
    /// gives up does not end it for those who wait.
    async fn fetch_once(self: &Arc<Self>, slot: &Arc<Slot>, uri: &str) {
        let guard = Arc::clone(&slot.fetching).lock_owned().await;
        // Another caller may have fetched it meanwhile.
        if slot.list.load().as_ref().is_some_and(|list| self.is_usable(list)) || self.is_paused(slot) {
            return;
        }
        // It fails if the runtime ends, and then nobody waits.
        let _ = self.spawn_refresh(guard, slot, uri).await;
    }

    fn slot(&self, uri: &str) -> Result<Arc<Slot>, TokenFault> {
        if let Some(slot) = self.lists.load().get(uri) {
            return Ok(Arc::clone(slot));
        }
        let parsed = Url::parse(uri).map_err(|_| TokenFault::Claim("status"))?;
        if parsed.origin() != self.origin {
            return Err(TokenFault::Claim("status"));
        }
        self.lists.rcu(|lists| {
            let mut lists = HashMap::clone(lists);
            if lists.len() >= MAX_LISTS {
                lists.retain(|_, slot| slot.list.load().as_ref().is_some_and(|list| self.is_usable(list)));
            }
            if lists.len() >= MAX_LISTS {
                lists.clear();
            }
            lists.entry(uri.into()).or_default();
            lists
        });
        Ok(self.lists.load().get(uri).map(Arc::clone).unwrap_or_default())
    }

    fn is_usable(&self, list: &List) -> bool {
        let is_young = self.clock.monotonic().saturating_sub(list.as_of) <= self.max_age;
        is_young && list.expires_at.is_none_or(|exp| self.clock.now().as_secs() < exp)
    }

    /// Whether it is time to fetch again. At half of `max_age` at the latest, so that a slow issuer
    /// does not make callers wait.
    fn is_due(&self, slot: &Slot, list: &List) -> bool {
        let age = self.clock.monotonic().saturating_sub(list.as_of);
        age >= list.ttl.min(self.max_age / 2) && !self.is_paused(slot)
    }

    fn is_paused(&self, slot: &Slot) -> bool {
        let failed_at = slot.failed_at.load();
        failed_at.as_ref().is_some_and(|at| self.clock.monotonic().saturating_sub(**at) < PAUSE)
    }

    fn refresh_in_background(self: &Arc<Self>, slot: &Arc<Slot>, uri: &str) {
        // Whoever holds the lock is fetching already.
        let Ok(guard) = Arc::clone(&slot.fetching).try_lock_owned() else { return };
        drop(self.spawn_refresh(guard, slot, uri));
    }

    fn spawn_refresh(self: &Arc<Self>, guard: OwnedMutexGuard<()>, slot: &Arc<Slot>, uri: &str) -> JoinHandle<()> {
        let (lists, slot, uri) = (Arc::clone(self), Arc::clone(slot), uri.to_owned());
        tokio::spawn(async move {
            lists.refresh(&slot, &uri).await;
            drop(guard);
        })
    }

    async fn refresh(&self, slot: &Slot, uri: &str) {
        let asked_at = self.clock.monotonic();
        match self.fetch(uri, asked_at).await {
            Ok(list) => {
                slot.list.store(Some(Arc::new(list)));
                slot.failed_at.store(None);
            }
            Err(error) => {
                slot.failed_at.store(Some(Arc::new(self.clock.monotonic())));
                tracing::warn!(uri, error, "a status list could not be fetched");
            }
        }
    }

    async fn fetch(&self, uri: &str, asked_at: Duration) -> Result<List, String> {
        let request = self.client.get(uri).header("accept", "application/statuslist+jwt");
        let Fetched { body, age } = fetch(request, MAX_BYTES).await?;
        let text = std::str::from_utf8(&body).map_err(|_| "it is not text")?;
        let jws = CompactJws::parse_up_to(text.trim_end(), MAX_BYTES).map_err(|error| error.to_string())?;
        let typ = jws.header().typ.as_deref().unwrap_or_default();
        if !is_media_type(typ, rfc::TYP_STATUS_LIST) {
            return Err("its `typ` is not `statuslist+jwt`".to_owned());
        }
        self.keys.verify(&jws).await.map_err(|error| error.to_string())?;
        let claims = ClaimSet::parse(jws.payload()).map_err(|error| error.to_string())?;
        // `sub` keeps one list from being served in place of another.
        if claims.text("iss") != Some(self.issuer.as_str()) || claims.text("sub") != Some(uri) {
            return Err("its `iss` or `sub` is of another list".to_owned());
        }
        let list = List::read(&claims, asked_at.saturating_sub(age))?;
        if list.expires_at.is_some_and(|exp| self.clock.now().as_secs() >= exp) {
            return Err("it has expired".to_owned());
        }
        Ok(list)
    }
}

impl List {
    fn read(claims: &ClaimSet, as_of: Duration) -> Result<Self, String> {
        let seconds =
            |name: &str| claims.get(name).map(|value| value.as_i64().ok_or(format!("`{name}` is no integer")));
        let ttl = seconds("ttl").transpose()?.and_then(|ttl| u64::try_from(ttl).ok());
        let list = claims.get("status_list").ok_or("it has no `status_list`")?;
        let bits = list.get("bits").and_then(Json::as_i64).and_then(|bits| u8::try_from(bits).ok());
        let bits = bits.filter(|bits| matches!(bits, 1 | 2 | 4 | 8)).ok_or("`bits` is not 1, 2, 4 or 8")?;
        let compressed = list.get("lst").and_then(Json::as_str).and_then(decode_base64url);
        let compressed = compressed.ok_or("`lst` is not base64url")?;
        let mut bytes = Vec::new();
        let read = ZlibDecoder::new(&*compressed).take(MAX_DECOMPRESSED + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("`lst` cannot be decompressed: {error}"))?;
        if bytes.len() as u64 > MAX_DECOMPRESSED {
            return Err(format!("`lst` is longer than {MAX_DECOMPRESSED} bytes"));
        }
        let ttl = ttl.map_or(DEFAULT_TTL, Duration::from_secs);
        Ok(Self { bits, bytes, as_of, ttl, expires_at: seconds("exp").transpose()? })
    }

    /// Whether the token at `index` is valid: its status is 0 (section 7.1).
    fn check(&self, index: u64) -> Result<(), VerifyError> {
        let per_byte = u64::from(8 / self.bits);
        let byte = usize::try_from(index / per_byte).ok().and_then(|place| self.bytes.get(place));
        // A place behind the end is a fault of the issuer, and no proof that the token is good.
        let byte = byte.ok_or(TokenFault::Claim("status"))?;
        let shift = u32::try_from(index % per_byte).unwrap_or(0) * u32::from(self.bits);
        let mask = u8::MAX >> (8 - self.bits);
        if byte.checked_shr(shift).unwrap_or(0) & mask == 0 { Ok(()) } else { Err(TokenFault::Revoked.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use serde_json::{Value, json};

    use super::*;

    fn compressed(bytes: &[u8]) -> String {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(bytes).unwrap();
        sts_jose::base64url(&zlib.finish().unwrap())
    }

    fn list(bits: Value, lst: &str) -> Result<List, String> {
        let claims = json!({ "ttl": 30, "status_list": { "bits": bits, "lst": lst } });
        List::read(&ClaimSet::parse(claims.to_string().as_bytes()).unwrap(), Duration::ZERO)
    }

    #[test]
    fn statuses_are_read_from_the_least_significant_bit_on() {
        // The examples of section 4.1: 16 tokens of one bit, and 12 of two.
        let one = list(json!(1), &compressed(&[0xb9, 0xa3])).unwrap();
        let expected = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        for (index, status) in expected.into_iter().enumerate() {
            assert_eq!(one.check(index as u64).is_ok(), status == 0, "{index}");
        }
        let two = list(json!(2), &compressed(&[0xc9, 0x44, 0xf9])).unwrap();
        for (index, status) in [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3].into_iter().enumerate() {
            assert_eq!(two.check(index as u64).is_ok(), status == 0, "{index}");
        }
        let eight = list(json!(8), &compressed(&[0, 7])).unwrap();
        assert!(eight.check(0).is_ok() && eight.check(1).is_err());
    }

    #[test]
    fn a_place_behind_the_end_is_never_valid() {
        let one = list(json!(1), &compressed(&[0, 0])).unwrap();
        assert!(one.check(15).is_ok());
        for index in [16, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(one.check(index), Err(TokenFault::Claim("status").into()));
        }
    }

    #[test]
    fn a_list_of_another_form_is_refused() {
        let good = compressed(&[0]);
        for bits in [json!(0), json!(3), json!(16), json!("1"), json!(1.5), Value::Null] {
            assert!(list(bits, &good).is_err());
        }
        assert!(list(json!(1), "!").is_err());
        assert!(list(json!(1), &sts_jose::base64url(b"not zlib")).is_err());
        let bomb = compressed(&vec![0; usize::try_from(MAX_DECOMPRESSED).unwrap() + 1]);
        assert!(list(json!(1), &bomb).err().unwrap().contains("longer"));
    }
}
