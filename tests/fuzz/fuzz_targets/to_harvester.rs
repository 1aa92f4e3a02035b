//! Message number and payload, as a farmer sends them to a harvester.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::to_harvester_target(input);
});
