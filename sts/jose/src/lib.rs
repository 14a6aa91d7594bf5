//! The only crate of sts that touches cryptography: JWK, JWS, thumbprints, digests, MACs.
