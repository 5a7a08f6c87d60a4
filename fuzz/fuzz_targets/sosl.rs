//! `privet::fuzzing::sosl`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::sosl(data));
