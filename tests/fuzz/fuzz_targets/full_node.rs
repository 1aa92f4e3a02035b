//! Message number and payload, between farmer and node in either direction.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::full_node_target(input);
});
