//! Integration tests of the core, without Python. One binary: each test binary links the whole dependency tree.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod agents_double;
mod agents_forms;
mod agents_reasoning;
mod agents_requests;
mod architecture;
mod cache_processes;
mod cache_shared;
mod cache_support;
mod coordinator_flow;
mod coordinator_limits;
mod coordinator_run;
mod failure_classes;
mod model_facts;
mod schema_corpus;
mod schema_damage;
mod schema_extract;
mod schema_fixtures;
mod schema_lowering;
mod schema_nullable;
mod schema_nulls;
mod schema_partial;
mod schema_properties;
mod schema_recover;
mod schema_restore;
mod schema_rules;
mod schema_strict;
mod schema_style;
mod simulator;
mod simulator_faults;
mod simulator_models;
mod simulator_raw;
mod simulator_responses;
mod simulator_sample;
mod stream;
mod stream_framing;
mod stream_harness;
mod stream_limits;
mod stream_structured;
mod stream_wire;
mod usage;
