//! Tests of wholes: the architecture itself, the program from outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should panic where it stands"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "programs of their own run in real time, so waiting for them needs a clock"
)]

mod daemon;
#[cfg(target_os = "linux")]
mod disks;
#[cfg(target_os = "linux")]
mod history;
mod keys;
mod layers;
mod plots;
mod program;
mod root;
mod terminal;
