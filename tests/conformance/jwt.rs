//! Filled by the room it tests.
