//! `privet::fuzzing::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::path(data));
