//! `privet::fuzzing::markup::xml`.
#![no_main]

#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::markup::xml(data, &readers::read_xml));
