//! Tests that need internals: a failing disk, and rows that somebody else wrote.

mod disk;
mod faults;
mod objects;
mod replaced;
mod schema;
mod tamper;
