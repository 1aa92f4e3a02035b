//! Number of a type and its bytes: handshakes, solver and pool messages, parts of blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::parts_target(input);
});
