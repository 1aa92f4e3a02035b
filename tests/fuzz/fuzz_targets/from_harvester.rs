//! Message number and payload, as a harvester sends them to a farmer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::from_harvester_target(input);
});
