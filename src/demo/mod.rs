//! The built-in fake CRM and its traffic.
//!
//! A Salesforce-like CRM over real HTTP with invented people in many scripts. It evaluates SOQL itself, with its own
//! parser: it is the peer that tests and newcomers meet, never a part of privet's answers.
//!
//! * [`metadata`]: objects and fields, describe, and the schema file that policies are written against.
//! * [`store`], [`seed`], [`names`], [`record_id`]: the records.
//! * [`soql`], [`evaluate`]: queries.
//! * [`crm`]: one organisation, its sessions and its endpoints ([`endpoint`], one file each).
//! * [`server`], [`client`]: sockets.
//! * [`workspace`], [`callers`], [`table`], [`traffic`], [`tour`]: what `privet demo` does with it.

pub mod analytics;
pub mod callers;
pub mod changes;
pub mod client;
pub mod crm;
pub mod endpoint;
pub mod evaluate;
pub mod fault;
pub mod metadata;
pub mod names;
pub mod people;
pub mod record_id;
pub mod seed;
pub mod server;
pub mod soql;
pub mod sosl;
pub mod store;
pub mod table;
pub mod tour;
pub mod traffic;
pub mod workspace;
