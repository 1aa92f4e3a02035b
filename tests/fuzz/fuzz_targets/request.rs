//! A certificate request, PKCS#10: `cargo +nightly fuzz run --fuzz-dir tests/fuzz --features net request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::request_target(input);
});
