//! Issuer entry to verification keys: discovery, fetch, cache, refresh, static keys.
