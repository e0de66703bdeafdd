//! JSON Schema: lowering per provider and extraction of JSON from replies.

mod change;
mod coerce;
mod extract;
mod graph;
mod lenient;
mod lower;
mod matcher;
mod nesting;
mod partial;
mod recover;
mod restore;
mod scan;

use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::Result;
use graph::Graph;

pub use change::Change;
pub use extract::json_text;
pub use partial::Partial;
pub use recover::{Recovery, recover};

/// A JSON Schema as the caller gave it, with its lowered forms made once each.
#[derive(Debug)]
pub struct Schema {
    name: String,
    document: Value,
    graph: Arc<Graph>,
    /// By [`Dialect`].
    lowered: [OnceLock<Arc<Lowered>>; 6],
    digest: OnceLock<[u8; 32]>,
}

impl Schema {
    /// Takes a schema document; `name` is what providers see (a class name). Characters that providers refuse in a name
    /// become `_`.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) where `document` is not a JSON Schema, refers to
    /// something outside itself or to nothing, or where no value fits it or a definition it uses.
    ///
    /// # Example
    ///
    /// ```
    /// use madspark::schema::{Dialect, Schema};
    ///
    /// let document = serde_json::json!({"type": "array", "items": {"type": "string"}});
    /// let schema = Schema::new("list[str]", document)?;
    /// assert_eq!(schema.name(), "list_str");
    /// let lowered = schema.lower(Dialect::OpenAiStrict);
    /// assert_eq!(lowered.restore(r#"{"value": ["a"]}"#.to_owned()), r#"["a"]"#);
    /// # Ok::<(), madspark::Error>(())
    /// ```
    pub fn new(name: impl Into<String>, document: Value) -> Result<Self> {
        let graph = Arc::new(Graph::build(&document)?);
        Ok(Self {
            name: provider_name(&name.into()),
            document,
            graph,
            lowered: Default::default(),
            digest: OnceLock::new(),
        })
    }

    /// The name providers see: 1 to 64 ASCII letters, digits, `_` and `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema as the caller gave it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The form a provider takes, made when first asked for.
    pub fn lower(&self, dialect: Dialect) -> Arc<Lowered> {
        let cell = &self.lowered[dialect as usize];
        if let Some(lowered) = cell.get() {
            return Arc::clone(lowered);
        }
        // Made outside the cell: a process that is forked meanwhile would wait for ever for the one who makes it. Two who
        // come first may both make it, and one is dropped.
        let lowering = lower::lower(&self.graph, dialect);
        let json = to_raw_value(&lowering.document).ok();
        let lowered = Arc::new(Lowered { graph: Arc::clone(&self.graph), lowering, json });
        Arc::clone(cell.get_or_init(|| lowered))
    }

    /// A hash of the document, made when first asked for. The order of members counts: it steers the model.
    pub fn digest(&self) -> [u8; 32] {
        if let Some(digest) = self.digest.get() {
            return *digest;
        }
        // Outside the cell, as above.
        let digest = *blake3::hash(self.document.to_string().as_bytes()).as_bytes();
        *self.digest.get_or_init(|| digest)
    }

    /// A reader of one reply that comes in pieces, in the form of the schema itself. See [`Lowered::partial`].
    pub fn partial(&self) -> Partial {
        Partial::new(Arc::clone(&self.graph), false, false)
    }
}

/// A provider's subset of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ollama's `format`: a grammar.
    Ollama,
    /// Gemini's `responseJsonSchema`.
    Gemini,
    /// Gemini's `responseSchema`, which is older and says less.
    GeminiOlder,
    /// `OpenAI`'s `json_schema` with `strict: true`.
    OpenAiStrict,
    /// Anthropic's `output_config.format`.
    Anthropic,
    /// No provider's: the whole schema, for a model to read. The root is an object, because servers that promise JSON
    /// without a schema mean an object.
    Prompted,
}

/// A schema in a provider's subset, and the way back for replies that fit it.
#[derive(Debug)]
pub struct Lowered {
    graph: Arc<Graph>,
    lowering: lower::Lowering,
    /// The document as text, so that it is written once and copied into each request.
    json: Option<Box<RawValue>>,
}

impl Lowered {
    /// The document to send.
    pub fn document(&self) -> &Value {
        &self.lowering.document
    }

    /// `OpenAI`: whether the document keeps the strict subset's rules, so that `strict: true` may be sent. Anthropic and
    /// Gemini's older dialect: whether the subset can say the schema; where not, it can only be told. False in the other
    /// dialects.
    pub fn is_strict(&self) -> bool {
        self.lowering.strict
    }

    /// Turns the JSON text of a reply that fits the lowered schema into one that fits the original: undoes a wrapped
    /// root, drops nulls that stand for absent properties. Text that needs no change comes back as it is, and so does
    /// text that is not JSON. What stays is not rewritten: order, white space and number literals are the model's.
    pub fn restore(&self, text: String) -> String {
        let lower::Lowering { wrapped, nullable, .. } = self.lowering;
        if !wrapped && !nullable {
            return text;
        }
        restore::restore(&self.graph, wrapped, nullable, text)
    }

    /// A reader of one reply that comes in pieces and fits the lowered schema.
    pub fn partial(&self) -> Partial {
        let lower::Lowering { wrapped, nullable, .. } = self.lowering;
        Partial::new(Arc::clone(&self.graph), wrapped, nullable)
    }
}

/// The document to send.
impl Serialize for Lowered {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.json {
            Some(json) => json.serialize(serializer),
            None => self.document().serialize(serializer),
        }
    }
}

/// `name` with what providers refuse replaced: `Response[int]` becomes `Response_int`.
fn provider_name(name: &str) -> String {
    const LONGEST: usize = 64;
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().map(allowed).take(LONGEST).collect();
    match name.trim_end_matches('_') {
        "" => "output".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_every_provider_takes() {
        assert_eq!(provider_name("Idea_List-2"), "Idea_List-2");
        assert_eq!(provider_name("Response[Idea]"), "Response_Idea");
        assert_eq!(provider_name("発想"), "output");
        assert_eq!(provider_name(""), "output");
        assert_eq!(provider_name(&"x".repeat(80)).len(), 64);
    }

    #[test]
    fn a_form_is_made_once() {
        let schema = Schema::new("S", serde_json::json!({"type": "string"})).unwrap();
        assert!(Arc::ptr_eq(&schema.lower(Dialect::Gemini), &schema.lower(Dialect::Gemini)));
        assert!(!Arc::ptr_eq(&schema.lower(Dialect::Gemini), &schema.lower(Dialect::Ollama)));
    }
}
