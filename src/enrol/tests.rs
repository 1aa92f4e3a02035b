//! Joining, over real TLS on loopback.
