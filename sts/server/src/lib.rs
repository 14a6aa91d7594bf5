//! The sts server and command line.
