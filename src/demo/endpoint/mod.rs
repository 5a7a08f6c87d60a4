//! The endpoints of the demo CRM, one file each.

pub mod blob;
pub mod bulk2;
pub mod collections;
pub mod cometd;
pub mod composite;
pub mod connect;
pub mod describe;
pub mod describe_global;
pub mod external;
pub mod graphql;
pub mod identity;
pub mod layouts;
pub mod limits;
pub mod list_views;
pub mod listing;
pub mod query;
pub mod related;
pub mod reports;
pub mod resources;
pub mod row;
pub mod search;
pub mod soap;
pub mod token;
pub mod tree;
pub mod versions;
