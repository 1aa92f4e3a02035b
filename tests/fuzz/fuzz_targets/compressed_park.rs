//! A compression level, the number of an entry (two bytes) and a park of the lowest table of such a plot.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::compressed_park_target(input);
});
