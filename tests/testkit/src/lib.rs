//! Token forge, fake issuers and a harness that drives the built binary; for tests only.
