//! Joining a farm, over real TLS on loopback, and what nobody gets in with.

mod farm;
mod joining;
mod refusal;
mod renewal;
