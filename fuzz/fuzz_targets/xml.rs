//! `privet::fuzzing::markup::xml`.
#![no_main]

use privet::fuzzing::markup::Seen;

#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::markup::xml(data, &readers::read_xml));
