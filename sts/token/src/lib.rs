//! The evidence of one exchange: verify, authorize, mint; our own signing keys.
