//! Describe answers → the schema file.
