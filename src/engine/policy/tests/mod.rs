//! One small set of files, and what it means.

mod brute;
mod fixture;
mod mistakes;
mod property;
mod semantics;
