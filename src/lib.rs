//! A multi-agent idea workflow over language models, through request-scoped routers.
//!
//! # The layers
//!
//! [`provider`], [`cache`], [`router`], [`agents`], [`coordinator`] and the bindings (feature `python`) are layers: each uses only
//! the earlier ones and the leaf modules, and no two modules use each other. Agents and the coordinator use the router through
//! the trait [`router::Generate`]. `docs/explanation/architecture.md` draws the layers; `tests/core/architecture.rs` checks them.
//!
//! # The scopes
//!
//! * A **call** ([`router::Call`], or [`router::Stream`] if streamed) holds the prompt, the attempts, the deadline, and the state
//!   of each target within the call.
//! * A **request** has one [`router::Router`]: an immutable [`config::Config`] and [`router::Policy`], the spent part of its
//!   [`router::Budget`], and metrics. Creating one does no I/O.
//! * The **process** has one [`router::Engine`]: connection pools, the state of each target (breaker, rate limits, latencies,
//!   accepted schema form), facts about models, and the response cache, whose keys are whole requests. A target is a provider
//!   with a base URL, an API key and a model, so the state of one key never affects another. The engine contains nothing that a
//!   request chose.

pub mod agents;
pub mod attachment;
pub mod attempt;
mod blocking;
pub mod cache;
pub mod config;
pub mod coordinator;
pub mod error;
mod error_kind;
pub mod message;
mod named_enum;
mod offload;
pub mod parameter;
pub mod progress;
pub mod provider;
mod provider_id;
mod reasoning;
pub mod router;
pub mod schema;
mod similarity;
pub mod simulator;
mod steps;
mod sync;
pub mod transport;
pub mod webpage;

#[cfg(feature = "python")]
mod python;

pub use config::{Config, ModelTier, Provider, ProviderChoice, Secret};
pub use error::{Error, ErrorKind, Rejected, Result};
pub use router::{Engine, Generate, Router};
