//! `privet::fuzzing::framed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::framed(data));
