//! The wire protocols: pure functions from a request to bytes and from bytes to a reply.
//!
//! One file per protocol, all of one shape. Nothing here does I/O or decides what happens after a failure.

mod anthropic;
mod decode;
mod encode;
mod event;
mod facts;
mod gemini;
mod mock;
mod ollama;
mod openai;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;

use crate::config::{BaseUrl, Provider, Secret, Tuning};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Reply, Request, SchemaForm, Usage};
use crate::schema::Dialect;
use crate::transport::{Framing, WireRequest};

pub use event::{Counted, Event, Transcript};
pub use facts::{Capability, ModelFacts};
pub use mock::answer as mock_answer;

/// One model at one address, with the key it is reached by.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which protocol.
    pub provider: Provider,
    /// The model's name as the provider knows it.
    pub model: Arc<str>,
    /// The base URL from the configuration.
    pub base_url: BaseUrl,
    /// The API key, where there is one.
    pub key: Option<Secret>,
    /// How long one request may take.
    pub timeout: Duration,
    /// What the configuration sets for it.
    pub tuning: Tuning,
    /// What is known about its model, where that was looked up.
    pub facts: Option<Arc<ModelFacts>>,
}

impl Target {
    /// `error` as one of this target.
    pub(crate) fn locate(&self, error: Error) -> Error {
        error.at(self.provider, Arc::clone(&self.model))
    }
}

/// A wire protocol.
pub trait Adapter: Send + Sync + std::fmt::Debug {
    /// Whether the protocol can carry `part`.
    fn takes(&self, part: &Part) -> bool;

    /// The form in which `target` is sent the schema of `request`: the one that the request names, or a simpler one where
    /// the target does not keep to that, or that cannot say the schema. `None` without a schema.
    fn form(&self, target: &Target, request: &Request) -> Option<SchemaForm>;

    /// The next form to ask `target` in that has rejected a schema in `form`; `None` where the protocol has no simpler one.
    fn simpler(&self, target: &Target, form: SchemaForm) -> Option<SchemaForm>;

    /// The subset of JSON Schema that a schema in `form` keeps to.
    fn dialect(&self, form: SchemaForm) -> Dialect;

    /// The HTTP request that asks `request` of `target`. Fails with `NotConfigured` where the target lacks a key or a
    /// model it needs, with `Unsupported` where a part cannot be carried.
    fn encode(&self, target: &Target, request: &Request) -> Result<WireRequest>;

    /// The reply in the body of an HTTP 2xx. Fails with `MalformedReply`, `EmptyReply`, `Truncated` or `Refused`.
    fn decode(&self, target: &Target, request: &Request, body: &Bytes) -> Result<Reply>;

    /// The error in a reply of another status. Never repeats a key. What it says against a schema is
    /// `SchemaRejected`; see [`Adapter::attribute`].
    fn decode_error(&self, target: &Target, status: u16, headers: &HeaderMap, body: &Bytes) -> Error;

    /// `error` as one about `request`: where no schema was sent but in words, none was rejected, whatever words the
    /// server chose.
    fn attribute(&self, target: &Target, request: &Request, error: Error) -> Error {
        let sends_schema = self.form(target, request).is_some_and(|form| form != SchemaForm::Prompted);
        if error.kind() != ErrorKind::SchemaRejected || sends_schema {
            return error;
        }
        let kind = decode::kind_of(error.status().unwrap_or(400));
        error.reclassified(kind)
    }

    /// The HTTP request that asks `request` of `target` for a streamed reply. Fails as [`Adapter::encode`] does.
    fn encode_stream(&self, target: &Target, request: &Request) -> Result<WireRequest>;

    /// How the events of a streamed reply are told apart.
    fn framing(&self) -> Framing;

    /// What one event of a streamed reply tells.
    ///
    /// Fails with `MalformedReply` where `data` is no event of the protocol: the stream goes on after it. Every other
    /// class is an error the provider reports within the stream, the same as [`Adapter::decode_error`] would give it.
    fn decode_event(&self, target: &Target, data: &Bytes) -> Result<Event>;

    /// The request that lists the target's models, the cheapest sign of life.
    fn models_request(&self, target: &Target) -> Result<WireRequest>;

    /// The model names in the reply to [`Adapter::models_request`].
    fn decode_models(&self, body: &Bytes) -> Result<Vec<String>>;

    /// The longest context that the target's model is known to take, in tokens.
    fn context_length(&self, _target: &Target) -> Option<u64> {
        None
    }

    /// Fails with `ContextTruncated` where the counts of a reply show that a part of the prompt was left out.
    fn check_counts(&self, _target: &Target, _request: &Request, _counted: Usage) -> Result<()> {
        Ok(())
    }

    /// Whether the protocol tells facts about models.
    fn tells_facts(&self) -> bool {
        false
    }

    /// The request for the facts of the target's model; `None` where the protocol tells none.
    fn facts_request(&self, _target: &Target) -> Result<Option<WireRequest>> {
        Ok(None)
    }

    /// The facts in the reply to [`Adapter::facts_request`]. Fails with `MalformedReply`; what is missing is unknown.
    fn decode_facts(&self, _body: &Bytes) -> Result<ModelFacts> {
        Ok(ModelFacts::default())
    }

    /// The request that lists the models in the memory of the target's server; `None` where it loads none.
    fn running_request(&self, _target: &Target) -> Result<Option<WireRequest>> {
        Ok(None)
    }

    /// The model names in the reply to [`Adapter::running_request`].
    fn decode_running(&self, _body: &Bytes) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// The protocol of `provider`; `None` for the mock, which has no wire.
pub fn adapter(provider: Provider) -> Option<&'static dyn Adapter> {
    match provider {
        Provider::Ollama => Some(&ollama::Ollama),
        Provider::Gemini => Some(&gemini::Gemini),
        Provider::OpenAi => Some(&openai::OpenAi),
        Provider::Anthropic => Some(&anthropic::Anthropic),
        Provider::Mock => None,
    }
}
