//! Shapes of the answers that show the schema.
