//! `privet::fuzzing::markup::csv`.
#![no_main]

use privet::fuzzing::markup::Seen;

#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| privet::fuzzing::markup::csv(data, &readers::read_csv));
