//! The providers: their settings, prices and wire protocols.
//!
//! Each provider is one folder. [`protocol`] is the registry: what differs between providers is a method of [`Protocol`],
//! and what is sent over HTTP is encoded and decoded by its [`Codec`]. Nothing here does I/O or decides what follows a
//! failure.

mod anthropic;
mod codec;
mod decode;
mod encode;
mod envelope;
mod error_body;
mod event;
mod finish;
mod gemini;
mod halves;
mod in_band;
mod mock;
mod model;
mod ollama;
mod openai;
mod openai_responses;
mod price;
mod schema_form;
mod target;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use crate::config::{Config, ModelTier, Provider};
use crate::error::ErrorKind;

pub use codec::Codec;
pub use event::{Event, Transcript, UsageUpdate};
pub use mock::answer as mock_answer;
pub use model::{Capability, ModelFacts, is_same_model};
pub use price::{Pricing, cost, is_priced};
pub use schema_form::FormScope;
pub use target::{ModelOptions, Target};

/// A provider as the router sees it.
pub trait Protocol: Send + Sync + Debug {
    /// The target that `config` describes for `tier`.
    fn target(&self, config: &Config, tier: ModelTier) -> Target;

    /// What its models cost; by default unknown.
    fn pricing(&self) -> Pricing {
        Pricing::Listed(&[])
    }

    /// Whether `config` has the key or the model that a request needs.
    fn is_configured(&self, config: &Config) -> bool;

    /// Whether calls that name no provider use it, and calls that name another one fall back to it. A provider that
    /// is not automatic is only used by name: a key in the environment is no consent to send prompts there.
    fn is_automatic(&self) -> bool {
        false
    }

    /// Whether it is the first choice for `tier` among the automatic providers.
    fn is_preferred_for(&self, _tier: ModelTier) -> bool {
        false
    }

    /// Whether `target` serves many requests at a time as fast as one.
    fn is_concurrent(&self, _target: &Target) -> bool {
        true
    }

    /// Whether a request that failed with `kind` may succeed at the same target once it is changed: sent with the faults
    /// of the reply, or with more headroom.
    fn can_recover(&self, kind: ErrorKind) -> bool {
        kind == ErrorKind::InvalidOutput
    }
}

/// The protocol of `provider`.
pub fn protocol(provider: Provider) -> &'static dyn Protocol {
    match provider {
        Provider::Ollama => &ollama::Ollama,
        Provider::Gemini => &gemini::Gemini,
        Provider::OpenAi => &openai::OpenAi,
        Provider::Anthropic => &anthropic::Anthropic,
        Provider::Mock => &mock::Mock,
    }
}

/// The codec of `provider` unless the configuration selects another API; [`Target::codec`] is that of a target. `None` for the
/// mock, which answers within the process.
pub fn codec(provider: Provider) -> Option<&'static dyn Codec> {
    match provider {
        Provider::Ollama => Some(&ollama::Ollama),
        Provider::Gemini => Some(&gemini::Gemini),
        Provider::OpenAi => Some(&openai::OpenAi),
        Provider::Anthropic => Some(&anthropic::Anthropic),
        Provider::Mock => None,
    }
}
