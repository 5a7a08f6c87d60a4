//! `privet::fuzzing::graphql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::graphql(data));
