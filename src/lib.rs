//! A multi-agent idea workflow over language models, through request-scoped routers.
//!
//! # The layers
//!
//! ```text
//! provider  →  router  →  agents  →  coordinator  →  python
//! (wire)       (policy)   (prompts)  (workflow)      (bindings, feature `python`)
//! ```
//!
//! A layer uses only the layers to its left and the leaf modules [`error`], [`config`], [`message`], [`schema`] and
//! [`progress`]. Agents and the coordinator know the router only as the trait [`router::Generate`].
//!
//! # The scopes
//!
//! * A **call** ([`router::Call`], streamed [`router::Stream`]) holds its prompt, its attempts and its deadline.
//! * A **request** is one [`router::Router`]: an immutable [`config::Config`] and its own metrics. Building one does no I/O.
//! * The **process** has one [`router::Engine`]: the connection pools. It knows no request's choice.

pub mod agents;
pub mod attachment;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod message;
pub mod progress;
pub mod provider;
pub mod router;
pub mod schema;
pub mod simulator;
pub mod transport;

#[cfg(feature = "python")]
mod python;

pub use config::{Config, ModelTier, Provider, ProviderChoice, Secret};
pub use error::{Error, ErrorKind, Rejected, Result};
pub use router::{Engine, Generate, Router};
