//! The carrier: sockets, TLS, HTTP. Decides nothing.
//!
//! [`exchange`] is one request from first byte to last; the other files are what it calls, in that order.

pub mod coding;
pub mod head;
pub mod refuse;
pub mod strict_head;
