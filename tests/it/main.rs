//! Tests of wholes: the architecture itself, the program from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic where it stands"
)]

mod layers;
mod program;
mod terminal;
