//! The built-in fake CRM and its traffic.

pub mod analytics;
pub mod people;
