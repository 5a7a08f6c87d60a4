//! How a key of a body is compared with a name of the schema.
