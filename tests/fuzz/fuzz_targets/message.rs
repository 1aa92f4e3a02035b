//! Any frame: the envelope of every message.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::message_target(input);
});
