//! The tables of the file. Records are keyed by a number in the order of their commits. Appending
//! to the end of a tree is several times cheaper than inserting at random, and a page of the
//! listing is one walk backwards. What would be inserted at random, the index by jti, is kept in
//! memory: see [`super::record_index`].

use redb::TableDefinition;

/// The current schema version, stored under [`SCHEMA`] in [`META`].
pub(super) const SCHEMA_VERSION: u64 = 2;
/// The earliest version that can be opened. The first commit makes such a file one of the current version.
pub(super) const EARLIEST_SCHEMA_VERSION: u64 = 1;
pub(super) const SCHEMA: &str = "schema";
/// How many claims were ever taken without a record.
pub(super) const LONE_CLAIMS: &str = "lone_claims";
/// Written by the readiness probe, see `write::Tables::probe`.
pub(super) const PROBE: &str = "probe";

/// Numbers about the store itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Number of the record -> the sealed record.
pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Indexes of the records in a file of schema version 1: by jti, and by account.
pub(super) const FORMER_BY_JTI: TableDefinition<'_, &str, u64> = TableDefinition::new("records_by_jti");
pub(super) const FORMER_BY_ACCOUNT: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("records_by_account");
/// End and number of the record -> its jti and account, so that neither a sweep nor the index in memory reads
/// records.
pub(super) const RECORD_ENDS: TableDefinition<'_, (i64, u64), (&str, &str)> = TableDefinition::new("records_by_end");

/// Replay key -> end of the claim.
pub(super) const CLAIMS: TableDefinition<'_, &[u8; 32], i64> = TableDefinition::new("claims");
/// Replay key -> sealed: end of the claim, and the exchange that took it.
pub(super) const CLAIM_USES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("claim_uses");
/// End of the claim, and its replay key.
pub(super) const CLAIM_ENDS: TableDefinition<'_, (i64, &[u8; 32]), ()> = TableDefinition::new("claims_by_end");

/// jti -> the sealed revocation of that token.
pub(super) const REVOCATIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("revocations");
/// End of the revocation, and the jti.
pub(super) const REVOCATION_ENDS: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("revocations_by_end");

/// [`TALLY`] -> the sealed tally of all revocations and objects. Empty before the first one.
pub(super) const TALLIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tallies");
pub(super) const TALLY: &str = "revocations";

/// Number of the kind and name -> the sealed object.
pub(super) const OBJECTS: TableDefinition<'_, (u8, &str), &[u8]> = TableDefinition::new("objects");
/// Id of an API key -> time and address of its last use. Not sealed: it is no evidence.
pub(super) const KEY_USES: TableDefinition<'_, &str, (i64, &str)> = TableDefinition::new("key_uses");

/// Account and identity (empty for the account itself) -> time of the last use. Not sealed, either.
pub(super) const LAST_USES: TableDefinition<'_, (&str, &str), i64> = TableDefinition::new("last_uses");

/// Request id -> the sealed refusal of that request.
pub(super) const REFUSALS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("refusals");
/// Millisecond of the refusal and request id -> its share.
pub(super) const REFUSALS_BY_TIME: TableDefinition<'_, (u64, &str), &str> = TableDefinition::new("refusals_by_time");

/// Kind and digest of the secret -> end of the session, and the sealed session.
pub(super) const SESSIONS: TableDefinition<'_, &[u8; 33], (i64, &[u8])> = TableDefinition::new("console_sessions");

/// Status window -> how many of its indexes are taken.
pub(super) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("status_leases");

/// Number of the rule, in the order they were made -> the sealed rule.
pub(super) const RULES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rules");
/// End and number of the rule.
pub(super) const RULE_ENDS: TableDefinition<'_, (i64, u64), ()> = TableDefinition::new("rules_by_end");
