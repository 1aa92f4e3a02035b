//! Any text: the token of an invitation.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::token_target(input);
});
