//! `privet::fuzzing::embedded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::embedded(data));
