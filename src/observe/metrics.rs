//! Prometheus metrics, one place for every name.
