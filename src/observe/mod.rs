//! What happened: the audit log and the metrics.

pub mod audit;
pub mod metrics;
pub mod shipping;
