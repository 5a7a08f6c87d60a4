//! For people who write policies: what the rules say everywhere, what a change would do, and whether it is what was
//! meant. Every answer comes from the same tables that requests are decided with.

pub mod compare;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod matrix;
pub mod request;
pub mod space;
pub mod suite;
