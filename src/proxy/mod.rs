//! The carrier: sockets, TLS, HTTP. Decides nothing.
