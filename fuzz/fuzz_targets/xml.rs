//! `privet::fuzzing::markup::xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::markup::xml(data));
