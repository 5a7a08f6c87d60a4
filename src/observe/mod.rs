//! What happened: the audit log, what is shown of it, and the metrics.

pub mod audit;
pub mod metrics;
pub mod trail;
