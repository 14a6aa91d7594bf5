//! When service accounts and their identities last got a token. Uses are noted off the request path,
//! from the events of exchanges, and written to the store every minute and at the end, where all
//! replicas read them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sts_api::{LastUse, Object};
use sts_service::{DecisionEvent, Outcome, Unsaved};
use sts_store::{ObjectStore, UseKey};
use sts_types::{ObjectKind, UnixTime};

/// How long a last use is kept: nobody removes those of accounts that are gone.
const KEPT_SECONDS: i64 = 400 * 86_400;

/// The last uses.
pub(crate) struct LastUses {
    unsaved: Unsaved<UseKey, UnixTime>,
    /// A ledger from elsewhere keeps none.
    store: Option<Arc<dyn ObjectStore>>,
}

impl LastUses {
    pub(crate) fn new(store: Option<Arc<dyn ObjectStore>>) -> Self {
        Self { unsaved: Unsaved::default(), store }
    }

    /// Notes the account and the identity of an exchange that was granted.
    pub(crate) fn note(&self, event: &DecisionEvent) {
        let (Outcome::Granted, Some(account)) = (event.outcome, &event.account) else { return };
        let Some(at) = UnixTime::from_rfc3339(&event.time) else { return };
        let key = |identity| UseKey { account: account.clone(), identity };
        self.unsaved.note(key(None), at);
        if let Some(identity) = &event.identity {
            self.unsaved.note(key(Some(identity.clone())), at);
        }
    }

    /// Writes what was noted to the store. With `forgets`, the store forgets what is too old.
    pub(crate) async fn save(&self, now: UnixTime, forgets: bool) {
        let Some(store) = &self.store else { return };
        let saved = match self.unsaved.save(|uses| store.record_last_uses(uses, None)).await {
            Ok(()) if forgets => store.record_last_uses(Vec::new(), Some(now.plus(-KEPT_SECONDS))).await,
            saved => saved,
        };
        if let Err(error) = saved {
            tracing::warn!(%error, "the last uses of accounts could not be saved; it is tried again");
        }
    }

    /// Adds the last uses to service accounts. Where the store cannot be read, they are left out.
    pub(crate) async fn add_to(&self, objects: &mut [Object]) {
        let Some(store) = &self.store else { return };
        let accounts = || objects.iter().filter(|object| object.kind == ObjectKind::ServiceAccount);
        let keys: Vec<UseKey> = accounts().flat_map(keys_of).collect();
        // Before the store is read: a use that is saved meanwhile is then in one of the two.
        let unsaved: Vec<Option<UnixTime>> = keys.iter().map(|key| self.unsaved.of(key)).collect();
        let saved = match store.last_uses(keys.clone()).await {
            Ok(saved) => saved,
            Err(error) => {
                tracing::warn!(%error, "the last uses of accounts could not be read");
                return;
            }
        };
        let latest = saved.into_iter().zip(unsaved).map(|(saved, unsaved)| saved.max(unsaved));
        let known: HashMap<UseKey, UnixTime> =
            keys.into_iter().zip(latest).filter_map(|(key, at)| Some((key, at?))).collect();
        for object in objects.iter_mut().filter(|object| object.kind == ObjectKind::ServiceAccount) {
            object.last_use = Some(last_use(object, &known));
        }
    }
}

fn last_use(object: &Object, known: &HashMap<UseKey, UnixTime>) -> LastUse {
    let at = known.get(&UseKey { account: object.name.clone(), identity: None }).copied();
    let of_identity = |key: UseKey| Some((key.identity.clone()?, *known.get(&key)?));
    LastUse { at, identities: keys_of(object).filter_map(of_identity).collect() }
}

/// The account, and each of its identities.
fn keys_of(object: &Object) -> impl Iterator<Item = UseKey> + '_ {
    let identities = object.spec.get("identities").and_then(Value::as_array).into_iter().flatten();
    let names = identities.filter_map(|identity| identity.get("name")?.as_str().map(str::to_owned));
    std::iter::once(None).chain(names.map(Some)).map(|identity| UseKey { account: object.name.clone(), identity })
}
