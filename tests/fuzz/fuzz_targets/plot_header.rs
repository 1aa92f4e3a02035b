//! The beginning of a plot file of any format.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    farmconsole_fuzz::plot_header_target(input);
});
