//! A multi-agent idea workflow over language models, through request-scoped routers.
//!
//! # The layers
//!
//! ```text
//! provider  →  cache      →  router  →  agents  →  coordinator  →  python
//! (wire)       (answers)     (policy)   (prompts)  (workflow)      (bindings, feature `python`)
//! ```
//!
//! A layer uses only the layers to its left and the leaf modules [`error`], [`config`], [`message`], [`schema`],
//! [`progress`], [`transport`], [`attachment`], [`webpage`] and `aside`. Agents and the coordinator know the router only as
//! the trait [`router::Generate`].
//!
//! # The scopes
//!
//! * A **call** ([`router::Call`], streamed [`router::Stream`]) holds its prompt, its attempts, its deadline and how it
//!   stands with each target: when that may be asked, and how often it was.
//! * A **request** is one [`router::Router`]: an immutable [`config::Config`] and [`router::Policy`], what it has spent of
//!   its [`router::Budget`], and its own metrics. Building one does no I/O.
//! * The **process** has one [`router::Engine`]: the connection pools, what is known of each target (its breaker, what was
//!   sent to it, its latencies, the form of schema it takes), facts about models and the response cache, whose keys are
//!   whole requests. A target is a provider with an
//!   address, a key and a model, so nothing that one key has done is known of another. It knows no request's choice.

pub mod agents;
pub mod attachment;
pub mod attempt;
pub mod cache;
pub mod config;
pub mod coordinator;
pub mod error;
mod error_kind;
pub mod message;
mod offload;
pub mod progress;
pub mod provider;
mod provider_id;
pub mod router;
pub mod schema;
pub mod simulator;
mod sync;
pub mod transport;
pub mod webpage;

#[cfg(feature = "python")]
mod python;

pub use config::{Config, ModelTier, Provider, ProviderChoice, Secret};
pub use error::{Error, ErrorKind, Rejected, Result};
pub use router::{Engine, Generate, Router};
