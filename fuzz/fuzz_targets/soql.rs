//! `privet::fuzzing::soql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::soql(data));
