//! The endpoints of the demo CRM, one file each.

pub mod describe;
pub mod describe_global;
pub mod identity;
pub mod limits;
pub mod query;
pub mod resources;
pub mod row;
pub mod token;
pub mod versions;
