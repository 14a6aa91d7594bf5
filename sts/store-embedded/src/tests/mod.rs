//! What only shows from inside: a disk that fails, and rows that somebody else wrote.

mod disk;
mod faults;
mod tamper;
