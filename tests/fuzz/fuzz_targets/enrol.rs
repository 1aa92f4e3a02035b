//! What is said when a machine joins, either direction.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::enrol_target(input);
});
