//! The workflow.
