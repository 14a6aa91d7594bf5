//! Exchange, introspect, revoke: the one place where the order of steps is decided.
