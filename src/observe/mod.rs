//! What happened: the audit log, what is shown of it, what is odd in it, and the metrics.

pub mod audit;
pub mod metrics;
pub mod monitors;
pub mod shipping;
pub mod trail;
