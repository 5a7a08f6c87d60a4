//! `privet::fuzzing::markup::csv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::markup::csv(data));
