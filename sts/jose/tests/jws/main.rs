//! Signed tokens as an attacker, a sloppy issuer and another library make them.

mod attacks;
mod forge;
mod header;
mod oracle;
