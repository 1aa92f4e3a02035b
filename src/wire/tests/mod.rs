//! Tests of the whole module: golden bytes of the official software and a recorded session of it, and properties that
//! hold for every value and every input.

mod golden;
#[expect(
    unreachable_pub,
    reason = "the fuzz targets, which share the file, see them from another crate"
)]
#[path = "../../../tests/fuzz/src/properties.rs"]
mod properties;
mod proptests;
mod specimen;
mod transcript;

use serde_json::Value;

// What `properties.rs` reaches through `super`.
use crate::wire;

pub(super) use specimen::{Seed, Specimen};

/// Reads `tests/vectors/<name>`.
fn read_json(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Bytes of a hex text, with or without `0x`.
fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}
