//! Finds keys of ours that another program wrote over with a value of another type. Readiness tells
//! of them before an operation needs them.

use sts_store::Warning;

use super::batch::{Batch, Replies, command};
use super::error::{ErrorReply, RedisStoreError};
use super::names::Names;

/// A key that always has the same type.
struct TypedKey<'a> {
    name: &'a str,
    /// Reads little, and fails if the type is another.
    read: &'static str,
    arguments: &'static [&'static str],
    /// What does not work without it, and what to do.
    consequence: &'static str,
    /// Whether the store is not ready without it.
    is_essential: bool,
}

/// The keys whose type no other part of readiness checks.
fn typed_keys(names: &Names) -> [TypedKey<'_>; 10] {
    const RESTORE: &str = "no token can be recorded. Bring the right data back";
    const REVOCATIONS: &str =
        "nothing can be revoked. Bring the right data back, or accept the loss with `sts store accept-epoch`";
    let key = |name, read, consequence| TypedKey { name, read, arguments: &[], consequence, is_essential: true };
    let log = |name, consequence| TypedKey {
        name,
        read: "LRANGE",
        arguments: &["-1", "-1"],
        consequence,
        is_essential: true,
    };
    let beside = |name, read, consequence| TypedKey { is_essential: false, ..key(name, read, consequence) };
    [
        key(names.all(), "ZCARD", RESTORE),
        key(names.ends(), "ZCARD", RESTORE),
        key(names.rules(), "HLEN", REVOCATIONS),
        key(names.revocations(), "ZCARD", REVOCATIONS),
        log(
            names.revoked(),
            "no single token can be revoked. Delete the key: all servers then read all revocations again",
        ),
        log(
            names.object_log(),
            "no managed object can be changed. Delete the key: all servers then read all objects again",
        ),
        beside(names.leases(), "HLEN", "no token gets a place in a status list. Bring the right data back"),
        beside(names.key_uses(), "HLEN", "no API key can be deleted, and no last use is saved. Delete the key"),
        beside(names.last_uses(), "ZCARD", "no last use of an account is kept. Delete the key"),
        beside(names.refusals(), "ZCARD", "no refusal is remembered for other servers. Delete the key"),
    ]
}

/// Adds the commands whose replies [`check_key_types`] reads.
pub(super) fn add_key_types(batch: &mut Batch, names: &Names) {
    for TypedKey { name, read, arguments, .. } in typed_keys(names) {
        batch.add(command(read, &[&[name], arguments].concat()));
    }
}

/// Warns of a foreign value under a key that tokens do not need.
///
/// # Errors
/// If a key that the store cannot do without holds a foreign value.
pub(super) fn check_key_types(replies: &mut Replies, names: &Names) -> Result<Vec<Warning>, RedisStoreError> {
    let mut warnings = Vec::new();
    for TypedKey { name, consequence, is_essential, .. } in typed_keys(names) {
        match replies.value() {
            Err(RedisStoreError::Named(ErrorReply::WrongType)) => {}
            reply => {
                reply?;
                continue;
            }
        }
        let text = format!(
            "the key `{name}` holds something else (WRONGTYPE): another program wrote over it, and {consequence}"
        );
        if is_essential {
            return Err(RedisStoreError::Foreign(text.into()));
        }
        warnings.push(Warning { name: "foreign_key", text });
    }
    Ok(warnings)
}
