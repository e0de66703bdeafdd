//! An HTTP server that speaks every dialect.
