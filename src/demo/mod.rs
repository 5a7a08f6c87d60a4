//! The built-in fake CRM and its traffic.
