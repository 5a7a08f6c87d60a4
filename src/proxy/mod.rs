//! The carrier: sockets, TLS, HTTP. Decides nothing.
//!
//! [`exchange`] is one request from first byte to last; the other files are what it calls, in that order.

pub mod authenticate;
pub mod beforehand;
pub mod body;
pub mod carrier;
pub mod exchange;
pub mod head;
pub mod journal;
pub mod listener;
mod login;
mod login_rate;
pub mod receipts;
pub mod refuse;
pub mod request_body;
pub mod shadow;
pub mod snapshot;
pub mod steps;
pub mod stream_cookie;
pub mod strict_head;
pub mod upstream;
