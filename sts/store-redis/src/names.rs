//! The names of our keys. All of them, or all of one shard, share one hash slot of a Cluster, so one
//! transaction can write them together and one sequence number covers them all. No name contains text of a user: a
//! keyed digest replaces it.

use std::sync::Arc;

use super::slots::ShardIndex;
use sts_store::{ObjectKey, SessionKey, UseKey};
use sts_types::{AccountId, Digest256, Jti, RequestId, Seal};

/// Octets of the keyed digest in a name. 128 bits rule out collisions.
const DIGEST_LEN: usize = 16;
/// No sealed value begins with this octet, so a name is never the seal of a value.
const NAME_DOMAIN: u8 = 0;

/// `sts:` gives `sts:{sts}:`. The part in braces decides the slot.
fn base(prefix: &str) -> String {
    in_slot_of(prefix, stem(prefix))
}

fn in_slot_of(prefix: &str, tag: &str) -> String {
    format!("{prefix}{{{tag}}}:")
}

fn stem(prefix: &str) -> &str {
    prefix.trim_end_matches(':')
}

/// The names under one prefix.
pub(super) struct Names {
    base: String,
    seal: Arc<dyn Seal>,
    mark: String,
    rules: String,
    revoked: String,
    revocations: String,
    all: String,
    ends: String,
    leases: String,
    probe: String,
    refusals: String,
    objects: String,
    object_log: String,
    key_uses: String,
    last_uses: String,
}

/// String: the sealed signing keys.
pub(super) fn signing_keys(prefix: &str) -> String {
    base(prefix) + "keys"
}

/// The name of a whole store's mark. In a store of several shards, String: the sealed number of them.
/// No server with another number, of whatever version, takes that for the mark of its own store.
pub(super) fn mark_of_whole(prefix: &str) -> String {
    base(prefix) + "mark"
}

/// The name of the mark of `shard`.
pub(super) fn mark_of(prefix: &str, shard: ShardIndex) -> String {
    in_slot_of(prefix, &shard.tag(stem(prefix))) + "mark"
}

impl Names {
    /// The names in `shard`.
    pub(super) fn new(prefix: &str, shard: ShardIndex, seal: Arc<dyn Seal>) -> Self {
        let base = in_slot_of(prefix, &shard.tag(stem(prefix)));
        let named = |name| format!("{base}{name}");
        Self {
            seal,
            mark: named("mark"),
            rules: named("rules"),
            revoked: named("revoked"),
            revocations: named("revocations"),
            all: named("all"),
            ends: named("ends"),
            leases: named("leases"),
            probe: named("probe"),
            refusals: named("denials"),
            objects: named("objects"),
            object_log: named("object-log"),
            key_uses: named("key-uses"),
            last_uses: named("last-uses"),
            base,
        }
    }

    /// Hash: the sealed epoch of the store, and the sealed mark of its revocations.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Hash: the sealed rules by id.
    pub(super) fn rules(&self) -> &str {
        &self.rules
    }

    /// List: the log of changes to revoked tokens, the latest last.
    pub(super) fn revoked(&self) -> &str {
        &self.revoked
    }

    /// Sorted set: ids of the revoked tokens, by the second at which the revocation ends.
    pub(super) fn revocations(&self) -> &str {
        &self.revocations
    }

    /// Sorted set: ids of all records, by the millisecond of their issue.
    pub(super) fn all(&self) -> &str {
        &self.all
    }

    /// Sorted set: id and account of all records, by the second of their end.
    pub(super) fn ends(&self) -> &str {
        &self.ends
    }

    /// Hash: how many indexes of each status window are taken.
    pub(super) fn leases(&self) -> &str {
        &self.leases
    }

    /// Sorted set: share and id of the remembered refusals, by the millisecond of the refusal.
    pub(super) fn refusals(&self) -> &str {
        &self.refusals
    }

    /// Hash: the sealed managed objects by id.
    pub(super) fn objects(&self) -> &str {
        &self.objects
    }

    /// List: the log of changed objects, the latest last.
    pub(super) fn object_log(&self) -> &str {
        &self.object_log
    }

    /// Sorted set: ids of accounts and identities, by the second of their last use.
    pub(super) fn last_uses(&self) -> &str {
        &self.last_uses
    }

    /// The id of an account or identity in [`last_uses`](Self::last_uses).
    pub(super) fn use_id(&self, key: &UseKey) -> String {
        let identity = key.identity.as_deref().unwrap_or_default();
        // Names of accounts have no such octet.
        self.digest(b'u', &[key.account.as_bytes(), identity.as_bytes()].join(&0))
    }

    /// The id of a managed object.
    pub(super) fn object_id(&self, key: &ObjectKey) -> String {
        self.digest(b'o', &key.to_bytes())
    }

    /// Hash: the last use of each API key, by the key's id.
    pub(super) fn key_uses(&self) -> &str {
        &self.key_uses
    }

    /// The id of a refused request.
    pub(super) fn refusal_id(&self, request_id: &RequestId) -> String {
        self.digest(b'd', request_id.as_str().as_bytes())
    }

    /// String: the sealed refusal of an id.
    pub(super) fn refusal(&self, id: &str) -> String {
        self.named("d:", id)
    }

    /// String: the key that the readiness probe writes.
    pub(super) fn probe(&self) -> &str {
        &self.probe
    }

    /// The id of a jti.
    pub(super) fn id(&self, jti: &Jti) -> String {
        self.digest(b't', jti.as_str().as_bytes())
    }

    /// The id of an account.
    pub(super) fn account_id(&self, account: &AccountId) -> String {
        self.digest(b'a', account.as_str().as_bytes())
    }

    /// String: the sealed record of an id.
    pub(super) fn record(&self, id: &str) -> String {
        self.named("t:", id)
    }

    /// String: the sealed revocation of an id.
    pub(super) fn revocation(&self, id: &str) -> String {
        self.named("r:", id)
    }

    /// Sorted set: ids of an account's records, by the millisecond of their issue.
    pub(super) fn account(&self, account_id: &str) -> String {
        self.named("a:", account_id)
    }

    /// String: a one-use claim.
    pub(super) fn claim(&self, key: Digest256) -> String {
        self.named("c:", &key.to_hex())
    }

    /// String: a session of the console.
    pub(super) fn session(&self, key: SessionKey) -> String {
        self.named("s:", &sts_types::hex(&key.to_bytes()))
    }

    fn named(&self, kind: &str, rest: &str) -> String {
        [self.base.as_str(), kind, rest].concat()
    }

    fn digest(&self, kind: u8, octets: &[u8]) -> String {
        let code = self.seal.seal(&[&[NAME_DOMAIN, kind], octets]);
        sts_types::hex(code.get(..DIGEST_LEN).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::TestSeal;

    #[test]
    fn every_name_has_the_prefix_and_one_slot_and_no_text_of_a_user() {
        let names = Names::new("sts:", ShardIndex::WHOLE, Arc::new(TestSeal(1)));
        let text = "{x}\r\n sts:mark".replace(['\r', '\n'], "");
        let id = names.id(&Jti::new(&text).unwrap());
        let account = names.account_id(&AccountId::new("octo").unwrap());
        assert_ne!(id, account);
        let code = TestSeal(1).seal(&[b"\0aocto"]);
        assert_eq!(account, sts_types::hex(&code[..16]), "as earlier versions named it");
        assert_ne!(names.id(&Jti::new("octo").unwrap()), account, "a jti and an account of one text are two ids");
        for name in [
            names.mark(),
            names.rules(),
            names.all(),
            names.ends(),
            names.leases(),
            names.revoked(),
            names.revocations(),
            names.probe(),
            names.refusals(),
            names.objects(),
            names.object_log(),
            names.key_uses(),
            names.last_uses(),
            &signing_keys("sts:"),
            &names.refusal(&names.refusal_id(&RequestId::new("01J9ZQ4T5M3N8K7R6S2V1W0XYZ").unwrap())),
            &names.record(&id),
            &names.revocation(&id),
            &names.account(&account),
            &names.claim(Digest256([7; 32])),
        ] {
            assert!(name.starts_with("sts:{sts}:"), "{name}");
            assert!(!name.contains("octo") && name.matches('{').count() == 1, "{name}");
        }
    }
}
