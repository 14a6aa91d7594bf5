//! The ledger of sts: issue, look up, revoke.
