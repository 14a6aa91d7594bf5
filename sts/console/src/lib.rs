//! The web console on the admin listener.
